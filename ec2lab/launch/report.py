"""What the screen, or a program, is told of a launch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from ec2lab import clock
from ec2lab.aws.error_codes import ApiError, ErrorCategory
from ec2lab.aws.errors import remedy_of
from ec2lab.capacity_pools import Pool
from ec2lab.config.models import Experiment
from ec2lab.console import Console
from ec2lab.costs.budget import forecast
from ec2lab.events import Event
from ec2lab.hosts.inventory import region_of, ssh_files
from ec2lab.hosts.ssh_config import SshTarget
from ec2lab.launch.quota_names import quota_name
from ec2lab.launch.run_instances import Instance
from ec2lab.launch.search import Search
from ec2lab.printable import shortened
from ec2lab.resources.base import Resource
from ec2lab.session import Session
from ec2lab.units import duration_text

if TYPE_CHECKING:
    from ec2lab.costs.budget import Budget


class LaunchConsole:
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
        data = ", ".join(f"{volume.dataset} on {volume.mount}" for volume in experiment.data) or "no dataset"
        many = f"{count} x " if count > 1 else ""
        markets = [str(market) for market in experiment.markets]
        wanted = f"{self.name}: {many}{' or '.join(experiment.instance_types)}, {' or '.join(markets)}, with {data}"
        self.console.say(
            wanted, "begins", experiment=self.name, types=experiment.instance_types, markets=markets, count=count
        )
        hourly = forecast(session.prices_at_hand, session.lab, experiment, count).hourly_text
        self.console.hint(f"  price   {hourly}")
        self.console.hint(f"  ends    {end_of(experiment, self.name)}")
        self.console.hint(nobody_can_log_in(session))

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
        self.console.say(f"  {region}  skipped: {reason}", "passed-over", style="yellow", region=region, reason=reason)

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
        """Tell what would help; each refusal was reported as it came."""
        helps = advice(search, self.name)
        for line in helps:
            self.console.hint(f"  {line}")
        if self.console.as_json:
            asked = [{**_fields(p), "code": r.code, "meaning": r.category.name} for p, r in search.refusals.items()]
            self.console.say("", "in-vain", asked=asked, out=list(search.ruled_out.values()), advice=helps)

    def taking_down(self) -> None:
        """Say that what was made is deleted again."""
        self.console.say("  taking down what was made", "taking-down", style="yellow")

    def deleted(self, event: Event) -> None:
        """Say what is being deleted."""
        self.console.emit(event)

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

    def on_setup(self, said: str) -> None:
        """Say how far a machine's set-up is."""
        self.console.say(f"  {said}", "set-up", said=said)

    def reached(self, session: Session, reaches: Sequence[SshTarget]) -> None:
        """Say how the machines are reached, and what to do next."""
        for reach in reaches:
            self.console.say(
                f"  reach   {reach.name} at {reach.address}", "reached", host=reach.name, address=reach.address
            )
        can_log_in = session.instances_boot and session.members()
        if self._runs_something and session.instances_boot:
            self.console.hint(f"  follow  make logs EXP={self.name}    make wait EXP={self.name}")
        which = f"EXP={self.name}" if len(reaches) == 1 else f"HOST={reaches[0].name}"
        ssh = f"make ssh {which}    " if can_log_in else ""
        self.console.hint(f"  next    {ssh}make status    make teardown EXP={self.name}")
        if can_log_in:
            self.console.hint(f"  ssh     from anywhere: in ~/.ssh/config, {ssh_files(session).include_line}")


def nobody_can_log_in(session: Session) -> str:
    """Return, before anything is launched, that nobody will have an account on it; nothing where somebody will."""
    return "" if session.members() else "  login   nobody can: members/ is empty (`make user-add NAME=…` adds one)"


def end_of(experiment: Experiment, name: str) -> str:
    """Return when instances end by themselves, as their experiment says it."""
    ends = [f"{duration_text(experiment.ttl)} after the launch"] if experiment.ttl else []
    ends += [f"after {duration_text(experiment.idle_timeout)} without work"] if experiment.idle_timeout else []
    never = f"never by itself (no ttl): `make teardown EXP={name}` ends it"
    return f"by itself, {' or '.join(ends)}" if ends else never


def _fields(pool: Pool) -> dict[str, str | None]:
    return {"region": pool.region, "zone": pool.zone, "subnet": pool.subnet, "type": pool.instance_type,
            "market": str(pool.market)}  # fmt: skip


EBS_QUOTAS = {
    "VolumeLimitExceeded": 'EBS storage ("Storage for … volumes, in TiB")',
    "MaxIOPSLimitExceeded": 'EBS "IOPS for Provisioned IOPS SSD … volumes"',
    "SnapshotLimitExceeded": 'EBS "Snapshots per Region"',
}
"""By https://docs.aws.amazon.com/general/latest/gr/ebs-service.html."""
NETWORK_QUOTAS = {
    "AddressLimitExceeded": '"EC2-VPC Elastic IPs" (Amazon EC2); releasing an address that nothing uses frees one',
    "NetworkInterfaceLimitExceeded": '"Network interfaces per Region" (Amazon VPC); '
    "deleting interfaces in state `available` frees some",
    "SecurityGroupLimitExceeded": '"VPC security groups per Region" (Amazon VPC); deleting unused groups frees some',
    "RulesPerSecurityGroupLimitExceeded": '"Inbound or outbound rules per security group" (Amazon VPC); '
    "deleting rules of addresses that nobody has any more frees some",
}
"""By https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html, and what else helps."""


def advice(search: Search, experiment: str) -> list[str]:
    """Return what the user can do about each sort of refusal, once each."""
    lines = [line for pool, error in search.refusals.items() if (line := _about(search, pool, error))]
    if any(error.category is ErrorCategory.INSUFFICIENT_CAPACITY for error in search.refusals.values()):
        lines.append(
            f"let experiments/{experiment}.toml take more types, markets or regions, "
            'or go on asking for longer (capacity_timeout = "6h")'
        )
    return list(dict.fromkeys(lines))


def _about(search: Search, pool: Pool, error: ApiError) -> str | None:
    code, said = error.code.removeprefix("Client."), None
    match error.category:
        case ErrorCategory.COMPUTE_QUOTA if name := quota_name(pool.instance_type, pool.market.type):
            said = f"ask AWS for a higher quota: {name}, in {pool.region} (Service Quotas, Amazon EC2)"
        case ErrorCategory.COMPUTE_QUOTA:
            said = f"ask AWS for a higher quota for {pool.instance_type}, {pool.market}, in {pool.region}"
        case ErrorCategory.STORAGE_QUOTA:
            said = f"ask AWS for a higher quota: {EBS_QUOTAS[code]}, in {pool.region} (Service Quotas, Amazon EBS)"
        case ErrorCategory.NETWORK_QUOTA:
            said = f"ask AWS for a higher quota in {pool.region}: {NETWORK_QUOTAS[code]}"
        case ErrorCategory.NOT_OFFERED if (pool.region, pool.instance_type) in search.unoffered:
            said = f"leave {pool.instance_type} out, or add a region that offers it: {pool.region} does not"
        case ErrorCategory.NOT_OFFERED:
            said = (
                f"{pool.region} refuses {pool.instance_type}, {pool.market}, as it is asked for "
                f"({shortened(' '.join(error.message.split()))}): see to the market, "
                "and to the image's architecture and boot mode"
            )
    return said
