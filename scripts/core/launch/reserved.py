"""What a search knows of reserved capacity before it asks for any."""

from __future__ import annotations

from scripts.core.aws.aws_errors import AWS_ERRORS
from scripts.core.aws.cloud import Cloud
from scripts.core.capacity.capacity import Search, Wishes
from scripts.core.capacity.reservations import find, is_reserved


def look_at_reservations(cloud: Cloud, wishes: Wishes, search: Search) -> None:
    """Describe the reservations that an experiment names, in each region, and tell the search of them.

    Where that is not possible the search asks without knowing, and EC2's own error says what does not fit.
    """
    for market in filter(is_reserved, wishes.markets):
        for region in wishes.regions:
            try:
                found = find(cloud.ec2(region), market)
            except AWS_ERRORS:
                continue
            search.reserve(region, market, found)
