"""What launches need of a region, checked in advance: what exists, what is missing, what cannot be had."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from ec2lab.aws.cloud import Cloud
from ec2lab.aws.error_codes import REGION_OUT, ErrorCategory
from ec2lab.aws.errors import AWS_ERRORS, RegionUnavailable, api_error, described, reason
from ec2lab.aws.tags import SHARED, from_aws
from ec2lab.config.models import Experiment
from ec2lab.errors import UserError
from ec2lab.launch.part import LaunchContext, launch_parts
from ec2lab.session import Session

ANY = Experiment(instance_types=["c6i.large"])  # an experiment without requirements of its own
NO_NAME = "the lab"


@dataclass(frozen=True, slots=True)
class Step:
    """Shown first, and created on confirmation."""

    what: str
    make: Callable[[], object]


def expect_ours(session: Session, what: str, tags: Iterable[Mapping[str, str]] | None) -> None:
    """Raise UserError for a resource that is not this lab's: another's must not be changed or relied on."""
    lab = session.lab.name
    if from_aws(tags).get(SHARED) != lab:
        raise UserError(
            f"{what} that is not this lab's (it has no tag {SHARED} = {lab}); set another name in lab.toml, or have it "
            "deleted"
        )


@dataclass(slots=True)
class RegionSetup:
    region: str
    there: list[str] = field(default_factory=list)
    lacking: list[Step] = field(default_factory=list)  # what can be created
    missing: list[str] = field(default_factory=list)  # what somebody must fix: no launch succeeds here
    advice: list[str] = field(default_factory=list)  # recommendations for the account that the lab does not require


def region_setup(session: Session, region: str) -> RegionSetup:
    """Check a region without changing anything. Raises ClientError where that is not allowed."""
    found = RegionSetup(region)
    try:
        _placement(session, found)
        if not found.missing:
            _prepared(session, found)
        found.advice = _advice(session.cloud, region)
    except RegionUnavailable as lack:
        found.missing.append(str(lack))
    except ClientError as error:
        if api_error(error).category not in REGION_OUT - {ErrorCategory.ACCESS_DENIED}:
            raise
        found.missing.append(described(error))
    except AWS_ERRORS as problem:  # a region that does not exist or cannot be reached
        found.missing.append(reason(problem))
    return found


def _placement(session: Session, found: RegionSetup) -> None:
    """Check where instances can run: in the lab's subnets, or in the default VPC's."""
    ec2, named = session.cloud.ec2(found.region), session.lab.network.subnets
    if not named:
        default: Any = [{"Name": "default-for-az", "Values": ["true"]}]
        subnets = ec2.describe_subnets(Filters=default)["Subnets"]
        if subnets:
            found.there.append(f"the default VPC, with subnets in {_zones(subnets)}")
        else:
            makes = f"`aws ec2 create-default-vpc --region {found.region}` creates one"
            found.missing.append(f"no default VPC with subnets: {makes}, or set subnets (lab.toml: network.subnets)")
        return
    if found.region not in named:
        found.missing.append(f"no subnets are set for it (lab.toml: network.subnets.{found.region})")
        return
    subnets = _subnets(ec2, named[found.region])
    there = {subnet["SubnetId"] for subnet in subnets}
    if gone := [subnet for subnet in named[found.region] if subnet not in there]:
        found.missing.append(f"lab.toml: network.subnets: there is no {', '.join(gone)} in {found.region}")
        return
    found.there.append(f"subnets in {_zones(subnets)}")
    inside = [subnet["SubnetId"] for subnet in subnets if not subnet.get("MapPublicIpOnLaunch")]
    if inside:
        found.advice.append(f"instances in {', '.join(inside)} get no public address: ssh needs another way there")


def _subnets(ec2: Any, named: Sequence[str]) -> list[Any]:
    # By filter: a missing id would fail the whole call.
    subnets: list[Any] = ec2.describe_subnets(Filters=[{"Name": "subnet-id", "Values": list(named)}])["Subnets"]
    return subnets


def _zones(subnets: Sequence[Any]) -> str:
    zones = sorted({subnet["AvailabilityZone"] for subnet in subnets})
    return f"{len(zones)} zones" if len(zones) > 1 else zones[0]


def _prepared(session: Session, found: RegionSetup) -> None:
    """Ask the launch parts that prepare a region for everyone; only they create it."""
    site = LaunchContext(session, NO_NAME, ANY, found.region)
    for part in launch_parts(session.plugins):
        if part.once_per_region:
            prerequisites = part.share(site).prerequisites
            found.lacking += [Step(preparation.what, preparation.make) for preparation in prerequisites]
            if not prerequisites:
                found.there.append(f"the lab's {part.name}")


def _advice(cloud: Cloud, region: str) -> list[str]:
    """Return recommendations for the whole account; they concern others too, and are only shown."""
    ec2, advice = cloud.ec2(region), []
    try:
        if not ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"]:
            advice.append(
                "new volumes are not encrypted by default, except the lab's: `aws ec2 enable-ebs-encryption-by-default`"
            )
        if ec2.get_instance_metadata_defaults().get("AccountLevel", {}).get("HttpTokens") != "required":
            advice.append(
                "IMDSv2 is not required by default, except on the lab's instances: "
                "`aws ec2 modify-instance-metadata-defaults --http-tokens required`"
            )
    except AWS_ERRORS as problem:  # a recommendation must not end the command
        advice.append(f"the defaults for volumes and metadata are unknown: {described(problem)}")
    return advice
