"""Follow the log of an experiment's command until the command has ended."""

from __future__ import annotations

from ec2lab.console import Console, run, warn
from ec2lab.options import AsJson, ExperimentName, HostName, Raw, script

app = script(__doc__)


@app.command()
def logs(exp: ExperimentName = "", host: HostName = "", raw: Raw = False, as_json: AsJson = False) -> None:
    """Print the log of EXP's command from its beginning, and what comes, until the command has ended.

    From the machine while it runs, else from the experiment's bucket, and on across what comes between. Of several
    machines it is the first, or HOST (foo-2). Ctrl-C, or a reader that leaves (`| head`), ends the reading, and nothing
    else. Of what a terminal obeys, its colours are let through alone; RAW=1 prints every byte as it came.
    """
    from ec2lab.runs.log_following import LogFollowing
    from ec2lab.runs.log_printing import LogPrinter, NobodyReads
    from ec2lab.runs.run import run_for_host, runs_of
    from ec2lab.session import open_session

    console = Console(as_json=as_json)
    with open_session("logs", exp) as session:
        followed = run_for_host(runs_of(session, exp), exp, host)
        printer = LogPrinter(console, followed.name, raw=raw)
        try:
            LogFollowing(followed, printer, warn).follow()
        except NobodyReads:
            return
        finally:
            printer.end()


if __name__ == "__main__":
    run(app)
