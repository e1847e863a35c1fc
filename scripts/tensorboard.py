"""Open TensorBoard on an experiment's instances."""

from __future__ import annotations

from typing import Annotated

from ec2lab.console import Console, run
from ec2lab.errors import UserError
from ec2lab.options import AsJson, HostName, OptionalExperiment, option, script

app = script(__doc__)
Logdir = Annotated[str, option("LOGDIR", "Directory on the instance, or s3://…")]


@app.command()
def serve_tensorboard(
    exp: OptionalExperiment = "", host: HostName = "", logdir: Logdir = "", as_json: AsJson = False
) -> None:
    """Start TensorBoard on LOGDIR of EXP's running instances (or HOST), forward it, and print the URL that opens it.

    LOGDIR is a directory on the instance, or an s3:// address. TensorBoard runs under the experiment's account, on the
    instance's loopback, below a secret path that is in no command line, readable log or registry. If it already runs
    there on LOGDIR, you get that one. Ctrl-C ends the forwarding only.

    Exit status: 0 after Ctrl-C; 1 if TensorBoard is not installed there, or did not start.
    """
    from ec2lab.hosts.named_hosts import hosts_to_call, record_calls
    from ec2lab.runs.servers import open_server, tensorboard
    from ec2lab.session import open_session

    if not logdir:
        raise UserError("LOGDIR: is empty (try LOGDIR=/data/runs)")
    console = Console(as_json=as_json)
    with open_session("tensorboard") as session:
        hosts = hosts_to_call(session, exp, host)
        record_calls(session.recorder, hosts)
        open_server(session, hosts, tensorboard(logdir), console.emit)


if __name__ == "__main__":
    run(app)
