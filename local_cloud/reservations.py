"""Capacity Reservations and Capacity Blocks of the scenario: each in one zone, for one type.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-capacity-reservations.html,
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-capacity-blocks.html
"""

from __future__ import annotations

from typing import Any

from local_cloud.lifecycle import CAPACITY_FREE_STATES, instances_in
from local_cloud.request import Call
from local_cloud.responses import Answer, Problem, xml_answer
from local_cloud.scenario import Reservation, Scenario

TARGET = "CapacityReservationSpecification.CapacityReservationTarget.CapacityReservationId"
BLOCK = "capacity-block"


def describe(call: Call, scenario: Scenario) -> Answer:
    """Answer DescribeCapacityReservations. Raises Problem for an unknown id."""
    wanted = call.values("CapacityReservationId")
    there = {one.id: one for one in scenario.reservations if one.region == call.region}
    for identity in wanted:
        _known(identity, there)
    items = "".join(_as_xml(there[identity]) for identity in wanted or there)
    return xml_answer(call.action, f"<capacityReservationSet>{items}</capacityReservationSet>")


def targeted(call: Call, scenario: Scenario) -> Reservation | None:
    """Return the reservation that a RunInstances request targets, checked against it. Raises Problem."""
    if not (identity := call.params.get(TARGET)):
        return None
    found = _known(identity, {one.id: one for one in scenario.reservations if one.region == call.region})
    market = call.params.get("InstanceMarketOptions.MarketType", "")
    if (market == BLOCK) != (found.kind == BLOCK):
        raise Problem(
            "InvalidParameterCombination",
            f"The market type '{market or 'on-demand'}' does not match the Capacity Reservation '{identity}'.",
        )
    if (instance_type := call.params["InstanceType"]) != found.type:
        raise Problem(
            "InvalidParameterValue",
            f"The instance type '{instance_type}' does not match the instance type '{found.type}' of the Capacity "
            f"Reservation '{identity}'.",
        )
    if found.state != "active":
        raise Problem("InvalidCapacityReservationState", f"The Capacity Reservation '{identity}' is {found.state}.")
    return found


def room_in(reservation: Reservation, zone: str | None, least: int, most: int) -> int:
    """Return how many instances a reservation accepts, up to `most`. Raises Problem."""
    if zone and zone != reservation.zone:
        raise Problem(
            "InvalidParameterValue",
            f"The Availability Zone '{zone}' does not match that of the Capacity Reservation '{reservation.id}'.",
        )
    if (free := _free(reservation)) < least:
        raise Problem(
            "ReservationCapacityExceeded",
            "The requested reservation does not have sufficient compatible and available capacity for this request.",
        )
    return min(free, most)


def hold(instance: Any, reservation: Reservation | None) -> None:
    instance.in_reservation = reservation.id if reservation else None


def _known(identity: str, there: dict[str, Reservation]) -> Reservation:
    if identity not in there:
        raise Problem(
            "InvalidCapacityReservationId.NotFound", f"The capacity reservation ID '{identity}' does not exist"
        )
    return there[identity]


def _free(reservation: Reservation) -> int:
    used = [
        one
        for one in instances_in(reservation.region)
        if getattr(one, "in_reservation", None) == reservation.id and one.state not in CAPACITY_FREE_STATES
    ]
    return max(0, reservation.total - len(used))


def _as_xml(one: Reservation) -> str:
    return (
        f"<item><capacityReservationId>{one.id}</capacityReservationId><instanceType>{one.type}</instanceType>"
        f"<availabilityZone>{one.zone}</availabilityZone><state>{one.state}</state>"
        f"<totalInstanceCount>{one.total}</totalInstanceCount>"
        f"<availableInstanceCount>{_free(one) if one.state == 'active' else 0}</availableInstanceCount>"
        f"<reservationType>{one.kind}</reservationType></item>"
    )
