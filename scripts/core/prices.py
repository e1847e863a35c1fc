"""What things cost, as far as AWS says; what it does not say is unknown, never zero."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from scripts.core.capacity import Pool
from scripts.core.cloud import Cloud

PRICING_REGION = "us-east-1"
"""The Pricing API answers for all regions, and only here, in ap-south-1 and in eu-central-1
(https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html)."""

LINUX = {"operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used"}
SNAPSHOT_USAGE = "EBS:SnapshotUsage"
"""The usage type of what standard snapshots store; the archive's and others' end otherwise."""
SPOT_PRODUCTS = ["Linux/UNIX", "Linux/UNIX (Amazon VPC)"]

Dollars = float | None


class VolumePart(StrEnum):
    """What of a volume is paid for, as its usage types are named (a region is in front, the volume type behind)."""

    SIZE = "EBS:VolumeUsage"
    """By GiB and month."""
    IOPS = "EBS:VolumeP-IOPS"
    """By operation a second and month; of io2 the first 32,000, what is beyond costs less."""
    THROUGHPUT = "EBS:VolumeP-Throughput"
    """By GiB/s and month."""


def on_demand(cloud: Cloud, region: str, instance_type: str) -> Dollars:
    """Return the list price of a type in a region, in dollars an hour."""
    return _list_price(cloud, {"instanceType": instance_type, "regionCode": region, **LINUX})


def snapshot_gib_month(cloud: Cloud, region: str) -> Dollars:
    """Return the list price of one GiB stored in a standard snapshot, in dollars a month."""
    return _list_price(cloud, {"productFamily": "Storage Snapshot", "regionCode": region}, SNAPSHOT_USAGE)


def volume(cloud: Cloud, region: str, volume_type: str, part: VolumePart) -> Dollars:
    """Return the list price of a part of a volume, in dollars a month."""
    named = {"io1": ".piops", "standard": ""}.get(volume_type, f".{volume_type}")
    return _list_price(cloud, {"volumeApiName": volume_type, "regionCode": region}, f"{part}{named}")


def address(cloud: Cloud, region: str, *, used: bool) -> Dollars:
    """Return the list price of a public IPv4 address, in dollars an hour."""
    usage = "PublicIPv4:InUseAddress" if used else "PublicIPv4:IdleAddress"
    wanted = {"group": "VPCPublicIPv4Address", "regionCode": region}
    return _list_price(cloud, wanted, usage, service="AmazonVPC")


def _list_price(cloud: Cloud, wanted: Mapping[str, str], usage: str = "", service: str = "AmazonEC2") -> Dollars:
    """Return the list price of what has these attributes, and a usage type that ends so (a region is in front)."""
    filters = [{"Type": "TERM_MATCH", "Field": key, "Value": value} for key, value in wanted.items()]
    try:
        found = cloud.client("pricing", PRICING_REGION).get_products(ServiceCode=service, Filters=filters)
    except (ClientError, BotoCoreError):
        return None  # not allowed, or out of reach: a price that is not known is shown as unknown
    products = [json.loads(product) for product in found["PriceList"]]
    meant = [p for p in products if not usage or p["product"]["attributes"]["usagetype"].endswith(usage)]
    return max((price for product in meant for price in _dollars(product)), default=None)


def _dollars(product: Mapping[str, Any]) -> Iterable[float]:
    for term in product["terms"].get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            yield float(dimension["pricePerUnit"]["USD"])


def spot(cloud: Cloud, region: str, types: Iterable[str]) -> Mapping[str, float]:
    """Return the lowest present spot price of each type over a region's zones, in dollars an hour."""
    lowest: dict[str, float] = {}
    pages = cloud.ec2(region).get_paginator("describe_spot_price_history")
    try:
        for page in pages.paginate(
            InstanceTypes=list(types),  # type: ignore[arg-type]  # the types of the stubs are a closed list
            ProductDescriptions=SPOT_PRODUCTS,
            StartTime=datetime.now(UTC),
        ):
            for quote in page["SpotPriceHistory"]:
                price = float(quote["SpotPrice"])
                lowest[quote["InstanceType"]] = min(price, lowest.get(quote["InstanceType"], price))
    except (ClientError, BotoCoreError):
        return {}
    return lowest


def shown(pool: Pool, price: Dollars) -> str:
    """Return a price for people."""
    if pool.market not in ("on-demand", "spot"):
        return "reserved"
    return "unknown" if price is None else f"{price:.2f}"
