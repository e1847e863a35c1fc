"""Open Jupyter Lab on an experiment's instances."""

from __future__ import annotations

from ec2lab.console import Console, run
from ec2lab.options import AsJson, HostName, OptionalExperiment, script

app = script(__doc__)


@app.command()
def jupyter(exp: OptionalExperiment = "", host: HostName = "", as_json: AsJson = False) -> None:
    """Start Jupyter Lab on EXP's running instances (or HOST), forward it, and print the URL that opens it.

    It runs under the experiment's account, on the instance's loopback, with a token that is in no command line, log or
    registry. If it already runs there, you get that one. Ctrl-C ends the forwarding only: Jupyter and its kernels keep
    running, and the same command connects to them again.

    Exit status: 0 after Ctrl-C; 1 if Jupyter is not installed there, or did not start.
    """
    from ec2lab.hosts.named_hosts import hosts_to_call, record_calls
    from ec2lab.runs.servers import JUPYTER, open_server
    from ec2lab.session import open_session

    console = Console(as_json=as_json)
    with open_session("jupyter") as session:
        hosts = hosts_to_call(session, exp, host)
        record_calls(session.recorder, hosts)
        open_server(session, hosts, JUPYTER, console.emit)


if __name__ == "__main__":
    run(app)
