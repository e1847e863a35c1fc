"""Which spot machines AWS is about to take away, as it tells whoever asks from outside.

The machine itself is told the same in its metadata, to the second; and alone it is told of a rebalance recommendation,
which else only EventBridge has, and that would need something that listens all the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from scripts.core.aws.cloud import Cloud

MARKED = ("marked-for-termination", "marked-for-stop")
"""https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html"""
VALUES = 200
"""How many values a filter takes."""


def spot_statuses(cloud: Cloud, region: str, machines: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Yield (machine, status code, message) of the spot requests of machines in a region: one call for 200 of them."""
    rest = iter(sorted(machines))
    while some := list(islice(rest, VALUES)):
        pages = cloud.ec2(region).get_paginator("describe_spot_instance_requests")
        for page in pages.paginate(Filters=[{"Name": "instance-id", "Values": some}]):
            for request in page["SpotInstanceRequests"]:
                status = request.get("Status", {})
                yield request.get("InstanceId", ""), status.get("Code", ""), status.get("Message", "")
