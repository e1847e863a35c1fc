"""Schemas for the values in records, each as strict as its readers need, and no stricter.

They are pydantic's own schemas, written out: deriving them from classes takes 30 ms, and every command reads records.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Literal

from pydantic_core import CoreSchema, core_schema
from pydantic_core.core_schema import TypedDictField

from ec2lab.units import duration
from ec2lab.validators import NAME

optional = partial(core_schema.typed_dict_field, required=False)
nullable = core_schema.nullable_schema
several = partial(core_schema.list_schema, strict=True)


def members(*, others: Literal["allow", "ignore"] = "allow", **fields: CoreSchema | TypedDictField) -> CoreSchema:
    """Return the schema of an object with these members. Others may be anything: AWS and later versions add some."""
    return core_schema.typed_dict_schema(
        {name.rstrip("_"): _field(given) for name, given in fields.items()}, extra_behavior=others, strict=True
    )


def _field(given: Any) -> TypedDictField:
    field: TypedDictField = given if given["type"] == "typed-dict-field" else core_schema.typed_dict_field(given)
    return field


def pattern(expression: str, longest: int | None = None) -> CoreSchema:
    """Return the schema of a text that an expression matches completely."""
    return core_schema.str_schema(pattern=f"^(?:{expression})$", max_length=longest, strict=True)


def checked(check: Callable[[str], Any], schema: CoreSchema) -> CoreSchema:
    """Return the schema of a text for which `check` raises no ValueError."""

    def unchanged(text: str) -> str:
        check(text)
        return text

    return core_schema.no_info_after_validator_function(unchanged, schema)


def mapping(schema: CoreSchema) -> CoreSchema:
    return core_schema.dict_schema(values_schema=schema, strict=True)


def whole(least: int, most: int) -> CoreSchema:
    return core_schema.int_schema(ge=least, le=most, strict=True)


ANYTHING = core_schema.any_schema()
TEXT = core_schema.str_schema(strict=True)
BYTES = core_schema.bytes_schema(strict=True)
YES_OR_NO = core_schema.bool_schema(strict=True)
LINE = core_schema.str_schema(max_length=500, strict=True)
COUNT = whole(0, 10**6)  # number of requested instances; AWS allows a thousand per request
AMOUNT = core_schema.float_schema(ge=0, le=2**63, allow_inf_nan=False)
MOMENT = checked(
    datetime.fromisoformat,
    pattern(r"(19|2[01])[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"),
)
"""RFC 3339 with offset: without one, Python assumes this computer's time zone. The years leave room for additions."""
NAME_OF_FILE = pattern(NAME)
EXPERIMENT = pattern(r"[a-z0-9][a-z0-9_-]*", 128)
"""Longer than a name may be, for the prefixes that the lab adds: build-speech builds the dataset speech."""
TYPE_NAME = pattern(r"[a-z0-9][a-z0-9-]*", 63)  # a resource type, possibly of a plugin that is not installed here
AREA = pattern(r"|[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
"""A region becomes a part of a host name, and botocore accepts valid ones (RFC 1123); or `global`, or empty."""
INSTANCE_ID = pattern(r"i-[0-9a-z]+", 40)
RESOURCE_ID = pattern(r"[A-Za-z0-9][!-)+->@-~]*", 1024)
"""An id, or the name or ARN of a resource without one. In AWS's filters, * and ? would match others."""
RECORD_ID = pattern(r"[0-9a-f]{32}")
DIGEST = pattern(r"[0-9a-f]{64}")
IMAGE_DIGEST = pattern(r"(sha256:[0-9a-f]{64})?")
COMMIT = pattern(r"[0-9a-f]{40}([0-9a-f]{24})?")  # an argument of git; it must not look like an option


TAGS = several(members(Key=TEXT, Value=optional(TEXT)))
DISK = members(
    VolumeId=optional(RESOURCE_ID), SnapshotId=optional(TEXT), VolumeSize=optional(AMOUNT), VolumeType=optional(TEXT),
    Iops=optional(AMOUNT), Throughput=optional(AMOUNT), VolumeInitializationRate=optional(AMOUNT),
    DeleteOnTermination=optional(YES_OR_NO), AttachTime=optional(MOMENT),
)  # fmt: skip
MAPPINGS = several(members(DeviceName=TEXT, Ebs=optional(DISK)))
PLACEMENT = members(AvailabilityZone=optional(TEXT))

REQUEST = members(  # members of the requests of all operations below
    ClientToken=optional(TEXT), DryRun=optional(YES_OR_NO), Tags=optional(TAGS), Resources=optional(several(TEXT)),
    TagSpecifications=optional(several(members(ResourceType=TEXT, Tags=optional(TAGS)))),
    InstanceIds=optional(several(TEXT)), InstanceType=optional(TEXT), ImageId=optional(TEXT),
    MinCount=optional(COUNT), MaxCount=optional(COUNT), SubnetId=optional(TEXT),
    NetworkInterfaces=optional(several(members(SubnetId=optional(TEXT)))),
    CapacityReservationSpecification=optional(members(
        CapacityReservationTarget=optional(members(CapacityReservationId=optional(TEXT)))
    )),
    InstanceMarketOptions=optional(members(MarketType=optional(TEXT))), Placement=optional(PLACEMENT),
    BlockDeviceMappings=optional(MAPPINGS), VolumeId=optional(TEXT), SnapshotId=optional(TEXT),
    VolumeType=optional(TEXT), Size=optional(AMOUNT), Iops=optional(AMOUNT), Throughput=optional(AMOUNT),
    VolumeInitializationRate=optional(AMOUNT), GroupId=optional(TEXT), GroupName=optional(TEXT),
    KeyPairId=optional(TEXT), AllocationId=optional(TEXT), RoleName=optional(TEXT), InstanceProfileName=optional(TEXT),
)  # fmt: skip

INTERFACE = members(
    Association=optional(members(IpOwnerId=optional(TEXT))), Attachment=optional(members(AttachTime=optional(MOMENT)))
)
INSTANCE = members(
    InstanceId=INSTANCE_ID, State=members(Name=TEXT), InstanceType=optional(TEXT), InstanceLifecycle=optional(TEXT),
    LaunchTime=optional(MOMENT), Placement=optional(PLACEMENT), PublicIpAddress=optional(TEXT),
    PrivateIpAddress=optional(TEXT), StateReason=optional(members(Code=optional(TEXT))),
    StateTransitionReason=optional(TEXT), Tags=optional(TAGS), BlockDeviceMappings=optional(MAPPINGS),
    NetworkInterfaces=optional(several(INTERFACE)),
)  # fmt: skip
INSTANCES = members(Instances=several(INSTANCE))
VOLUME = members(
    VolumeId=RESOURCE_ID, SnapshotId=optional(nullable(TEXT)), Size=optional(AMOUNT), VolumeType=optional(TEXT),
    Iops=optional(AMOUNT), Throughput=optional(AMOUNT), CreateTime=optional(MOMENT), State=optional(TEXT),
    Tags=optional(TAGS),
)  # fmt: skip
STARTED_SNAPSHOT = members(  # CopySnapshot returns only the id, CreateSnapshot and StartSnapshot the rest
    SnapshotId=RESOURCE_ID, VolumeSize=optional(AMOUNT), FullSnapshotSizeInBytes=optional(AMOUNT),
    StartTime=optional(MOMENT), Tags=optional(TAGS),
)  # fmt: skip
SNAPSHOT = members(
    SnapshotId=RESOURCE_ID, State=TEXT, VolumeSize=AMOUNT, StartTime=MOMENT, Encrypted=YES_OR_NO,
    Progress=optional(TEXT), StateMessage=optional(TEXT), FullSnapshotSizeInBytes=optional(AMOUNT), Tags=optional(TAGS),
)  # fmt: skip
FAST_RESTORES = several(members(
    SnapshotId=TEXT, AvailabilityZone=TEXT, State=TEXT, OptimizingTime=optional(MOMENT), EnabledTime=optional(MOMENT),
    DisabledTime=optional(MOMENT),
))  # fmt: skip
FAST_RESTORE = members(Successful=optional(FAST_RESTORES), FastSnapshotRestores=optional(FAST_RESTORES))
KEY_PAIR = members(KeyPairId=RESOURCE_ID, KeyName=TEXT)

RESPONSES = {
    "RunInstances": INSTANCES,
    "DescribeInstances": members(Reservations=optional(several(INSTANCES))),
    "CreateVolume": VOLUME,
    "DescribeVolumes": members(Volumes=optional(several(VOLUME)), NextToken=optional(nullable(TEXT))),
    "CreateSnapshot": STARTED_SNAPSHOT,
    "StartSnapshot": STARTED_SNAPSHOT,
    "CopySnapshot": STARTED_SNAPSHOT,
    "DescribeSnapshots": members(Snapshots=optional(several(SNAPSHOT))),
    "DescribeImages": members(Images=optional(several(members(ImageId=TEXT, BlockDeviceMappings=optional(MAPPINGS))))),
    "EnableFastSnapshotRestores": FAST_RESTORE,
    "DisableFastSnapshotRestores": FAST_RESTORE,
    "DescribeFastSnapshotRestores": FAST_RESTORE,
    "CreateKeyPair": KEY_PAIR,
    "ImportKeyPair": KEY_PAIR,
    "AllocateAddress": members(AllocationId=RESOURCE_ID, PublicIp=optional(TEXT)),
    "CreateSecurityGroup": members(GroupId=RESOURCE_ID),
    "CreatePlacementGroup": members(PlacementGroup=members(GroupName=RESOURCE_ID)),
    "CreateTopic": members(TopicArn=RESOURCE_ID),
    "CreateRole": members(Role=members(RoleName=RESOURCE_ID, CreateDate=optional(MOMENT))),
    "CreateInstanceProfile": members(
        InstanceProfile=members(InstanceProfileName=RESOURCE_ID, CreateDate=optional(MOMENT))
    ),
}
ASKED_ONLY = (  # operations of which only the request is read
    "CreateTags", "StartInstances", "StopInstances", "TerminateInstances", "DeleteVolume", "DeleteSnapshot",
    "DeleteKeyPair", "ReleaseAddress", "DeleteSecurityGroup", "DeletePlacementGroup", "DeleteRole", "DeleteTopic",
    "DeleteInstanceProfile",
)  # fmt: skip


FOUND = members(
    resource_type=TYPE_NAME, id=RESOURCE_ID, region=AREA, record=nullable(LINE),
    experiment=optional(nullable(EXPERIMENT)),
    since=core_schema.union_schema([core_schema.literal_schema([""]), MOMENT]), others="ignore",
)  # fmt: skip
CODE = members(commit=COMMIT, pack_sha256=DIGEST, diff_sha256=optional(DIGEST))
"""The code of a run. `commit` becomes an argument of git, the digest a file's name."""
EXPERIMENT_FILE = members(
    ttl=optional(checked(duration, TEXT)), code=optional(members(path=optional(TEXT))),
    parameters=optional(mapping(ANYTHING)), data=optional(several(mapping(ANYTHING))),
)  # fmt: skip
"""An experiment's file. The rest is validated like any such file when it is launched again."""
RUN = members(
    from_=NAME_OF_FILE, experiment=EXPERIMENT_FILE, command_sha256=optional(DIGEST), code=optional(CODE),
    resumes=optional(several(INSTANCE_ID)),
)  # fmt: skip
ORIGIN = members(
    instance=INSTANCE_ID, region=AREA, type=LINE, image=LINE, snapshots=mapping(TEXT),
    outputs=optional(members(uri=LINE)),
)  # fmt: skip

ANNOTATION = members(  # annotations of later versions and of plugins may have any other names
    deleted=optional(several(RESOURCE_ID)),
    resolved=optional(several(TEXT)),
    discovered=optional(several(FOUND)),
    run=optional(RUN),
    launched=optional(several(INSTANCE_ID)),
    provenance=optional(several(ORIGIN)),
    containers=optional(several(IMAGE_DIGEST)),
    exited=optional(members(exit_code=whole(-(2**31), 2**31 - 1))),
    pulls=optional(TEXT),
    failed=optional(TEXT),
    not_reached=optional(TEXT),
    live_bytes=optional(whole(0, 2**53)),
)
ERROR = members(
    code=TEXT, message=optional(nullable(TEXT)), http_status=optional(nullable(whole(0, 999))),
    retries=optional(whole(-(10**6), 10**6)),
)  # fmt: skip
