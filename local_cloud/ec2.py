"""EC2 in front of moto: each call is validated in the order in which EC2 does."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from local_cloud import (
    clock,
    images,
    metadata_tags,
    network_interfaces,
    reservations,
    run_instances_fixups,
    validation,
)
from local_cloud.client_tokens import ClientTokens
from local_cloud.default_subnets import zones_for
from local_cloud.hosts import Hosts
from local_cloud.lifecycle import CODES, Instances, backend
from local_cloud.placement import Placed, PlacementRequest, place, within_quota
from local_cloud.placement_groups import PlacementGroups
from local_cloud.regions import with_opt_in_states
from local_cloud.request import ACCOUNT, Call
from local_cloud.responses import Answer, Problem, xml_answer
from local_cloud.scenario import Scenario
from local_cloud.snapshots import Snapshots
from local_cloud.spot_requests import SpotRequests
from local_cloud.stub_services import quotas_in
from local_cloud.visibility import Visibility
from local_cloud.volumes import describe_volume_status

RESTART_DELAY = timedelta(seconds=2)
"""EC2 takes longer to stop an instance, and returns whole seconds: two starts of one instance have different times."""

ON_DEMAND = "on-demand"


@dataclass
class Ec2:
    """EC2's state besides moto's, and its decisions."""

    ask_moto: Callable[[Call], Answer]
    scenario: Scenario
    instances: Instances = field(default_factory=Instances)
    tokens: ClientTokens = field(default_factory=ClientTokens)
    snapshots: Snapshots = field(default_factory=Snapshots)
    hosts: Hosts = field(default_factory=Hosts)
    placement_groups: PlacementGroups = field(default_factory=PlacementGroups)
    spot_requests: SpotRequests = field(default_factory=SpotRequests)
    visibility: Visibility = field(default_factory=Visibility)

    def answer(self, call: Call) -> Answer:
        asked = {key: value for key, value in call.params.items() if key != "ClientToken"}
        if call.action == "RunInstances":
            images.resolve(call)
        if not self.tokens.was_used(call):
            self.visibility.check(call)
        validation.check(call)
        metadata_tags.check(call, self.scenario)
        if call.action == "RunInstances":
            self.placement_groups.check_launch(call)
        if call.action == "CopySnapshot":
            self.snapshots.validate_copy(call, self.scenario)
        if call.params.pop("DryRun", "") == "true" and not self.scenario.carries_out_dry_runs_of(call.action):
            raise Problem("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
        if earlier := self.tokens.cached_response(call, asked):
            return _replay(call, earlier)
        answer = self._described(call) if call.action.startswith("Describe") else self._dispatch(call)
        if answer.code is None:
            self.tokens.remember(call, asked, answer)
            self.visibility.made(call, answer, self.scenario)
        return answer

    def _dispatch(self, call: Call) -> Answer:
        decided: dict[str, Callable[[Call], Answer]] = {
            "RunInstances": self._run_instances,
            "StartInstances": self._start_instances,
            "StopInstances": self._stop_instances,
            "TerminateInstances": self._terminate_instances,
            "DescribeInstances": self._describe_instances,
            "DescribeRegions": lambda call: with_opt_in_states(call, self.ask_moto(call), self.scenario),
            "DescribeCapacityReservations": lambda call: reservations.describe(call, self.scenario),
            "GetConsoleOutput": self._console,
            "DescribeVolumeStatus": lambda call: describe_volume_status(call, self.scenario),
            "CreateSnapshot": self._take_snapshot,
            "RegisterImage": self._register_image,
            "EnableFastSnapshotRestores": self.snapshots.enable_fast_restores,
            "DescribeFastSnapshotRestores": self.snapshots.describe_fast_restores,
            "CopySnapshot": self._take_snapshot,
            "CreatePlacementGroup": self.placement_groups.create,
            "DescribePlacementGroups": self.placement_groups.describe,
            "DeletePlacementGroup": self.placement_groups.delete,
            "DescribeSpotInstanceRequests": self.spot_requests.describe,
        }
        if call.action == "DescribeSnapshots":
            _name_owners(call)
        elif call.action == "DeleteKeyPair":
            _name_key_pair(call)
        return decided.get(call.action, self.ask_moto)(call)

    def _described(self, call: Call) -> Answer:
        with self.visibility.hidden(call.region, self.placement_groups):
            return self._dispatch(call)

    def _describe_instances(self, call: Call) -> Answer:
        answer = self.ask_moto(call)
        answer.body = network_interfaces.with_owners(answer.body, call.region)
        return answer

    def _run_instances(self, call: Call) -> Answer:
        placed = self._placed(call)
        self.placement_groups.check_single_zone(call, placed.zone)
        if not validation.subnet(call):
            call.params["Placement.AvailabilityZone"] = placed.zone
        call.params |= {"MinCount": str(placed.count), "MaxCount": str(placed.count)}
        network_interfaces.to_instance_level(call)
        before = run_instances_fixups.Inventory.of(call.region)
        answer = self.ask_moto(call)
        if answer.code is not None:
            before.restore()
        else:
            instances = [backend(call.region).get_instance(identity) for identity in _ids_in(answer)]
            run_instances_fixups.complete(call, instances)
            self.placement_groups.launched(call, instances)
            for instance in instances:
                reservations.hold(instance, placed.reservation)
                self.hosts.give_address(instance)
                self.instances.started(call.region, instance, placed.rule, self.scenario)
                self.visibility.made_with(call.region, instance, self.scenario)
            answer.body = run_instances_fixups.as_initial_response(answer.body)
        return answer

    def _console(self, call: Call) -> Answer:
        instance = backend(call.region).get_instance(call.params["InstanceId"])
        age = clock.now().replace(tzinfo=None) - datetime.fromisoformat(str(instance.launch_time))
        return self.hosts.console(call, self.scenario, age.total_seconds())

    def _register_image(self, call: Call) -> Answer:
        answer = self.ask_moto(call)
        images.registered(call, answer)
        return answer

    def _take_snapshot(self, call: Call) -> Answer:
        answer = self.ask_moto(call)
        if answer.code is None:
            self.snapshots.begun(call, answer, self.scenario)
        return answer

    def _placed(self, call: Call) -> Placed:
        params = call.params
        subnet = validation.subnet(call)
        zone = backend(call.region).get_subnet(subnet).availability_zone if subnet else None
        market = params.get("InstanceMarketOptions.MarketType", ON_DEMAND)
        least, most = int(params.get("MinCount", "1")), int(params.get("MaxCount", "1"))
        pinned = zone or params.get("Placement.AvailabilityZone")
        reserved = reservations.targeted(call, self.scenario)
        if not subnet:
            default_zones = zones_for(call.region, pinned, market)
        if reserved:
            return Placed(reserved.zone, reservations.room_in(reserved, pinned, least, most), None, reserved)
        wanted = PlacementRequest(call.region, params["InstanceType"], market, pinned, least, most)
        return self._place(wanted, None if subnet else default_zones)

    def _place(self, wanted: PlacementRequest, among: set[str] | None = None) -> Placed:
        """Place instances, in one of some zones where none is named."""
        offered = validation.offered_zones(wanted.region, wanted.instance_type)
        if among is not None:
            offered = [zone for zone in offered if zone in among]
        wanted = replace(wanted, most=within_quota(wanted, quotas_in(self.scenario)))
        return place(wanted, offered, self.scenario, self.instances.alive_under)

    def _start_instances(self, call: Call) -> Answer:
        """Start stopped instances: each needs capacity again, in the zone of its volumes."""
        found = _named_instances(call)
        placed = {}
        for instance in found:
            if instance.state == "stopped":
                zone = instance.availability_zone
                wanted = PlacementRequest(call.region, instance.instance_type, instance.lifecycle or ON_DEMAND, zone)
                placed[instance.id] = self._place(wanted)
        answer = self.ask_moto(call)
        for instance in found:
            if instance.id in placed:
                self.hosts.give_address(instance)
                # EC2 returns the last start, moto the first.
                before = datetime.fromisoformat(str(instance.launch_time))
                instance.launch_time = max(clock.now().replace(tzinfo=None), before + RESTART_DELAY)
                self.instances.started(call.region, instance, placed[instance.id].rule, self.scenario, again=True)
        return answer

    def _stop_instances(self, call: Call) -> Answer:
        found = _named_instances(call)
        running = [instance for instance in found if instance.state in ("pending", "running")]
        answer = self.ask_moto(call)
        for instance in running:
            self.instances.stopped(instance, self.scenario)
        return answer

    def _terminate_instances(self, call: Call) -> Answer:
        # moto ends an instance at once. Where it is to shut down for a while the layer ends it, so moto is not called.
        found = _named_instances(call)
        before = {instance.id: instance.state for instance in found}
        for instance in found:
            self.instances.terminate(call.region, instance, self.scenario)
        return _terminating(before, found)


def _named_instances(call: Call) -> list[Any]:
    return [backend(call.region).get_instance(identity) for identity in call.values("InstanceId")]


def _name_owners(call: Call) -> None:
    """Select the snapshots of their owners by filter: moto shows everyone's."""
    if owners := call.values("Owner"):
        filtered = f"Filter.{len(call.numbered('Filter')) + 1}"
        call.params[f"{filtered}.Name"] = "owner-id"
        for number, owner in enumerate(owners, start=1):
            call.params[f"{filtered}.Value.{number}"] = ACCOUNT if owner == "self" else owner


def _name_key_pair(call: Call) -> None:
    """Name the key pair to delete: moto deletes by name only, and always reports success."""
    if identity := call.params.get("KeyPairId"):
        pairs = backend(call.region).key_pairs.values()
        call.params["KeyName"] = next((pair.key_name for pair in pairs if pair.id == identity), identity)


def _ids_in(answer: Answer) -> list[str]:
    return re.findall(r"<instanceId>(i-[0-9a-f]+)</instanceId>", answer.body.decode())


def _replay(call: Call, earlier: Answer) -> Answer:
    """Answer a repeated request like the first one, unless its instance is dead by now."""
    for identity in _ids_in(earlier) if call.action == "RunInstances" else ():
        instance = backend(call.region).get_instance_by_id(identity)
        if instance is None or instance.state == "terminated":
            raise Problem(
                "IdempotentInstanceTerminated", "The request token was used by an instance that is terminated."
            )
    again = Answer(earlier.status, earlier.body)
    own = f"<requestId>{again.request_id}<".encode()
    again.body = re.sub(rb"<requestId>[^<]*<", own, earlier.body)
    return again


def _terminating(before: dict[str, str], found: list[Any]) -> Answer:
    items = "".join(
        f"<item><instanceId>{instance.id}</instanceId>"
        f"<currentState><code>{CODES[instance.state]}</code><name>{instance.state}</name></currentState>"
        f"<previousState><code>{CODES[before[instance.id]]}</code><name>{before[instance.id]}</name></previousState></item>"
        for instance in found
    )
    return xml_answer("TerminateInstances", f"<instancesSet>{items}</instancesSet>")
