"""The regions that the account may use, and what of the lab's is in one, for calls that are tried on it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from ec2lab.aws.errors import AWS_ERRORS
from ec2lab.aws.tags import REGISTRY, from_aws
from ec2lab.doctor.context import DoctorContext
from ec2lab.errors import UserError

CLOSED = "not-opted-in"


class RegionDisabled(UserError):
    """The account may not use the region."""


def opt_in_states(lab: DoctorContext) -> Mapping[str, str]:
    """Return every region of AWS with its state: opt-in-not-required, opted-in or not-opted-in.

    Any region knows it; the first that responds is used. Raises the first error where none does.
    """
    lab.require_aws()
    own = lab.caller().region
    problems: list[Exception] = []
    for some in ([own], [region for region in lab.regions if region != own]):
        responses = lab.opened.queries.run({(region, "regions"): partial(_told_by, lab, region) for region in some})
        for told in responses.found.values():
            return told
        problems += responses.failures.values()
    raise problems[0]


def _told_by(lab: DoctorContext, region: str) -> Mapping[str, str]:
    told = lab.opened.cloud.ec2(region).describe_regions(AllRegions=True)["Regions"]
    return {one["RegionName"]: one.get("OptInStatus", "") for one in told}


def require_enabled(lab: DoctorContext, region: str) -> None:
    """Raise RegionShut where the account may not use a region, NotLooked where AWS accepts no call at all.

    Where AWS does not list its regions, each call will tell.
    """
    lab.require_aws()
    asked = lab.begin(opt_in_states)
    if asked.exception() is None and asked.result().get(region, CLOSED) == CLOSED:
        raise RegionDisabled(f"{region} is not enabled")


TAGGED = [{"Name": "tag-key", "Values": [REGISTRY]}]


def zone_in(lab: DoctorContext, region: str) -> Mapping[str, str]:
    """Return a zone of a region under the key `zone`; empty where AWS gives none."""
    require_enabled(lab, region)
    wanted = [{"Name": "zone-type", "Values": ["availability-zone"]}, {"Name": "state", "Values": ["available"]}]
    try:
        zones = lab.opened.cloud.ec2(region).describe_availability_zones(Filters=wanted)["AvailabilityZones"]  # type: ignore[arg-type]
    except AWS_ERRORS:
        return {}
    return {"zone": zones[0]["ZoneName"]} if zones else {}


def sample_resource_ids(lab: DoctorContext, region: str) -> Mapping[str, str]:
    """Return the id of one resource by type; none for types that may not be described."""
    require_enabled(lab, region)
    own: dict[str, str] = {}
    for resource_type in lab.opened.resource_types.values():
        try:
            found = resource_type.find(lab.opened.cloud, region, TAGGED)
            ours = [one for one in found if REGISTRY in from_aws(one.get("Tags")) and not resource_type.is_deleted(one)]
        except AWS_ERRORS:
            continue  # the dry run of the description reports it
        if ours:
            own[resource_type.name] = resource_type.id_in(ours[0])
    return own
