"""Capacity Reservations and Capacity Blocks: capacity in one zone, for one type, for a time.

They are described before they are requested, because EC2 rejects what does not match one without saying what would
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
"""By market, the ReservationType in EC2."""
ACTIVE = "active"
NOT_YET = ("pending", "scheduled", "assessing", "delayed", "payment-pending")  # states that may be followed by `active`


@dataclass(frozen=True, slots=True)
class Reservation:
    id: str
    zone: str
    instance_type: str
    kind: str  # ReservationType
    state: str
    free: int
    total: int

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Self:
        return cls(
            described["CapacityReservationId"], described.get("AvailabilityZone", ""), described["InstanceType"],
            described.get("ReservationType", KINDS[MarketType.RESERVATION]), described.get("State", ACTIVE),
            described.get("AvailableInstanceCount", 0), described.get("TotalInstanceCount", 0),
        )  # fmt: skip

    def exclusion_reason(self, market: Market, instance_type: str) -> str | None:
        """Return why it can never be used for a type and a market; None if it can."""
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
        """Return why it has no `wanted` free instances now; None if it does."""
        if self.state != ACTIVE:
            return f"{self.id} is {self.state}"
        if self.free < wanted:
            return f"{self.id} has {self.free} of {self.total} instances free"
        return None


def find(ec2: EC2Client, market: Market) -> Reservation | None:
    try:
        found = ec2.describe_capacity_reservations(CapacityReservationIds=[market.reservation])
    except ClientError as error:
        if not error.response["Error"]["Code"].startswith("InvalidCapacityReservationId"):
            raise
        return None
    return next(map(Reservation.of, found["CapacityReservations"]), None)


def read_reservations(cloud: Cloud, preferences: PlacementPreferences, search: Search) -> None:
    """Add the reservations that an experiment names to the search, as far as AWS describes them."""
    for market in (market for market in preferences.markets if market.reservation):
        for region in preferences.regions:
            with suppress(*AWS_ERRORS):
                search.reserve(region, market, find(cloud.ec2(region), market))
