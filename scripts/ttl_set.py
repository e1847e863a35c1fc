"""Set when an experiment's instances expire."""

from __future__ import annotations

from typing import Annotated

from ec2lab.console import Console, run
from ec2lab.options import AsJson, ExperimentName, option, script

app = script(__doc__)
Ttl = Annotated[str, option("TTL", "Time from now: 30m, 4h, 2d; or never.")]


@app.command()
def extend(exp: ExperimentName = "", ttl: Ttl = "", as_json: AsJson = False) -> None:
    """Set the expiry of EXP's running instances to TTL from now, whether that is sooner or later than before.

    It also works for instances launched without a ttl. TTL=never removes the expiry. The new expiry is written to
    each instance over ssh and read back. The experiment's idle_timeout is not changed.

    Exit status: 1 if it failed on any instance.
    """
    from ec2lab.hosts.inventory import instances_of
    from ec2lab.instances.ttl import TtlChange, parse_ttl
    from ec2lab.resources.expiry import expiry_details
    from ec2lab.session import locked_session

    length = parse_ttl(ttl)
    console = Console(as_json=as_json)

    with locked_session(exp, "ttl-set") as session:
        console.hint(session.cloud.banner)
        TtlChange(session, exp, length, console.emit).run()
        idle = {expiry_details(instance).get("idle", "") for instance in instances_of(session, exp)} - {""}
        for limit in sorted(idle):
            console.hint(f"  it still terminates after {limit} without work")
        if not session.cloud.instances_boot:
            console.hint("  the local cloud's instances never boot, so only their tags change")


if __name__ == "__main__":
    run(app)
