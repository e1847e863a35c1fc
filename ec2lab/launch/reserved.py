"""What a search knows of reserved capacity before it asks for any."""

from __future__ import annotations

from ec2lab.aws.cloud import Cloud
from ec2lab.aws.errors import AWS_ERRORS
from ec2lab.launch.reservations import find, is_reserved
from ec2lab.launch.search import PlacementPreferences, Search


def look_at_reservations(cloud: Cloud, wishes: PlacementPreferences, search: Search) -> None:
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
