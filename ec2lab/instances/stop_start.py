"""Stopping an experiment's instances, and starting them again.

Their volumes stay, nothing runs, and what would be lost is said before. Capacity may be gone by the time of the start,
and only their own zone has their volumes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from ec2lab import clock
from ec2lab.aws.error_codes import TRANSIENT, ApiError, ErrorCategory
from ec2lab.aws.errors import AWS_ERRORS, api_error, rejection
from ec2lab.capacity_pools import MarketType
from ec2lab.errors import UserError
from ec2lab.events import Emit, Progress
from ec2lab.events.launch import LaunchRejected, RetryScheduled
from ec2lab.hosts.inventory import absent, instances_of, region_of
from ec2lab.instance_state import UP, Instance, InstanceState, state_of, state_reason_of
from ec2lab.polling import attempts, pauses
from ec2lab.session import Session

AT_REST = (InstanceState.STOPPED, InstanceState.TERMINATED)
STOP_POLL = 0.5, 10.0
STOP_TIMEOUT = 20 * 60
"""Seconds after which an instance that does not stop is reported. Large ones take minutes."""


@dataclass(frozen=True)
class Stopping:
    session: Session
    experiment: str

    def instances(self) -> list[Instance]:
        """Return the running ones. Raises UserError where there are none, or AWS cannot stop one.

        A one-time spot instance cannot be stopped, only terminated
        (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/stop-spot-instances.html).
        """
        instances = instances_of(self.session, self.experiment)
        if not instances:
            raise absent(self.session, self.experiment, "no live instance")
        spot = [instance["InstanceId"] for instance in instances if instance.get("InstanceLifecycle") == "spot"]
        if spot:
            raise UserError(
                f"{self.experiment}: {', '.join(spot)} is a spot instance, which can't be stopped: save "
                f"what is on it, then run `make teardown EXP={self.experiment}`"
            )
        return [instance for instance in instances if state_of(instance) in UP]

    def losses(self, instances: Sequence[Instance]) -> list[str]:
        """Return a line for each type with instance store, whose content a stop loses."""
        types = {(region_of(instance), instance["InstanceType"]) for instance in instances}
        found = []
        for region, instance_type in sorted(types):
            described = self.session.cloud.ec2(region).describe_instance_types(InstanceTypes=[instance_type])
            size = described["InstanceTypes"][0].get("InstanceStorageInfo", {}).get("TotalSizeInGB")
            if size:
                found.append(f"{instance_type}: what is on its own disks ({size} GB of instance store) is lost")
        return found

    def run(self, instances: Sequence[Instance], waiting: Callable[[Instance], None]) -> None:
        """Stop instances and wait until AWS reports them stopped; resumable. Raises UserError."""
        for region in sorted({region_of(instance) for instance in instances}):
            ids = [instance["InstanceId"] for instance in instances if region_of(instance) == region]
            self.session.cloud.ec2(region).stop_instances(InstanceIds=ids)
        self.wait(waiting)

    def wait(self, waiting: Callable[[Instance], None]) -> None:
        """Wait until no instance of the experiment is stopping. Raises UserError where one does not finish."""
        for last in attempts(self.session.pause, STOP_POLL, STOP_TIMEOUT):
            moving = [m for m in instances_of(self.session, self.experiment) if state_of(m) not in AT_REST]
            if not moving:
                return
            if last:
                raise UserError(f"{moving[0]['InstanceId']} is still {state_of(moving[0])}; run make stop again")
            waiting(moving[0])


START_POLL = 0.2, 5.0
START_TIMEOUT = 15 * 60  # seconds after which an instance that neither runs nor is rejected is reported
AGAIN = {ErrorCategory.INSUFFICIENT_CAPACITY, ErrorCategory.ZONE_UNAVAILABLE, *TRANSIENT}
"""Errors that another try may not have. Starting a running instance is harmless, so the outcome need not be known."""


@dataclass
class InstanceStarter:
    """Starts one experiment's stopped instances. `capacity_timeout` limits the search for capacity."""

    session: Session
    experiment: str
    capacity_timeout: timedelta
    emit: Emit
    _last: dict[str, ApiError] = field(default_factory=dict)

    def run(self) -> list[Instance]:
        """Return the running instances' descriptions. Raises UserError where one cannot start; it stays stopped."""
        if not instances_of(self.session, self.experiment):
            raise absent(self.session, self.experiment, "no instance is left")
        began, seconds = clock.monotonic(), self.capacity_timeout.total_seconds()
        self._wait_for_transitions()
        self._round()
        for pause in pauses(seconds, lambda: clock.monotonic() - began):
            if not self._stopped():
                break
            left = seconds - (clock.monotonic() - began)
            self.emit(RetryScheduled(experiment=self.experiment, seconds=round(pause, 3), seconds_left=round(left, 3)))
            self.session.pause(pause)
            self._round()
        if stopped := self._stopped():
            raise UserError(self._in_vain(stopped))
        return instances_of(self.session, self.experiment)

    def _stopped(self) -> list[Instance]:
        return [m for m in instances_of(self.session, self.experiment) if state_of(m) is InstanceState.STOPPED]

    def _round(self) -> None:
        """Try each stopped instance once; an error of one does not stop the others."""
        asked = [instance for instance in self._stopped() if self._ask(instance)]
        self._wait_for_transitions(frozenset(instance["InstanceId"] for instance in asked))

    def _ask(self, instance: Instance) -> bool:
        ec2 = self.session.cloud.ec2_no_retry(region_of(instance))
        try:
            ec2.start_instances(InstanceIds=[instance["InstanceId"]])
        except AWS_ERRORS as problem:
            error = api_error(problem)
            if error.category not in AGAIN:
                raise
            self._record_failure(instance, error)
            return error.category is ErrorCategory.AMBIGUOUS
        return True

    def _record_failure(self, instance: Instance, error: ApiError) -> None:
        self._last[instance["InstanceId"]] = error
        market = instance.get("InstanceLifecycle", MarketType.ON_DEMAND)
        self.emit(
            LaunchRejected(
                experiment=self.experiment, region=region_of(instance), zone=instance["Placement"]["AvailabilityZone"],
                subnet=instance.get("SubnetId"), instance_type=instance["InstanceType"], market=market,
                instance=instance["InstanceId"], **rejection(error),
            )
        )  # fmt: skip

    def _wait_for_transitions(self, asked: frozenset[str] = frozenset()) -> None:
        """Wait until no instance is in transition; one of `asked` may still look stopped at first."""
        began = clock.monotonic()
        for last in attempts(self.session.pause, START_POLL, START_TIMEOUT):
            waited = clock.monotonic() - began
            moving = []
            for instance in instances_of(self.session, self.experiment):
                state, reason = state_of(instance), state_reason_of(instance)
                if state in (InstanceState.PENDING, InstanceState.STOPPING):
                    moving.append(instance)
                elif state is InstanceState.STOPPED and instance["InstanceId"] in asked:
                    if reason.is_aws and waited > 0:
                        self._record_failure(instance, ApiError(reason.code, reason.message, late=True))
                        asked = asked - {instance["InstanceId"]}
                    elif waited < self.session.cloud.consistency_seconds:
                        moving.append(instance)
            if not moving:
                return
            if last:
                raise UserError(f"{moving[0]['InstanceId']} is still {state_of(moving[0])}; run make start again")
            self.emit(Progress(text=f"  {moving[0]['InstanceId']} is {state_of(moving[0])}"))

    def _in_vain(self, stopped: Sequence[Instance]) -> str:
        instance = stopped[0]
        last = self._last.get(instance["InstanceId"])
        return (
            f"{self.experiment}: {instance['InstanceType']} is not available in "
            f"{instance['Placement']['AvailabilityZone']} now ({last or 'no clear response'}), where its "
            "volumes are; it stays stopped. Run make start later, set "
            f"capacity_timeout, or make teardown and launch, which search elsewhere"
        )
