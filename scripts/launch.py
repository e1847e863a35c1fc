"""Launch an experiment on a fresh machine, with its data mounted, wherever capacity can be found."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from scripts.core.console import Console, run
from scripts.core.options import AsJson, ExperimentName, script

if TYPE_CHECKING:
    from scripts.core.asking import Instance
    from scripts.core.capacity import Pool
    from scripts.core.config import Experiment
    from scripts.core.kind import Resource
    from scripts.core.refusals import Refusal
    from scripts.core.session import Session

app = script(__doc__)


@app.command()
def launch(exp: ExperimentName = "", as_json: AsJson = False) -> None:
    """Launch EXP (experiments/EXP.toml) on a fresh machine.

    Asks pool after pool (region, type, market) until a machine runs. Exit 1 if none is to be had, or if EXP already
    lives. Whatever was made is taken down again when the launch fails or is interrupted.
    """
    from scripts.core.launching import Launch
    from scripts.core.session import acting_on

    with acting_on(exp, "launch") as session:
        report = Report(Console(as_json=as_json), exp)
        experiment = session.experiment_file(exp)
        report.begins(session, experiment)
        machine = Launch(session, exp, experiment, report).run()
        report.lives(session, machine)


class Report:
    """What the screen, or a program, is told of a launch."""

    def __init__(self, console: Console, name: str) -> None:
        self.console = console
        self.name = name
        self.since = time.monotonic()

    def begins(self, session: Session, experiment: Experiment) -> None:
        """Say what is wanted, and of whom."""
        if session.cloud.banner:
            self.console.hint(session.cloud.banner)
        data = ", ".join(f"{volume.dataset} on {volume.mount}" for volume in experiment.data) or "no data set"
        wanted = f"{self.name}: {' or '.join(experiment.types)}, {' or '.join(experiment.markets)}, with {data}"
        self.console.say(wanted, "begins", experiment=self.name, types=experiment.types, markets=experiment.markets)

    def asking(self, pool: Pool) -> None:
        """Leave the line to the answer, which comes within seconds."""

    def refused(self, pool: Pool, refusal: Refusal) -> None:
        """Say what a pool answered."""
        late = " after it had started" if refusal.late else ""
        self.console.say(
            f"  {pool}  {refusal}{late}", "refused", style="yellow", **_fields(pool),
            code=refusal.code, message=refusal.message, meaning=refusal.meaning.name, late=refusal.late,
        )  # fmt: skip

    def region_unready(self, region: str, reason: str) -> None:
        """Say why a region is passed over."""
        self.console.say(
            f"  {region}  passed over: {reason}", "passed-over", style="yellow", region=region, reason=reason
        )

    def started(self, pool: Pool, machine: Instance) -> None:
        """Say that a machine was made, and that it is waited for."""
        identity, zone = machine["InstanceId"], machine["Placement"]["AvailabilityZone"]
        text = f"  {pool}  {identity} starts in {zone}, waiting until it runs"
        self.console.say(text, "started", style="green", **_fields(pool), instance=identity, placed_in=zone)

    def taking_down(self) -> None:
        """Say that what was made is deleted again."""
        self.console.say("  taking down what was made", "taking-down", style="yellow")

    def deleted(self, resource: Resource) -> None:
        """Say what is being deleted."""
        self.console.say(
            f"  deleting {resource}", "deleting", kind=resource.kind, id=resource.id, region=resource.region
        )

    def lives(self, session: Session, machine: Instance) -> None:
        """Say what runs where, how to reach it, and what to do next."""
        found = session.kinds["instance"].resource(machine, machine["Placement"]["AvailabilityZone"][:-1], {})
        took = time.monotonic() - self.since
        self.console.say(
            f"{self.name} runs after {took:.0f} s: {found.id}, {found.details['type']} in {found.details['zone']}",
            "lives", style="green", experiment=self.name, id=found.id, seconds=round(took, 3), **found.details,
        )  # fmt: skip
        members = list(session.members())
        address = found.details.get("address", "(no address)")
        reach = f"ssh {members[0]}@{address}" if members else "nobody yet: members/ is empty, see members/README.md"
        self.console.hint(f"  data    {found.details.get('data', 'none')}")
        self.console.hint(f"  reach   {reach}")
        self.console.hint(f"  next    make status    make teardown EXP={self.name}")


def _fields(pool: Pool) -> dict[str, str | None]:
    return {"region": pool.region, "zone": pool.zone, "subnet": pool.subnet, "type": pool.instance_type,
            "market": pool.market}  # fmt: skip


if __name__ == "__main__":
    run(app)
