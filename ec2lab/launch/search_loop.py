"""Runs the capacity search: tries pool after pool, in rounds, until no instance is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

from ec2lab import clock
from ec2lab.aws.authorization import decoded
from ec2lab.aws.error_codes import STOPS, ApiError, ErrorCategory
from ec2lab.aws.errors import RegionUnavailable, format_code, rejection
from ec2lab.capacity_pools import Pool
from ec2lab.config.models import Experiment
from ec2lab.datasets.dataset import in_no_region
from ec2lab.errors import UserError
from ec2lab.events import Emit, Info
from ec2lab.events.launch import InstancePending, LaunchRejected, RegionSkipped, Resumed, RetryScheduled
from ec2lab.launch.launched_instances import LaunchedInstances
from ec2lab.launch.region_specs import RegionSpecs, Zones, zones_in_time
from ec2lab.launch.reservations import read_reservations
from ec2lab.launch.resume import is_wanted, requests_of, same_request
from ec2lab.launch.rollback import Rollback
from ec2lab.launch.run_instances import RequestRejected, Unclear, ask
from ec2lab.launch.run_instances_request import build_request, pool_of
from ec2lab.launch.search import PlacementPreferences, Search, exhausted_event, placement_preferences
from ec2lab.launch.shared_by_launches import SharedByLaunches
from ec2lab.polling import pauses
from ec2lab.registry.evidence import token_of
from ec2lab.registry.record import Record, new_id
from ec2lab.resource import Resource
from ec2lab.resources.reconcile import reconcile
from ec2lab.session import Session


@dataclass
class SearchLoop:
    session: Session
    name: str
    experiment: Experiment
    instances: LaunchedInstances
    emit: Emit
    rollback: Rollback
    _skipped: dict[str, RegionUnavailable] = field(default_factory=dict)
    """Regions that were skipped, and why, until that is reported."""

    @cached_property
    def specs(self) -> RegionSpecs:
        return RegionSpecs(self.session, self.name, self.experiment)

    @cached_property
    def preferences(self) -> PlacementPreferences:
        return placement_preferences(self.session.lab, self.name, self.experiment)

    @cached_property
    def search(self) -> Search:
        return Search(self.preferences, lambda region, instance_type: self._zones(region).to_try(instance_type))

    @cached_property
    def _zones(self) -> Callable[[str], Zones]:
        return cache(lambda region: zones_in_time(self.session, region, self.experiment.instance_types))

    @property
    def is_all_or_nothing(self) -> bool:
        """Whether a partial result is useless, because nodes are placed together."""
        return self.experiment.nodes > 1

    @property
    def _least(self) -> int:
        return self.instances.missing if self.is_all_or_nothing else 1

    def resend(self, intent: Record) -> None:
        """Resend a request whose response was lost: its ClientToken brings that one's instances, or new ones."""
        if intent.operation != "RunInstances" or not is_wanted(intent, self.preferences, self.instances.missing):
            return
        self.rollback.may_hold_something |= self.is_all_or_nothing
        if not (request := same_request(self.session.cloud, self.specs, intent)):
            return
        self.rollback.asked_before()
        region = str(intent.region)
        ec2, limiter = self.session.cloud.ec2_no_retry(region), self.session.once(SharedByLaunches).limiter(region)
        # Either nothing was created, or AWS will show it later; the search continues in its own order.
        with suppress(RequestRejected, Unclear):
            ask(ec2, request, token_of(intent), limiter, renew=False)

    def adopt(self, left: Sequence[Resource]) -> None:
        if not left:
            return
        self.rollback.may_hold_something = True
        for instance in left:
            self.emit(Resumed(experiment=self.name, instance=instance.id, region=instance.region))
        requests = requests_of(self.session.records, self.name, left)
        for region in sorted({instance.region for instance in left}):
            ids = {instance.id for instance in left if instance.region == region}
            request = next((requests[identity] for identity in sorted(ids) if identity in requests), {})
            self.instances.add(pool_of(request, region), ids, request)

    def run(self) -> None:
        """Search in rounds until nothing is missing, no pool is left, or capacity_timeout expires."""
        self._wait()  # for the instances of an interrupted launch
        if not self.instances.missing:
            return
        began = clock.monotonic()
        capacity_timeout = self.experiment.capacity_timeout.total_seconds()
        self._round()
        for pause in pauses(capacity_timeout, lambda: clock.monotonic() - began):
            if not self.instances.missing or self.search.exhausted():
                return
            self._report_skipped()
            left = capacity_timeout - (clock.monotonic() - began)
            self.emit(RetryScheduled(experiment=self.name, seconds=round(pause, 3), seconds_left=round(left, 3)))
            self.session.pause(pause)
            self._round()

    def expect(self, at_least: int) -> None:
        """Raise UserError with the results of the search if fewer than `at_least` instances run."""
        if len(self.instances.running) < at_least:
            self._check_offers()
            if self.search.errors:
                self._report_skipped()
            self.emit(exhausted_event(self.search, self.name))
            raise UserError(self._in_vain(at_least))

    def _round(self) -> None:
        read_reservations(self.session.cloud, self.preferences, self.search)
        for pool in self.search.round():
            if lack := self.search.lack(pool, self._least):
                self._record_failure(pool, ApiError("ReservationCapacityExceeded", lack))
            elif self._is_ready(pool):
                self._ask(pool)
            if not self.instances.missing:
                self._wait()
            if not self.instances.missing:
                return
        self._wait()

    def _is_ready(self, pool: Pool) -> bool:
        """Prepare everything that an instance of a pool needs. Returns False if the region lacks something."""
        try:
            # Refuse what AWS would reject before anything is created.
            build_request(self.specs.plain(pool.region), pool)
            # The groups of nodes are created before the first instance.
            self.rollback.may_hold_something |= self.is_all_or_nothing
            self.specs.ready(pool.region)
        except RegionUnavailable as lack:
            self._skip(pool.region, lack)
            return False
        return True

    def _skip(self, region: str, lack: RegionUnavailable) -> None:
        if lack.may_pass:
            self.search.pass_over(region, str(lack))
            self.specs.forget(region)
        else:
            self.search.exclude_region(region, str(lack), lack.error)
        self._skipped[region] = lack

    def _report_skipped(self) -> None:
        """Report skipped regions once another one is tried; otherwise the final error names them."""
        for region, lack in self._skipped.items():
            self.emit(RegionSkipped(experiment=self.name, region=region, reason=str(lack)))
        self._skipped.clear()

    def _ask(self, pool: Pool) -> None:
        """Request all missing instances from a pool, and add those that it returns."""
        self._report_skipped()
        request = build_request(self.specs.ready(pool.region), pool, self.instances.missing, self._least)
        ec2 = self.session.cloud.ec2_no_retry(pool.region)
        # If this pool fails, the next region is ready.
        self.specs.warm_up(region for region in self.preferences.regions if region != pool.region)
        try:
            with self.rollback.asking():
                made = ask(ec2, request, new_id(), self.session.once(SharedByLaunches).limiter(pool.region))
        except RequestRejected as no:
            self._record_failure(pool, no.error)
        except Unclear as lost:
            self._reconcile(pool, request, lost)
        else:
            self.instances.add(pool, {instance["InstanceId"] for instance in made}, request)
            for one in made:
                placed = {"instance": one["InstanceId"], "placed_in": one["Placement"]["AvailabilityZone"]}
                self.emit(InstancePending.of(pool, experiment=self.name, **placed))
            if missing := self.instances.missing:
                self.emit(Info(text=f"  {missing} more to be found"))

    def _reconcile(self, pool: Pool, request: Mapping[str, Any], lost: Unclear) -> None:
        """Find out whether a request whose responses were lost created something; if not, continue elsewhere."""
        shown = [
            r for r in reconcile(self.session, self.name) if (r.resource_type, r.region) == ("instance", pool.region)
        ]
        if found := {resource.id for resource in shown} - self.instances.ids:
            self.instances.add(pool, found, request)
        else:
            self._record_failure(pool, lost.error)
            self.search.pass_over(pool.region, str(lost))

    def _wait(self) -> None:
        """Wait until each pending instance runs or has terminated, which counts as a late rejection."""
        for pool, error in self.instances.settle(self.emit):
            self._record_failure(pool, error)
        if self.is_all_or_nothing and self.instances.missing:
            # The next request launches all of them together, elsewhere.
            self.instances.give_back(self.emit)

    def _record_failure(self, pool: Pool, error: ApiError) -> None:
        self.search.record_failure(pool, error)
        self.emit(LaunchRejected.of(pool, experiment=self.name, **rejection(error)))
        if error.category in STOPS:
            raise UserError(self._in_words(replace(error, region=pool.region)))
        # While this region is queried, the others can be prepared.
        self.specs.prefetch(self.preferences.regions)

    def _check_offers(self) -> None:
        """Check whether types rejected as unsupported are not offered there: that is one of several causes."""
        not_offered = [pool for pool, e in self.search.errors.items() if e.category is ErrorCategory.NOT_OFFERED]
        for region, instance_type in {(pool.region, pool.instance_type) for pool in not_offered}:
            if reason := self._zones(region).exclusion_reason(instance_type, region, None):
                self.search.unoffered[region, instance_type] = reason

    def _in_words(self, error: ApiError) -> str:
        message = decoded(self.session.cloud, error.region, error)
        return f"{error.region}: {format_code(error.code, message)}"

    def _in_vain(self, at_least: int) -> str:
        if error := self.search.global_error():
            return self._in_words(error) + (", according to every region" if len(self.preferences.regions) > 1 else "")
        if not self.search.errors:
            why = in_no_region(self._skipped.values()) or "; ".join(self.search.reasons())
            return f"{self.name}: no region is usable: {why}"
        running = len(self.instances.running)
        had = f"{running} of {at_least} instances were" if running else "no instance was"
        return f"{self.name}: {had} available; {len(self.search.errors)} pools were tried"
