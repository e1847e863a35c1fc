"""What the screen, or a program, is told of a launch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from scripts.core import clock
from scripts.core.aws.aws_errors import remedy_of
from scripts.core.capacity.advice import advice
from scripts.core.capacity.capacity import Pool, Search
from scripts.core.capacity.error_codes import ApiError
from scripts.core.console import Console
from scripts.core.hosts.hosts import region_of, ssh_files
from scripts.core.hosts.ssh_files import Reach
from scripts.core.kind import Resource
from scripts.core.lab.config import Experiment
from scripts.core.launch.asking import Instance
from scripts.core.machines.time_left import left
from scripts.core.session import Session

if TYPE_CHECKING:
    from scripts.core.costs.budget import Budget


class LaunchReport:
    """A listener that speaks to a console."""

    def __init__(self, console: Console, name: str) -> None:
        self.console = console
        self.name = name
        self.since = clock.monotonic()
        self._runs_something = False

    def begins(self, session: Session, experiment: Experiment, count: int) -> None:
        """Say what is wanted, and of whom."""
        self.console.hint(session.cloud.banner)
        self._runs_something = experiment.command is not None
        data = ", ".join(f"{volume.dataset} on {volume.mount}" for volume in experiment.data) or "no data set"
        many = f"{count} x " if count > 1 else ""
        wanted = f"{self.name}: {many}{' or '.join(experiment.types)}, {' or '.join(experiment.markets)}, with {data}"
        self.console.say(
            wanted, "begins", experiment=self.name, types=experiment.types, markets=experiment.markets, count=count
        )

    def within(self, budgets: Sequence[Budget]) -> None:
        """Say how far each budget is used."""
        for budget in budgets:
            text = f"  budget  {budget.limit:,.2f} dollars {budget.of}: {budget.used}"
            self.console.say(
                text, "budget", limit=budget.limit, spent=round(budget.spent, 2), promised=round(budget.promised, 2),
                unknown_prices=budget.unknown,
            )  # fmt: skip

    def refused(self, pool: Pool, refusal: ApiError) -> None:
        """Say what a pool answered."""
        late = " after it had started" if refusal.late else ""
        remedy = f" ({found})" if (found := remedy_of(refusal.code, refusal.message)) else ""
        self.console.say(
            f"  {pool}  {refusal.explained}{remedy}{late}", "refused", style="yellow", **_fields(pool),
            code=refusal.code, message=refusal.message, meaning=refusal.category.name, late=refusal.late,
        )  # fmt: skip

    def region_unready(self, region: str, reason: str) -> None:
        """Say why a region is passed over."""
        self.console.say(
            f"  {region}  passed over: {reason}", "passed-over", style="yellow", region=region, reason=reason
        )

    def taken_up(self, machines: Sequence[Resource]) -> None:
        """Say that an earlier launch was cut off, and what it had made."""
        for machine in machines:
            text = f"  {machine.region}  {machine.id} was made by a launch that was cut off; it is taken up"
            self.console.say(text, "taken-up", style="green", instance=machine.id, region=machine.region)

    def started(self, pool: Pool, machines: Sequence[Instance], missing: int) -> None:
        """Say which machines were made, and what is waited for."""
        for machine in machines:
            identity, zone = machine["InstanceId"], machine["Placement"]["AvailabilityZone"]
            text = f"  {pool}  {identity} starts in {zone}"
            self.console.say(text, "started", style="green", **_fields(pool), instance=identity, placed_in=zone)
        if missing:
            self.console.hint(f"  {missing} more to be found")

    def waiting(self, seconds: float) -> None:
        """Show how long it has been."""
        self.console.progress(f"  waiting until it runs: {seconds:.0f} s")

    def next_round(self, seconds: float, left: float) -> None:
        """Say when all pools are asked again."""
        at = f"{clock.now().astimezone() + timedelta(seconds=seconds):%H:%M:%S}"
        text = f"  all refused; asking again at {at}, for another {timedelta(seconds=round(left))}"
        self.console.say(text, "next-round", style="yellow", seconds=round(seconds, 3), left=round(left, 3))

    def in_vain(self, search: Search) -> None:
        """Show every pool with its last answer, and what would help."""
        rows = [
            [p.region, p.subnet or p.zone or "any", p.instance_type, p.market, str(r)]
            for p, r in search.refusals.items()
        ]
        if rows:
            self.console.table(("region", "zone", "type", "market", "last answer"), rows)
        helps = advice(search, self.name)
        for line in helps:
            self.console.hint(f"  {line}")
        if self.console.as_json:
            asked = [{**_fields(p), "code": r.code, "meaning": r.category.name} for p, r in search.refusals.items()]
            self.console.say("", "in-vain", asked=asked, out=list(search.ruled_out.values()), advice=helps)

    def taking_down(self) -> None:
        """Say that what was made is deleted again."""
        self.console.say("  taking down what was made", "taking-down", style="yellow")

    def deleted(self, resource: Resource) -> None:
        """Say what is being deleted."""
        self.console.say(
            f"  deleting {resource}", "deleting", kind=resource.kind, id=resource.id, region=resource.region
        )

    def lives(self, session: Session, machines: Sequence[Instance]) -> None:
        """Say what runs where, how to reach it, and what to do next."""
        took = clock.monotonic() - self.since
        for machine in machines:
            found = session.kinds["instance"].resource(machine, region_of(machine), {})
            self.console.say(
                f"{self.name} runs after {took:.0f} s: {found.id}, {found.details['type']} in {found.details['zone']}",
                "lives", style="green", experiment=self.name, id=found.id, seconds=round(took, 3), **found.details,
            )  # fmt: skip
            self.console.hint(f"  data    {found.details.get('data', 'none')}")
            if how_long := left(found.details, "running", clock.now()):
                self.console.hint(
                    f"  ends    by itself: {how_long}; `make extend EXP={self.name} TTL=…` sets another end"
                )

    def sets_up(self, said: str) -> None:
        """Say how far a machine's set-up is."""
        self.console.say(f"  {said}", "set-up", said=said)

    def reached(self, session: Session, reaches: Sequence[Reach]) -> None:
        """Say how the machines are reached, and what to do next."""
        for reach in reaches:
            self.console.say(
                f"  reach   {reach.name} at {reach.address}", "reached", host=reach.name, address=reach.address
            )
        if not session.members():
            self.console.hint("          by nobody yet: members/ is empty, `make user-add NAME=…` adds one")
        which = f"EXP={self.name}" if len(reaches) == 1 else f"HOST={reaches[0].name}"
        if self._runs_something:
            self.console.hint(f"  follow  make logs EXP={self.name}    make wait EXP={self.name}")
        self.console.hint(f"  next    make ssh {which}    make status    make teardown EXP={self.name}")
        self.console.hint(
            f"          to ssh from anywhere: Include {ssh_files(session).hosts_pattern} in ~/.ssh/config"
        )


def _fields(pool: Pool) -> dict[str, str | None]:
    return {"region": pool.region, "zone": pool.zone, "subnet": pool.subnet, "type": pool.instance_type,
            "market": pool.market}  # fmt: skip
