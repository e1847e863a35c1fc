"""Starting stopped machines again: capacity may be gone by now, and only their own zone has their volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from ec2lab import clock
from ec2lab.aws.error_codes import TRANSIENT, ApiError, ErrorCategory
from ec2lab.aws.errors import AWS_ERRORS, api_error, rejection
from ec2lab.capacity_pools import MarketType
from ec2lab.errors import LabError
from ec2lab.events import Emit, Progress
from ec2lab.events.launch import LaunchRejected, RetryScheduled
from ec2lab.hosts.inventory import machines_of, region_of
from ec2lab.instance_state import InstanceState, state_of, state_reason_of
from ec2lab.instances.stop import Machine
from ec2lab.polling import attempts, pauses
from ec2lab.session import Session

POLL = 0.2, 5.0
PATIENCE = 15 * 60
"""Seconds until a machine that neither runs nor is refused is reported."""
AGAIN = {ErrorCategory.INSUFFICIENT_CAPACITY, ErrorCategory.ZONE_UNAVAILABLE, *TRANSIENT}
"""What another try may change. Starting what is started already does no harm, so the outcome need not be known."""


@dataclass
class InstanceStarter:
    """The start of one experiment's stopped machines. `capacity_timeout` is how long capacity is asked for."""

    session: Session
    experiment: str
    capacity_timeout: timedelta
    emit: Emit
    _last: dict[str, ApiError] = field(default_factory=dict)

    def run(self) -> list[Machine]:
        """Return the running machines' descriptions. Raises LabError where one can't be had; it stays stopped."""
        if not machines_of(self.session, self.experiment):
            raise LabError(f"{self.experiment}: nothing of it is left; `make launch EXP={self.experiment}` makes it")
        began, seconds = clock.monotonic(), self.capacity_timeout.total_seconds()
        self._settled()
        self._round()
        for pause in pauses(seconds, lambda: clock.monotonic() - began):
            if not self._stopped():
                break
            left = seconds - (clock.monotonic() - began)
            self.emit(RetryScheduled(experiment=self.experiment, seconds=round(pause, 3), seconds_left=round(left, 3)))
            self.session.pause(pause)
            self._round()
        if stopped := self._stopped():
            raise LabError(self._in_vain(stopped))
        return machines_of(self.session, self.experiment)

    def _stopped(self) -> list[Machine]:
        return [m for m in machines_of(self.session, self.experiment) if state_of(m) is InstanceState.STOPPED]

    def _round(self) -> None:
        """Ask for each stopped machine once; one's refusal stops no other."""
        asked = [machine for machine in self._stopped() if self._ask(machine)]
        self._settled(frozenset(machine["InstanceId"] for machine in asked))

    def _ask(self, machine: Machine) -> bool:
        ec2 = self.session.cloud.ec2_no_retry(region_of(machine))
        try:
            ec2.start_instances(InstanceIds=[machine["InstanceId"]])
        except AWS_ERRORS as problem:
            refusal = api_error(problem)
            if refusal.category not in AGAIN:
                raise
            self._refused(machine, refusal)
            return refusal.category is ErrorCategory.AMBIGUOUS
        return True

    def _refused(self, machine: Machine, refusal: ApiError) -> None:
        self._last[machine["InstanceId"]] = refusal
        market = machine.get("InstanceLifecycle", MarketType.ON_DEMAND)
        self.emit(
            LaunchRejected(
                experiment=self.experiment, region=region_of(machine), zone=machine["Placement"]["AvailabilityZone"],
                subnet=machine.get("SubnetId"), instance_type=machine["InstanceType"], market=market,
                instance=machine["InstanceId"], **rejection(refusal),
            )
        )  # fmt: skip

    def _settled(self, asked: frozenset[str] = frozenset()) -> None:
        """Wait until no machine is on its way; one of `asked` that is stopped yet may have been seen too early."""
        began = clock.monotonic()
        for last in attempts(self.session.pause, POLL, PATIENCE):
            waited = clock.monotonic() - began
            moving = []
            for machine in machines_of(self.session, self.experiment):
                state, reason = state_of(machine), state_reason_of(machine)
                if state in (InstanceState.PENDING, InstanceState.STOPPING):
                    moving.append(machine)
                elif state is InstanceState.STOPPED and machine["InstanceId"] in asked:
                    if reason.is_aws and waited > 0:
                        self._refused(machine, ApiError(reason.code, reason.message, late=True))
                        asked = asked - {machine["InstanceId"]}
                    elif waited < self.session.cloud.settling_seconds:
                        moving.append(machine)
            if not moving:
                return
            if last:
                raise LabError(f"{moving[0]['InstanceId']} is still {state_of(moving[0])}; run make start again")
            self.emit(Progress(text=f"  {moving[0]['InstanceId']} is {state_of(moving[0])}"))

    def _in_vain(self, stopped: Sequence[Machine]) -> str:
        machine = stopped[0]
        last = self._last.get(machine["InstanceId"])
        return (
            f"{self.experiment}: {machine['InstanceType']} can't be had in {machine['Placement']['AvailabilityZone']} "
            f"now ({last or 'no clear response'}), where its volumes are; it stays stopped. Run make start later, set "
            f"capacity_timeout, or make teardown and launch, which look elsewhere"
        )
