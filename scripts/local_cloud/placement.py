"""Where EC2 puts a machine, or why it does not: offerings and capacity, zone by zone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scripts.local_cloud.answers import Problem
from scripts.local_cloud.weather import Capacity, Weather

AliveUnder = Callable[[Capacity], int]
"""How many living machines count against a rule."""


@dataclass(frozen=True)
class Wanted:
    """What a RunInstances request asks for."""

    region: str
    instance_type: str
    market: str
    zone: str | None
    least: int
    most: int


@dataclass(frozen=True)
class Placed:
    """Where it is granted, how much of it, and the rule under which it will die late."""

    zone: str
    count: int
    late: Capacity | None = None


def place(wanted: Wanted, offered: list[str], weather: Weather, alive_under: AliveUnder) -> Placed:
    """Grant a request in one zone, or raise the Problem that EC2 would answer."""
    zones = _zones(wanted, offered)
    refusals: list[Capacity] = []
    for zone in zones:
        rule = _rule(wanted, zone, weather)
        room = _room(rule, wanted.most, alive_under)
        if room >= wanted.least:
            return Placed(zone, min(room, wanted.most), rule if rule and rule.late else None)
        if rule and rule not in refusals:
            refusals.append(rule)
    for rule in refusals:
        if rule.calls:
            rule.calls -= 1
    elsewhere = [z for z in offered if _room(_rule(wanted, z, weather), wanted.most, alive_under) >= wanted.least]
    raise Problem(refusals[0].code, refusals[0].message or _message(refusals[0].code, wanted, elsewhere))


def _zones(wanted: Wanted, offered: list[str]) -> list[str]:
    """Return the zones that come into question. Raises Problem where the type is not offered."""
    if not offered:
        raise Problem("Unsupported", "The requested configuration is currently not supported. Please check the "
                      "documentation for supported configurations.")  # fmt: skip
    if wanted.zone and wanted.zone not in offered:
        raise Problem(
            "Unsupported",
            f"Your requested instance type ({wanted.instance_type}) is not supported in your requested Availability "
            f"Zone ({wanted.zone}). Please retry your request by not specifying an Availability Zone or choosing "
            f"{', '.join(offered)}.",
        )
    return [wanted.zone] if wanted.zone else offered


def _rule(wanted: Wanted, zone: str, weather: Weather) -> Capacity | None:
    pool = (wanted.region, zone, wanted.instance_type, wanted.market)
    return next((rule for rule in weather.capacity if rule.covers(*pool)), None)


def _room(rule: Capacity | None, most: int, alive_under: AliveUnder) -> int:
    if rule is None or rule.late:
        return most
    return max(0, rule.available - alive_under(rule))


def _message(code: str, wanted: Wanted, elsewhere: list[str]) -> str:
    """Return EC2's own words for a refusal."""
    soon = "Our system will be working on provisioning additional capacity."
    if code == "VcpuLimitExceeded":
        return (
            "You have requested more vCPU capacity than your current vCPU limit of 0 allows for the instance bucket "
            "that the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request "
            "to request an adjustment to this limit."
        )
    if code == "Unsupported":
        return "The requested configuration is currently not supported. Please check the documentation."
    if not wanted.zone:
        where = "in zones with support for 'gp3' volumes"
        return f"We currently do not have sufficient {wanted.instance_type} capacity {where}. {soon}"
    hint = f" or choosing {', '.join(elsewhere)}" if elsewhere else ""
    return (
        f"We currently do not have sufficient {wanted.instance_type} capacity in the Availability Zone you requested "
        f"({wanted.zone}). {soon} You can currently get {wanted.instance_type} capacity by not specifying an "
        f"Availability Zone in your request{hint}."
    )
