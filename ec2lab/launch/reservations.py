"""Capacity that the account has reserved: in one zone, for one type, for a time.

A reservation is described before it is asked for: EC2 refuses what does not fit it, and does not say what would
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/capacity-reservations-using.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import ClientError

from ec2lab.aws.errors import AWS_ERRORS
from ec2lab.capacity_pools import Market, MarketType

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

    from ec2lab.aws.cloud import Cloud
    from ec2lab.launch.search import PlacementPreferences, Search

KINDS = {MarketType.RESERVATION: "default", MarketType.CAPACITY_BLOCK: "capacity-block"}
"""Markets, and their ReservationType in EC2."""
ACTIVE = "active"
NOT_YET = ("pending", "scheduled", "assessing", "delayed", "payment-pending")
"""States after which a reservation may be active."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """A Capacity Reservation or a Capacity Block."""

    id: str
    zone: str
    instance_type: str
    kind: str
    """ReservationType."""
    state: str
    free: int
    total: int

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Self:
        """Read a description."""
        return cls(
            described["CapacityReservationId"], described.get("AvailabilityZone", ""), described["InstanceType"],
            described.get("ReservationType", KINDS[MarketType.RESERVATION]), described.get("State", ACTIVE),
            described.get("AvailableInstanceCount", 0), described.get("TotalInstanceCount", 0),
        )  # fmt: skip

    def exclusion_reason(self, market: Market, instance_type: str) -> str | None:
        """Return why it will never hold an instance of a type, asked for as a market; None if it may."""
        asked = KINDS.get(market.type, "")
        if self.kind != asked:
            other = next((name for name, kind in KINDS.items() if kind == self.kind), self.kind)
            return f"{self.id} is a {self.kind.replace('default', 'capacity reservation')} (write {other}:{self.id})"
        if self.instance_type != instance_type:
            return f"{self.id} is for {self.instance_type}, not for {instance_type}"
        if self.state not in (ACTIVE, *NOT_YET):
            return f"{self.id} is {self.state}"
        return None

    def lack(self, wanted: int) -> str | None:
        """Return why it holds no so many instances now; None if it does."""
        if self.state != ACTIVE:
            return f"{self.id} is {self.state}"
        if self.free < wanted:
            return f"{self.id} has {self.free} of {self.total} instances free"
        return None


def find(ec2: EC2Client, market: Market) -> Reservation | None:
    """Return a market's reservation in the client's region; None where it is not there."""
    try:
        found = ec2.describe_capacity_reservations(CapacityReservationIds=[market.reservation])
    except ClientError as refusal:
        if not refusal.response["Error"]["Code"].startswith("InvalidCapacityReservationId"):
            raise
        return None
    return next(map(Reservation.of, found["CapacityReservations"]), None)


def look_at_reservations(cloud: Cloud, preferences: PlacementPreferences, search: Search) -> None:
    """Describe the reservations that an experiment names, in each region, and tell the search of them.

    Where that is not possible the search asks without knowing, and EC2's own error says what does not fit.
    """
    for market in (market for market in preferences.markets if market.reservation):
        for region in preferences.regions:
            with suppress(*AWS_ERRORS):
                search.reserve(region, market, find(cloud.ec2(region), market))
