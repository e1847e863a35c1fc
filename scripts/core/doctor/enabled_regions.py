"""Which of the lab's regions the account may use."""

from __future__ import annotations

from collections.abc import Mapping

from scripts.core.doctor.checked_lab import CheckedLab
from scripts.core.errors import LabError

CLOSED = "not-opted-in"


class RegionShut(LabError):
    """The account may not use the region."""


def opt_in_states(lab: CheckedLab) -> Mapping[str, str]:
    """Return every region of AWS with its state: opt-in-not-required, opted-in or not-opted-in."""
    lab.expect_aws()
    told = lab.opened.cloud.ec2(lab.caller().region).describe_regions(AllRegions=True)["Regions"]
    return {region["RegionName"]: region.get("OptInStatus", "") for region in told}


def expect_open(lab: CheckedLab, region: str) -> None:
    """Raise RegionShut where the account may not use a region, NotLooked where AWS takes no call at all.

    Where AWS does not tell its regions, each call will.
    """
    lab.expect_aws()
    asked = lab.begin(opt_in_states)
    if asked.exception() is None and asked.result().get(region, CLOSED) == CLOSED:
        raise RegionShut(f"{region} is not enabled")
