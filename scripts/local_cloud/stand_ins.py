"""Stand-ins for services that moto lacks, with figures as AWS publishes them, dated."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

from scripts.local_cloud.answers import Answer, Problem
from scripts.local_cloud.call import Call, as_json

PRICES = {
    "g4dn.xlarge": 0.526,
    "g4dn.12xlarge": 3.912,
    "g5.xlarge": 1.006,
    "g5.12xlarge": 5.672,
    "g5.48xlarge": 16.288,
    "p4d.24xlarge": 21.957642,
    "p5.48xlarge": 55.04,
}
"""Dollars an hour, on-demand Linux in us-east-1, of AWS's price list of 2026-07-28
(https://aws.amazon.com/ec2/pricing/on-demand/); us-west-2 had the same."""
SNAPSHOT_PRICES = {"EBS:SnapshotUsage": 0.05, "EBS:SnapshotArchiveStorage": 0.0125}
"""Dollars a GiB and month (https://aws.amazon.com/ebs/pricing/, 2026-07-28)."""
VOLUME_PRICES: dict[str, dict[str, float]] = {
    "gp2": {"EBS:VolumeUsage.gp2": 0.10},
    "gp3": {"EBS:VolumeUsage.gp3": 0.08, "EBS:VolumeP-IOPS.gp3": 0.005, "EBS:VolumeP-Throughput.gp3": 40.96},
    "io2": {"EBS:VolumeUsage.io2": 0.125, "EBS:VolumeP-IOPS.io2": 0.065},
    "st1": {"EBS:VolumeUsage.st1": 0.045},
}
"""Dollars a GiB, an operation a second, a GiB/s, each a month (https://aws.amazon.com/ebs/pricing/, 2026-07-28)."""
ADDRESS_PRICES = {"PublicIPv4:InUseAddress": 0.005, "PublicIPv4:IdleAddress": 0.005}
"""Dollars an hour (https://aws.amazon.com/vpc/pricing/, 2026-07-28)."""
PRICED_REGIONS = ("us-east-1", "us-west-2")
SPOT_SHARE = 0.4
"""A spot price is made up here: this share of the on-demand price."""

QUOTAS = {
    "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances": 1920.0,
    "Running On-Demand G and VT instances": 768.0,
    "Running On-Demand P instances": 1152.0,
    "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests": 1920.0,
    "All G and VT Spot Instance Requests": 768.0,
    "All P4, P3 and P2 Spot Instance Requests": 1152.0,
    "All P5 Spot Instance Requests": 0.0,
}
"""vCPUs that a lab in its second year may have; a new account has 0 for most of these."""


def get_products(call: Call, _: dict[str, float]) -> Any:
    """Answer pricing:GetProducts for one type of machine or of volume, for snapshots or addresses, in one region."""
    wanted = {item["Field"]: item["Value"] for item in call.json["Filters"]}
    products = {}
    if wanted.get("regionCode") in PRICED_REGIONS:
        if wanted.get("productFamily") == "Storage Snapshot":
            products = SNAPSHOT_PRICES
        elif wanted.get("group") == "VPCPublicIPv4Address":
            products = ADDRESS_PRICES
        elif volume_type := wanted.get("volumeApiName"):
            products = VOLUME_PRICES.get(volume_type, {})
        elif price := PRICES.get(wanted.get("instanceType", "")):
            products = {f"BoxUsage:{wanted['instanceType']}": price}
    return {"FormatVersion": "aws_v1", "PriceList": [_product(usage, price) for usage, price in products.items()]}


def _product(usage: str, price: float) -> str:
    dimension = {"unit": "Hrs", "pricePerUnit": {"USD": f"{price:.10f}"}}
    terms = {"OnDemand": {"TERM": {"priceDimensions": {"RATE": dimension}}}}
    return json.dumps({"product": {"attributes": {"usagetype": usage}}, "terms": terms})


def list_service_quotas(_: Call, quotas: dict[str, float]) -> Any:
    """Answer service-quotas:ListServiceQuotas for EC2."""
    known = {**QUOTAS, **quotas}
    return {"Quotas": [{"ServiceCode": "ec2", "QuotaName": name, "Value": value} for name, value in known.items()]}


NO_METADATA_DEFAULTS = (
    '<GetInstanceMetadataDefaultsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
    "<requestId>local</requestId><accountLevel/></GetInstanceMetadataDefaultsResponse>"
)
"""As an account has it that never set any."""

STAND_INS: dict[tuple[str, str], Callable[[Call, dict[str, float]], Any]] = {
    ("pricing", "GetProducts"): get_products,
    ("servicequotas", "ListServiceQuotas"): list_service_quotas,
}


def stand_in(call: Call, quotas: dict[str, float]) -> Answer | None:
    """Answer for a service that moto lacks; None for all others."""
    if (call.service, call.action) == ("sts", "DecodeAuthorizationMessage"):
        return _decoded(call)
    if (call.service, call.action) == ("ec2", "GetInstanceMetadataDefaults"):
        return Answer(200, NO_METADATA_DEFAULTS.encode())
    if answer := STAND_INS.get((call.service, call.action)):
        return Answer(200, as_json(answer(call, quotas)), "application/x-amz-json-1.1")
    return None


def with_spot_prices(body: bytes) -> bytes:
    """Return an answer to DescribeSpotPriceHistory with prices that could be; moto's are all 0.00001."""

    def priced(item: re.Match[bytes]) -> bytes:
        instance_type = item["type"].decode()
        price = f"{PRICES.get(instance_type, 1.0) * SPOT_SHARE:.6f}".encode()
        return item[0].replace(b"<spotPrice>0.00001<", b"<spotPrice>" + price + b"<")

    return re.sub(rb"<item>.*?<instanceType>(?P<type>[^<]+)</instanceType>.*?</item>", priced, body, flags=re.DOTALL)


def _decoded(call: Call) -> Answer:
    """Answer sts:DecodeAuthorizationMessage: here an encoded message is plain base64."""
    try:
        message = base64.b64decode(call.params["EncodedMessage"], validate=True).decode()
    except ValueError as problem:
        raise Problem("InvalidAuthorizationMessageException", "Invalid authorization message") from problem
    from xml.sax.saxutils import escape

    return Answer(
        200,
        '<DecodeAuthorizationMessageResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        f"<DecodeAuthorizationMessageResult><DecodedMessage>{escape(message)}</DecodedMessage>"
        "</DecodeAuthorizationMessageResult></DecodeAuthorizationMessageResponse>".encode(),
    )
