"""What a cloud holds, asked of it directly."""

from __future__ import annotations

DEAD = ("terminated", "shutting-down")


def living_in(cloud, region: str, kind: str) -> list[dict]:
    """Everything of a kind in a region that costs money."""
    ec2 = cloud.client("ec2", region)
    if kind == "instance":
        found = [i for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]]
        return [instance for instance in found if instance["State"]["Name"] not in DEAD]
    if kind == "volume":
        return ec2.describe_volumes()["Volumes"]
    raise ValueError(kind)
