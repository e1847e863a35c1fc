"""Which of the lab's regions the account may use."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from ec2lab.doctor.context import DoctorContext
from ec2lab.errors import UserError

CLOSED = "not-opted-in"


class RegionDisabled(UserError):
    """The account may not use the region."""


def opt_in_states(lab: DoctorContext) -> Mapping[str, str]:
    """Return every region of AWS with its state: opt-in-not-required, opted-in or not-opted-in.

    Any region knows it; the first that tells is believed. Raises what the first raises where none does.
    """
    lab.require_aws()
    own = lab.caller().region
    problems: list[Exception] = []
    for some in ([own], [region for region in lab.regions if region != own]):
        responses = lab.opened.query({(region, "regions"): partial(_told_by, lab, region) for region in some})
        for told in responses.found.values():
            return told
        problems += responses.failures.values()
    raise problems[0]


def _told_by(lab: DoctorContext, region: str) -> Mapping[str, str]:
    told = lab.opened.cloud.ec2(region).describe_regions(AllRegions=True)["Regions"]
    return {one["RegionName"]: one.get("OptInStatus", "") for one in told}


def require_enabled(lab: DoctorContext, region: str) -> None:
    """Raise RegionShut where the account may not use a region, NotLooked where AWS takes no call at all.

    Where AWS does not tell its regions, each call will.
    """
    lab.require_aws()
    asked = lab.begin(opt_in_states)
    if asked.exception() is None and asked.result().get(region, CLOSED) == CLOSED:
        raise RegionDisabled(f"{region} is not enabled")
