"""What a region has and allows, each fact requested separately: an error of one hides no other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from ec2lab.aws.errors import AWS_ERRORS, reason
from ec2lab.aws.tag_forms import MalformedTag, malformed
from ec2lab.aws.tags import REGISTRY, RETAINED, SHARED, from_aws
from ec2lab.config.image import SSM, Image, ImageByName, ImageByParameter, ImageByRegion
from ec2lab.datasets.dataset import DataSnapshot, data_registries, list_snapshots, usable
from ec2lab.doctor.context import DoctorContext
from ec2lab.errors import UserError
from ec2lab.launch.gpus import cheapest_types
from ec2lab.launch.quotas import quotas, read_quotas, vcpus_in_use, virtual_cpus
from ec2lab.launch.region_specs import zones_by_instance_type
from ec2lab.registry.ownership import Marks
from ec2lab.volumes.retention import Retention

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
        responses = lab.opened.queries.run(
            {(region, "regions"): partial(_described_by, lab, region) for region in some}
        )
        for states in responses.found.values():
            return states
        problems += responses.failures.values()
    raise problems[0]


def _described_by(lab: DoctorContext, region: str) -> Mapping[str, str]:
    regions = lab.opened.cloud.ec2(region).describe_regions(AllRegions=True)["Regions"]
    return {one["RegionName"]: one.get("OptInStatus", "") for one in regions}


def require_enabled(lab: DoctorContext, region: str) -> None:
    """Raise RegionDisabled where the account may not use a region, CheckSkipped where AWS accepts no call at all.

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


IMAGE = "aws:ec2:image"  # the data type of an SSM parameter that EC2 accepts as an image
OF_A_LAB = [{"Name": "tag-key", "Values": ["lab:*"]}]
EXISTING_STATES = ["creating", "available", "in-use", "error"]  # the states in which a volume is billed


def types_of(lab: DoctorContext, name: str) -> Sequence[str]:
    experiment = lab.experiments[name]
    if not experiment.gpu:
        return experiment.instance_types
    where = f"experiments/{name}.toml: gpu"
    return cheapest_types(lab.opened, lab.regions_of(name), experiment.gpu, experiment.markets, where)


def known_types(lab: DoctorContext, name: str) -> Sequence[str]:
    """Return the instance types of an experiment; none where nothing has its GPUs, which another finding says."""
    try:
        return lab.begin(types_of, name).result()
    except (UserError, *AWS_ERRORS):
        return ()


def _required_types(lab: DoctorContext) -> list[str]:
    return list(dict.fromkeys(one for name in lab.experiments for one in known_types(lab, name)))


def offered(lab: DoctorContext, region: str) -> Mapping[str, Sequence[str]]:
    """Return the zones that offer each of those types."""
    require_enabled(lab, region)
    return zones_by_instance_type(lab.opened.cloud.ec2(region), _required_types(lab)) if lab.experiments else {}


def datasets(lab: DoctorContext, region: str) -> list[DataSnapshot]:
    require_enabled(lab, region)
    return usable(list_snapshots(lab.opened.cloud, region), data_registries(lab.opened))


def quota_values(lab: DoctorContext, region: str) -> tuple[Mapping[str, float], str]:
    """Return the account's quotas by name, or AWS's reason why not."""
    require_enabled(lab, region)
    try:
        return read_quotas(lab.opened.cloud, region), "Service Quotas lists none of EC2's"
    except AWS_ERRORS as problem:
        return {}, reason(problem)


def cpus(lab: DoctorContext, region: str) -> Mapping[str, int]:
    require_enabled(lab, region)
    return virtual_cpus(lab.opened.cloud, region, _required_types(lab)) if lab.experiments else {}


def in_use(lab: DoctorContext, region: str) -> Mapping[str, float]:
    """Return the vCPUs running now, by quota, whoever's they are."""
    require_enabled(lab, region)
    cloud = lab.opened.cloud
    return vcpus_in_use(cloud, region, quotas(cloud, region))


def network_problems(lab: DoctorContext, region: str) -> str:
    """Return problems of the network for instances: the configured subnets, or the default VPC."""
    require_enabled(lab, region)
    ec2, named = lab.opened.cloud.ec2(region), lab.subnets_in(region)
    if not named:
        default = ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
        return "" if default else "there is no default VPC with subnets"
    try:
        found = ec2.describe_subnets(SubnetIds=named)["Subnets"]
    except ClientError as error:
        if not error.response["Error"]["Code"].startswith("InvalidSubnet"):
            raise
        return str(error.response["Error"]["Message"])
    vpcs = sorted({subnet["VpcId"] for subnet in found})
    return f"the subnets are in several VPCs: {', '.join(vpcs)}" if len(vpcs) > 1 else ""


def missing_images(lab: DoctorContext, region: str) -> list[str]:
    """Return the images of the lab and its experiments that a region lacks."""
    require_enabled(lab, region)
    images = {str(image): image for image in (lab.lab.image, *(one.image for one in lab.experiments.values())) if image}
    return [lack for image in images.values() for lack in _lack(lab, region, image)]


def _lack(lab: DoctorContext, region: str, image: Image) -> Iterator[str]:
    cloud = lab.opened.cloud
    match image:
        case ImageByParameter(parameter=parameter):
            name = parameter.removeprefix(SSM)
            found = cloud.client("ssm", region).get_parameters(Names=[name])
            if found["InvalidParameters"]:
                yield name
            for one in found["Parameters"]:
                if (resource_type := one.get("DataType", "text")) != IMAGE:
                    yield f"by {name}: its data type is {resource_type}, and EC2 accepts {IMAGE} only"
        case ImageByRegion(ids=ids):
            if region not in ids:
                yield "one with an id for it"
            elif not cloud.ec2(region).describe_images(
                Filters=[{"Name": "image-id", "Values": [ids[region]]}, {"Name": "state", "Values": ["available"]}]
            )["Images"]:
                yield ids[region]
        case ImageByName(owner=owner, name=pattern):
            wanted = [{"Name": "name", "Values": [pattern]}, {"Name": "state", "Values": ["available"]}]
            if not cloud.ec2(region).describe_images(Owners=[owner], Filters=wanted)["Images"]:  # type: ignore[arg-type]
                yield f"{owner}'s {pattern!r}"


def shared_groups(lab: DoctorContext, region: str) -> list[Mapping[str, Any]]:
    require_enabled(lab, region)
    filters: Any = [{"Name": f"tag:{SHARED}", "Values": [lab.lab.name]}]
    found: Any = lab.opened.cloud.ec2(region).describe_security_groups(Filters=filters)["SecurityGroups"]
    return [group for group in found if Marks.read(from_aws(group.get("Tags")))]


def retained_volumes(lab: DoctorContext, region: str) -> Mapping[str, Retention]:
    """Return the retention of volumes that teardowns retained, by id."""
    require_enabled(lab, region)
    filters: Any = [{"Name": "tag-key", "Values": [RETAINED]}, {"Name": "status", "Values": EXISTING_STATES}]
    found = lab.opened.resource_types["volume"].find(lab.opened.cloud, region, filters)
    return {volume["VolumeId"]: Retention.read(from_aws(volume["Tags"])) for volume in found}


def malformed_tags(lab: DoctorContext, region: str) -> Mapping[str, Sequence[MalformedTag]]:
    """Return the lab's malformed tags, by resource id."""
    require_enabled(lab, region)
    resource_types = [lab.opened.resource_types[name] for name in ("instance", "volume", "snapshot")]
    found = (
        (resource_type, one)
        for resource_type in resource_types
        for one in resource_type.find(lab.opened.cloud, region, OF_A_LAB)
    )
    malformed_by_id = {
        resource_type.id_in(one): malformed(one.get("Tags"))
        for resource_type, one in found
        if not resource_type.is_deleted(one)
    }
    return {identity: tags for identity, tags in malformed_by_id.items() if tags}


def caller_address(lab: DoctorContext) -> str:
    lab.require_aws()
    return lab.opened.cloud.caller_address()
