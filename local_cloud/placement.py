"""Where EC2 places an instance, or why it does not: offerings and capacity by zone, and vCPU quotas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from moto.ec2.models.instance_types import INSTANCE_TYPES

from ec2lab.quota_names import quota_name
from local_cloud.lifecycle import instances_in
from local_cloud.responses import Problem
from local_cloud.scenario import Capacity, Reservation, Scenario

AliveUnder = Callable[[Capacity], int]  # how many live instances a rule of the scenario granted

OVER_QUOTA = (
    "You have requested more vCPU capacity than your current vCPU limit of {:.0f} allows for the instance bucket that "
    "the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an "
    "adjustment to this limit."
)
NOT_SUPPORTED = "The requested configuration is currently not supported. Please check the documentation for supported \
configurations."


@dataclass(frozen=True)
class PlacementRequest:
    region: str
    instance_type: str
    market: str
    zone: str | None
    least: int = 1
    most: int = 1


@dataclass(frozen=True)
class Placed:
    """Where it is granted, how much of it, and by which rule."""

    zone: str
    count: int
    rule: Capacity | None
    reservation: Reservation | None = None  # whose capacity it is


def place(wanted: PlacementRequest, offered: list[str], scenario: Scenario, alive_under: AliveUnder) -> Placed:
    """Grant a request in one zone, or raise the Problem that EC2 would return."""
    refusing: list[Capacity] = []
    for zone in _zones(wanted, offered):
        rule = _rule(wanted, zone, scenario)
        room = _room(rule, wanted.most, alive_under)
        if room >= wanted.least:
            if rule and rule.late:
                rule.consume()
            return Placed(zone, min(room, wanted.most), rule)
        if rule and not any(rule is other for other in refusing):
            refusing.append(rule)
    elsewhere = [z for z in offered if _room(_rule(wanted, z, scenario), wanted.most, alive_under) >= wanted.least]
    for rule in refusing:
        rule.consume()
    raise Problem(refusing[0].code, refusing[0].message or _message(refusing[0].code, wanted, elsewhere))


def _zones(wanted: PlacementRequest, offered: list[str]) -> list[str]:
    if not offered:
        raise Problem("Unsupported", NOT_SUPPORTED)
    if wanted.zone and wanted.zone not in offered:
        raise Problem(
            "Unsupported",
            f"Your requested instance type ({wanted.instance_type}) is not supported in your requested Availability "
            f"Zone ({wanted.zone}). Please retry your request by not specifying an Availability Zone or choosing "
            f"{', '.join(offered)}.",
        )
    return [wanted.zone] if wanted.zone else offered


def _rule(wanted: PlacementRequest, zone: str, scenario: Scenario) -> Capacity | None:
    pool = (wanted.region, zone, wanted.instance_type, wanted.market)
    return next((rule for rule in scenario.capacity if rule.covers(*pool)), None)


def _room(rule: Capacity | None, most: int, alive_under: AliveUnder) -> int:
    if rule is None or rule.late:
        return most
    return max(0, rule.available - alive_under(rule))


def _message(code: str, wanted: PlacementRequest, elsewhere: list[str]) -> str:
    soon = "Our system will be working on provisioning additional capacity."
    instance_type = wanted.instance_type
    lack = f"We currently do not have sufficient {instance_type}"
    if code == "VcpuLimitExceeded":
        return OVER_QUOTA.format(0)
    if code == "Unsupported":
        return NOT_SUPPORTED
    if not code.startswith("Insufficient"):
        return f"The request was refused for {instance_type} in {wanted.zone or wanted.region}."
    if not wanted.zone:
        return f"{lack} capacity in zones with support for 'gp3' volumes. {soon}"
    hint = (
        f" You can currently get {instance_type} capacity by not specifying an Availability Zone in your request or "
        f"choosing {', '.join(elsewhere)}."
    )
    refusal = f"{lack} capacity in the Availability Zone you requested ({wanted.zone}). {soon}"
    return f"{refusal}{hint}" if elsewhere else refusal


COUNTED = ("pending", "running")


def within_quota(wanted: PlacementRequest, quotas: Mapping[str, float]) -> int:
    """Return how many instances the quota allows, up to `most`. Raises Problem where they are too few."""
    name = quota_name(wanted.instance_type, wanted.market)
    if name is None or (limit := quotas.get(name)) is None:
        return wanted.most
    room = int((limit - _in_use(wanted.region, name)) // _vcpus(wanted.instance_type))
    if room >= wanted.least:
        return min(room, wanted.most)
    if wanted.market == "spot":
        raise Problem("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
    raise Problem("VcpuLimitExceeded", OVER_QUOTA.format(limit))


def _in_use(region: str, name: str) -> int:
    return sum(
        _vcpus(one.instance_type)
        for one in instances_in(region)
        if one.state in COUNTED and quota_name(one.instance_type, one.lifecycle or "on-demand") == name
    )


def _vcpus(instance_type: str) -> int:
    return int(INSTANCE_TYPES[instance_type]["VCpuInfo"]["DefaultVCpus"])
