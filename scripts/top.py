"""Show what the instances of an experiment are busy with."""

from __future__ import annotations

from ec2lab.console import Console, run
from ec2lab.options import AsJson, HostName, OptionalExperiment, script

app = script(__doc__)


@app.command()
def top(exp: OptionalExperiment = "", host: HostName = "", as_json: AsJson = False) -> None:
    """Show GPUs, processors, memory, disks, network and the last line of the log of EXP's instances, or of HOST's.

    On a terminal it is drawn again every two seconds until Ctrl-C; elsewhere it is printed once. Nothing is installed
    on the instances. GPUs are shown if nvidia-smi is there, and data while AWS is still loading it from snapshots.
    """
    from ec2lab.hosts.named_hosts import hosts_to_call
    from ec2lab.runs.metrics import MetricsReader, draw
    from ec2lab.session import open_session

    console = Console(as_json=as_json)
    with open_session("top") as session:
        reader = MetricsReader(session, hosts_to_call(session, exp, host))
        for _ in reader.read(0 if console.is_terminal else 1):
            if console.is_terminal:
                draw(console, reader.rows())
        console.emit_table(reader.rows())


if __name__ == "__main__":
    run(app, follows=True)
