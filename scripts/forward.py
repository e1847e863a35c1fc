"""Forward ports of an experiment's instances to this computer."""

from __future__ import annotations

from typing import Annotated

from ec2lab.console import Console, run
from ec2lab.errors import UserError
from ec2lab.options import AsJson, HostName, OptionalExperiment, option, script

app = script(__doc__)
Ports = Annotated[str, option("PORTS", 'Ports on the instance: "8888 6006"; LOCAL:PORT names both.')]


@app.command()
def forward(exp: OptionalExperiment = "", host: HostName = "", ports: Ports = "", as_json: AsJson = False) -> None:
    """Make PORTS of EXP's running instances (or HOST) reachable on this computer's loopback, and print their URLs.

    A local port that is taken is replaced by the next free one. A lost connection is restored, with the same local
    ports. The host key is pinned, and your own LocalForward lines have no effect. Ctrl-C ends it.

    Exit status: 0 after Ctrl-C; 1 if no connection was possible, or no local port is free.
    """
    from ec2lab.hosts.forwarding import Port, forward_until_interrupted
    from ec2lab.hosts.named_hosts import hosts_to_call, record_calls
    from ec2lab.session import open_session

    wanted = [Port.parse(word) for word in ports.split()]
    if not wanted:
        raise UserError('PORTS: is empty (try PORTS="8888 6006")')
    console = Console(as_json=as_json)
    with open_session("forward") as session:
        hosts = hosts_to_call(session, exp, host)
        record_calls(session.recorder, hosts)
        forward_until_interrupted(session, hosts, lambda _: wanted, console.emit)


if __name__ == "__main__":
    run(app)
