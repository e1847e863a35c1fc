"""Follow the log of an experiment's command until the command exits."""

from __future__ import annotations

from ec2lab.console import Console, run, warn
from ec2lab.options import AsJson, ExperimentName, HostName, Raw, script

app = script(__doc__)


@app.command()
def logs(exp: ExperimentName = "", host: HostName = "", raw: Raw = False, as_json: AsJson = False) -> None:
    """Print the log of EXP's command from its beginning and follow it until the command exits.

    The log is read from the instance while it runs and from artifact_uri afterwards. With several instances it is
    the first one's, or HOST's (foo-2). Ctrl-C, or closing the pipe (`| head`), stops only the reading. Terminal
    escape sequences other than colors are removed; RAW=1 prints every byte.
    """
    from ec2lab.runs.log_following import LogFollowing
    from ec2lab.runs.logs import LogPrinter, NobodyReads
    from ec2lab.runs.run import run_for_host, runs_of
    from ec2lab.session import open_session

    console = Console(as_json=as_json)
    with open_session("logs", exp) as session:
        followed = run_for_host(runs_of(session, exp), exp, host)
        printer = LogPrinter(console, followed.name, raw=raw)
        try:
            LogFollowing(followed, printer, warn, console.progress).follow()
        except NobodyReads:
            return
        finally:
            printer.end()


if __name__ == "__main__":
    run(app, follows=True)
