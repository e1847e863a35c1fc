"""Regions and partitions, from botocore's data: their names follow no lasting pattern.

`eusc-de-east-1` and `us-iso-east-1` are regions, `us-west-2-lax-1a` and `us-east-1-wl1-bos-wlz-1` are zones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ec2lab.errors import UserError
from ec2lab.validators import did_you_mean

EVERYWHERE = "-global"  # the suffix of botocore's pseudo-regions: aws-global


@cache
def partitions() -> Mapping[str, frozenset[str]]:
    """Return the regions of each partition (aws, aws-us-gov, …). Reads a file of 7 KB, and imports nothing."""
    found: Any = find_spec("botocore")
    data = json.loads((Path(found.origin).parent / "data" / "partitions.json").read_text(encoding="utf-8"))
    return {
        one["id"]: frozenset(region for region in one["regions"] if not region.endswith(EVERYWHERE))
        for one in data["partitions"]
    }


@cache
def regions() -> frozenset[str]:
    return frozenset().union(*partitions().values())


def partition_of(region: str) -> str:
    """Return a region's partition, as in ARNs; `aws` for an unknown region."""
    return next((name for name, known in partitions().items() if region in known), "aws")


def region_of_zone(zone: str) -> str | None:
    """Return the region of an availability, local or wavelength zone, a prefix of its name; None for an unknown one."""
    begins = (region for region in regions() if zone.startswith(region) and zone != region)
    return max((one for one in begins if not zone.removeprefix(one)[0].isdigit()), key=len, default=None)


def no_region(name: str) -> str:
    unheard_of = f' that botocore {version("botocore")} knows (try "us-east-1")'
    return f"{name!r} is not a region{did_you_mean(name, sorted(regions())) or unheard_of}"


def region_names(text: str) -> list[str]:
    """Return the regions in a list separated by spaces, each once. Raises UserError."""
    for region in text.split():
        if region not in regions():
            raise UserError(f"REGIONS: {no_region(region)}")
    return list(dict.fromkeys(text.split()))
