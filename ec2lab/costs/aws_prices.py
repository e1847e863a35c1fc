"""Prices from AWS: the price list, and the history of the spot market."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ec2lab.aws.cloud import Cloud
from ec2lab.aws.errors import AWS_ERRORS, reason
from ec2lab.capacity_pools import Pool
from ec2lab.costs.money import Dollars, in_dollars
from ec2lab.costs.price_book import VOLUME_USAGE, Priced, Unit, volume_usage
from ec2lab.regions import partition_of

PRICING_REGIONS = {"aws": "us-east-1", "aws-cn": "cn-northwest-1"}
"""Partition -> region whose Pricing API covers it
(https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html,
https://docs.amazonaws.cn/en_us/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html). Other partitions have
none, and credentials of one do not work in another
(https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html)."""

DOLLARS = "USD"
LINUX = {"operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used"}
ADDRESSES = {"group": "VPCPublicIPv4Address"}
OTHERS: Mapping[Unit, tuple[str, Mapping[str, str], str]] = {
    Unit.SNAPSHOT: ("AmazonEC2", {"productFamily": "Storage Snapshot"}, "EBS:SnapshotUsage"),
    Unit.FAST_RESTORE: ("AmazonEC2", {"productFamily": "Fast Snapshot Restore"}, "EBS:FastSnapshotRestore"),
    Unit.ADDRESS: ("AmazonVPC", ADDRESSES, "PublicIPv4:InUseAddress"),
    Unit.IDLE_ADDRESS: ("AmazonVPC", ADDRESSES, "PublicIPv4:IdleAddress"),
}
"""Snapshots of the archive tier, and others, have usage types with other suffixes."""
SPOT_PRODUCTS = ["Linux/UNIX", "Linux/UNIX (Amazon VPC)"]


class PriceUnavailable(Exception):
    """AWS gave no price: not allowed, or unreachable; the text says why."""


def pricing_region(region: str) -> str | None:
    """Return the region of the Pricing API for callers in a region; None where there is none."""
    return PRICING_REGIONS.get(partition_of(region))


def list_price(cloud: Cloud, wanted: Priced) -> Dollars:
    """Return a list price, None where AWS lists none. Raises PriceUnavailable."""
    service, attributes, usage = _query(wanted)
    if not attributes:
        return None
    filters = _matching({**attributes, "regionCode": wanted.region})
    products = _products(cloud, service, wanted.region, filters)
    return _dollars(p for p in products if p["product"]["attributes"].get("usagetype", "").endswith(usage))


def family_prices(cloud: Cloud, region: str, family: str) -> Mapping[str, Dollars]:
    """Return the list prices of all instance types of a family ("g5"), by type. Raises PriceUnavailable."""
    filters = [*_matching({**LINUX, "regionCode": region}), _filter("CONTAINS", "instanceType", f"{family}.")]
    found: dict[str, list[Mapping[str, Any]]] = {}
    for product in _products(cloud, "AmazonEC2", region, filters):
        found.setdefault(product["product"]["attributes"]["instanceType"], []).append(product)
    return {instance_type: _dollars(products) for instance_type, products in found.items()}


def _query(wanted: Priced) -> tuple[str, Mapping[str, str], str]:
    """Return the service, the attributes, and the suffix of the usage type, whose prefix is a region.

    Without a list price, there are no attributes.
    """
    if wanted.unit is Unit.INSTANCE:
        return "AmazonEC2", {"instanceType": wanted.name, **LINUX}, ""
    if wanted.unit in VOLUME_USAGE:
        return "AmazonEC2", {"volumeApiName": wanted.name}, volume_usage(wanted.unit, wanted.name)
    return OTHERS.get(wanted.unit, ("AmazonEC2", {}, ""))


def _matching(wanted: Mapping[str, str]) -> list[dict[str, str]]:
    return [_filter("TERM_MATCH", key, value) for key, value in wanted.items()]


def _filter(kind: str, field: str, value: str) -> dict[str, str]:
    return {"Type": kind, "Field": field, "Value": value}


def _products(cloud: Cloud, service: str, region: str, filters: list[dict[str, str]]) -> list[Mapping[str, Any]]:
    if (asked := pricing_region(region)) is None:
        raise PriceUnavailable(f"the partition {partition_of(region)} has no price list of its own")
    try:
        found = cloud.client("pricing", asked).get_products(ServiceCode=service, Filters=filters)
    except AWS_ERRORS as problem:
        raise PriceUnavailable(reason(problem)) from problem
    return [json.loads(product) for product in found["PriceList"]]


def _dollars(products: Iterable[Mapping[str, Any]]) -> Dollars:
    """Return the highest price of products, None where there is none. Raises PriceUnavailable for other currencies."""
    prices = [price for product in products for price in _prices(product)]
    if prices and not any(DOLLARS in price for price in prices):
        raise PriceUnavailable(f"AWS lists it in {', '.join(sorted(prices[0]))}, not in dollars")
    return max((float(price[DOLLARS]) for price in prices if DOLLARS in price), default=None)


def _prices(product: Mapping[str, Any]) -> Iterable[Mapping[str, str]]:
    """Yield a product's prices by currency, which in China is CNY."""
    for term in product["terms"].get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            yield dimension["pricePerUnit"]


def spot_changes(
    cloud: Cloud, region: str, types: Iterable[str], since: datetime
) -> Mapping[str, Mapping[str, Sequence[tuple[datetime, float]]]]:
    """Return the changes of spot prices since a time, by type and zone, oldest first.

    The first one of a zone was in effect at `since`, and so is older
    (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSpotPriceHistory.html). Raises PriceUnavailable.
    """
    found: dict[str, dict[str, set[tuple[datetime, float]]]] = {}
    pages = cloud.ec2(region).get_paginator("describe_spot_price_history")
    asked = {"InstanceTypes": list(types), "ProductDescriptions": SPOT_PRODUCTS, "StartTime": since}
    try:
        for page in pages.paginate(**asked):  # type: ignore[arg-type]  # the types of the stubs are a closed list
            for quote in page["SpotPriceHistory"]:
                zones = found.setdefault(quote["InstanceType"], {})
                change = (quote["Timestamp"], float(quote["SpotPrice"]))
                zones.setdefault(quote["AvailabilityZone"], set()).add(change)
    except AWS_ERRORS as problem:
        raise PriceUnavailable(reason(problem)) from problem
    return {kind: {zone: sorted(changes) for zone, changes in zones.items()} for kind, zones in found.items()}


def shown(pool: Pool, price: Dollars) -> str:
    """Format a price for people."""
    if pool.market.reservation:
        return "reserved"
    return in_dollars(price)
