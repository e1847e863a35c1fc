"""What AWS says of spot instances that it is about to take away.

The instance finds the same in its metadata, to the second, and rebalance recommendations too, which are otherwise only
in EventBridge and would need a permanent listener.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from ec2lab.aws.cloud import Cloud

INTERRUPTION_CODES = ("marked-for-termination", "marked-for-stop")
"""https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html"""
VALUES = 200  # how many values a filter takes


def spot_statuses(cloud: Cloud, region: str, instances: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Yield (instance, status code, message) of instances' spot requests in a region, 200 per call."""
    rest = iter(sorted(instances))
    while some := list(islice(rest, VALUES)):
        pages = cloud.ec2(region).get_paginator("describe_spot_instance_requests")
        for page in pages.paginate(Filters=[{"Name": "instance-id", "Values": some}]):
            for request in page["SpotInstanceRequests"]:
                status = request.get("Status", {})
                yield request.get("InstanceId", ""), status.get("Code", ""), status.get("Message", "")
