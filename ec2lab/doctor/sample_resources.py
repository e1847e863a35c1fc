"""One thing of each kind that carries the lab's tag in a region, for calls that are to be tried on one."""

from __future__ import annotations

from collections.abc import Mapping

from ec2lab.aws.errors import AWS_ERRORS
from ec2lab.aws.tags import REGISTRY, from_aws
from ec2lab.doctor.context import DoctorContext
from ec2lab.doctor.enabled_regions import require_enabled

TAGGED = [{"Name": "tag-key", "Values": [REGISTRY]}]


def zone_in(lab: DoctorContext, region: str) -> Mapping[str, str]:
    """Return a zone of a region under the key `zone`, as AWS names it; nothing where it does not tell."""
    require_enabled(lab, region)
    wanted = [{"Name": "zone-type", "Values": ["availability-zone"]}, {"Name": "state", "Values": ["available"]}]
    try:
        zones = lab.opened.cloud.ec2(region).describe_availability_zones(Filters=wanted)["AvailabilityZones"]  # type: ignore[arg-type]
    except AWS_ERRORS:
        return {}
    return {"zone": zones[0]["ZoneName"]} if zones else {}


def sample_resource_ids(lab: DoctorContext, region: str) -> Mapping[str, str]:
    """Return the id of one thing by its kind; none of the kinds that may not be described."""
    require_enabled(lab, region)
    own: dict[str, str] = {}
    for kind in lab.opened.kinds.values():
        try:
            found = kind.find(lab.opened.cloud, region, TAGGED)
            ours = [one for one in found if REGISTRY in from_aws(one.get("Tags")) and not kind.is_deleted(one)]
        except AWS_ERRORS:
            continue  # the dry run of the description says so
        if ours:
            own[kind.name] = kind.id_in(ours[0])
    return own
