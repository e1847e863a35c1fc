"""The members of AWS's requests and responses that anything is computed from, by operation.

AWS gives them by its service models; a record may hold anything. What is required here is what is read without asking
whether it is there. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Operations.html
"""

from __future__ import annotations

from ec2lab.registry.shapes import (
    AMOUNT,
    COUNT,
    INSTANCE_ID,
    MOMENT,
    RESOURCE_ID,
    TEXT,
    YES_OR_NO,
    members,
    nullable,
    optional,
    several,
)

TAGS = several(members(Key=TEXT, Value=optional(TEXT)))
DISK = members(
    VolumeId=optional(RESOURCE_ID), SnapshotId=optional(TEXT), VolumeSize=optional(AMOUNT), VolumeType=optional(TEXT),
    Iops=optional(AMOUNT), Throughput=optional(AMOUNT), VolumeInitializationRate=optional(AMOUNT),
    DeleteOnTermination=optional(YES_OR_NO), AttachTime=optional(MOMENT),
)  # fmt: skip
MAPPINGS = several(members(DeviceName=TEXT, Ebs=optional(DISK)))
PLACEMENT = members(AvailabilityZone=optional(TEXT))

REQUEST = members(
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
"""What any of the operations below may be asked with."""

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
STARTED_SNAPSHOT = members(
    SnapshotId=RESOURCE_ID, VolumeSize=optional(AMOUNT), FullSnapshotSizeInBytes=optional(AMOUNT),
    StartTime=optional(MOMENT), Tags=optional(TAGS),
)  # fmt: skip
"""CopySnapshot tells no more than the id, CreateSnapshot and StartSnapshot the rest."""
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
    "CreateRole": members(Role=members(RoleName=RESOURCE_ID, CreateDate=optional(MOMENT))),
    "CreateInstanceProfile": members(
        InstanceProfile=members(InstanceProfileName=RESOURCE_ID, CreateDate=optional(MOMENT))
    ),
}
ASKED_ONLY = (
    "CreateTags", "StartInstances", "StopInstances", "TerminateInstances", "DeleteVolume", "DeleteSnapshot",
    "DeleteKeyPair", "ReleaseAddress", "DeleteSecurityGroup", "DeletePlacementGroup", "DeleteRole",
    "DeleteInstanceProfile",
)  # fmt: skip
"""Operations of which only the request is read."""
