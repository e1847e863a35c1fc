"""What nobody may do by the policies of docs/: each is a call as it would be made, and what of it is denied."""

import json

import pytest

from tests.iam.calls import ACCOUNT, World
from tests.iam.evaluation import several
from tests.iam.policies import ALL, DAILY, DATA, LARGEST, SETUP, SPARE, of_registry, refusals
from tests.iam.reference import NOT_IN_THE_REFERENCE, can_have, resource_types, services
from tests.lab_directory import REPOSITORY

OURS, THEIRS = "a" * 32, "b" * 32
OWN, OTHER = {"lab:registry": OURS, "lab:request-id": "1" * 32}, {"lab:registry": THEIRS, "lab:request-id": "2" * 32}
KINDS = ("i", "vol", "snap", "sg", "eipalloc")
MINE, FOREIGN, OTHERS, BY_HAND = ({kind: f"{kind}-{digit * 17}" for kind in KINDS} for digit in "1234")
"""Ids of what this lab made, of what carries none of its tags, of what another lab made, and of data tagged by hand."""
LINUX = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
WORLD = World(
    tags={
        **dict.fromkeys(MINE.values(), OWN), **dict.fromkeys(OTHERS.values(), OTHER),
        BY_HAND["snap"]: {"lab:dataset": "speech"}, FOREIGN["vol"]: {"Name": "db"},
    },
    roles={"admin": "/", "writer": "/ec2-lab/"}, of_profile={"admins": ["admin"], "writers": ["writer"]},
)  # fmt: skip


def call(action, service="ec2", region="eu-west-1", **params):
    return {
        "service": service,
        "region": region,
        "action": action,
        "params": {key.replace("__", "."): value for key, value in params.items()},
    }


def tagged(*kinds, **tags):
    found = {}
    for number, kind in enumerate(kinds, 1):
        found[f"TagSpecification.{number}.ResourceType"] = kind
        for place, (key, value) in enumerate((tags or OWN).items(), 1):
            found |= {
                f"TagSpecification.{number}.Tag.{place}.Key": key,
                f"TagSpecification.{number}.Tag.{place}.Value": value,
            }
    return found


def launch(*kinds, **more):
    """A launch with the tags on these types of resource, or on all."""
    asked = {"ImageId": LINUX, "SecurityGroupId__1": MINE["sg"], "SubnetId": "subnet-" + "5" * 17}
    return call("RunInstances", **(tagged(*kinds or ("instance", "volume", "network-interface")) | asked | more))


def tag(resource, **tags):
    pairs = {
        f"Tag.{n}.{k}": v for n, tag in enumerate(tags.items()) for k, v in zip(("Key", "Value"), tag, strict=True)
    }
    return call("CreateTags", ResourceId__1=resource, **pairs)


def blocks(action, snapshot):
    return call(action, "ebs", Path=f"/snapshots/{snapshot}/blocks")


def direct(parent=None, tags=OWN):
    asked = {"Tags": json.dumps([{"Key": key, "Value": value} for key, value in tags.items()])}
    return call("StartSnapshot", "ebs", Path="/snapshots", **asked, **({"ParentSnapshotId": parent} if parent else {}))


def attribute(instance, name):
    return call("ModifyInstanceAttribute", InstanceId=instance, Attribute=name, Value="x")


def goes_with(instance, volume):
    return call(
        "ModifyInstanceAttribute", InstanceId=instance, BlockDeviceMapping__1__DeviceName="/dev/sdf",
        BlockDeviceMapping__1__Ebs__VolumeId=volume, BlockDeviceMapping__1__Ebs__DeleteOnTermination="true",
    )  # fmt: skip


def with_data(snapshot):
    return launch(BlockDeviceMapping__1__Ebs__SnapshotId=snapshot)


TO_ALL = {
    # Nothing is tagged but what is being made, so that nothing else ever becomes the lab's.
    "tag a snapshot of somebody's": (tag(FOREIGN["snap"], **OWN, **{"lab:blocks": "x"}), "ec2:CreateTags snapshot"),
    "tag a volume of somebody's": (tag(FOREIGN["vol"], **OWN), "ec2:CreateTags volume"),
    "tag an instance of somebody's": (tag(FOREIGN["i"], **OWN), "ec2:CreateTags instance"),
    "mark a volume of somebody's as kept": (tag(FOREIGN["vol"], **{"lab:retained": "x"}), "ec2:CreateTags volume"),
    "give an own volume another registry": (tag(MINE["vol"], **{"lab:registry": THEIRS}), "ec2:CreateTags volume"),
    "give an own snapshot another tag": (tag(MINE["snap"], **{"lab:dataset": "x"}), "ec2:CreateTags snapshot"),
    "take tags away": (
        call("DeleteTags", ResourceId__1=FOREIGN["snap"], Tag__1__Key="lab:registry"),
        "ec2:DeleteTags snapshot",
    ),
    "take an own snapshot's tags away": (
        call("DeleteTags", ResourceId__1=MINE["snap"], Tag__1__Key="lab:registry"),
        "ec2:DeleteTags snapshot",
    ),
    # Nothing is deleted, stopped or changed that the lab did not make.
    "terminate": (call("TerminateInstances", InstanceId__1=FOREIGN["i"]), "ec2:TerminateInstances instance"),
    "terminate one beside an own one": (
        call("TerminateInstances", InstanceId__1=MINE["i"], InstanceId__2=FOREIGN["i"]),
        "ec2:TerminateInstances instance",
    ),
    "stop": (call("StopInstances", InstanceId__1=FOREIGN["i"]), "ec2:StopInstances instance"),
    "start": (call("StartInstances", InstanceId__1=FOREIGN["i"]), "ec2:StartInstances instance"),
    "delete a volume": (call("DeleteVolume", VolumeId=FOREIGN["vol"]), "ec2:DeleteVolume volume"),
    "delete a snapshot": (call("DeleteSnapshot", SnapshotId=FOREIGN["snap"]), "ec2:DeleteSnapshot snapshot"),
    "delete a dataset that was tagged by hand": (
        call("DeleteSnapshot", SnapshotId=BY_HAND["snap"]),
        "ec2:DeleteSnapshot snapshot",
    ),
    "delete a security group": (
        call("DeleteSecurityGroup", GroupId=FOREIGN["sg"]),
        "ec2:DeleteSecurityGroup security-group",
    ),
    "delete a key pair": (call("DeleteKeyPair", KeyName="theirs"), "ec2:DeleteKeyPair key-pair"),
    "delete a placement group": (
        call("DeletePlacementGroup", GroupName="theirs"),
        "ec2:DeletePlacementGroup placement-group",
    ),
    "release an address": (call("ReleaseAddress", AllocationId=FOREIGN["eipalloc"]), "ec2:ReleaseAddress elastic-ip"),
    "open a security group": (
        call("AuthorizeSecurityGroupIngress", GroupId=FOREIGN["sg"]),
        "ec2:AuthorizeSecurityGroupIngress security-group",
    ),
    "let a security group out": (
        call("AuthorizeSecurityGroupEgress", GroupId=FOREIGN["sg"]),
        "ec2:AuthorizeSecurityGroupEgress security-group",
    ),
    "close a security group": (
        call("RevokeSecurityGroupIngress", GroupId=FOREIGN["sg"]),
        "ec2:RevokeSecurityGroupIngress security-group",
    ),
    "let a volume go with an instance of somebody's": (
        goes_with(FOREIGN["i"], MINE["vol"]),
        "ec2:ModifyInstanceAttribute instance",
    ),
    "let somebody's volume go with an own instance": (
        goes_with(MINE["i"], FOREIGN["vol"]),
        "ec2:ModifyInstanceAttribute volume",
    ),
    "become root on an own instance by its user data": (
        attribute(MINE["i"], "userData"),
        "ec2:ModifyInstanceAttribute instance",
    ),
    "become root on any instance by its user data": (
        attribute(FOREIGN["i"], "userData"),
        "ec2:ModifyInstanceAttribute instance",
    ),
    "make an own instance larger": (attribute(MINE["i"], "instanceType"), "ec2:ModifyInstanceAttribute instance"),
    "move an own instance to another group": (
        call("ModifyInstanceAttribute", InstanceId=MINE["i"], GroupId__1=FOREIGN["sg"]),
        "ec2:ModifyInstanceAttribute instance",
        "ec2:ModifyInstanceAttribute security-group",
    ),
    "attach to an instance of somebody's": (
        call("AttachVolume", InstanceId=FOREIGN["i"], VolumeId=MINE["vol"]),
        "ec2:AttachVolume instance",
    ),
    "detach from an instance of somebody's": (
        call("DetachVolume", InstanceId=FOREIGN["i"], VolumeId=MINE["vol"]),
        "ec2:DetachVolume instance",
    ),
    "change a volume": (call("ModifyVolume", VolumeId=FOREIGN["vol"], Size="9"), "ec2:ModifyVolume volume"),
    # Nothing is handed on, and nothing read by another way.
    "share an own snapshot": (
        call("ModifySnapshotAttribute", SnapshotId=MINE["snap"], UserId__1="444455556666"),
        "ec2:ModifySnapshotAttribute snapshot",
    ),
    "make an image of an instance": (call("CreateImage", InstanceId=FOREIGN["i"]), "ec2:CreateImage instance"),
    "read what an instance prints": (
        call("GetConsoleOutput", InstanceId=FOREIGN["i"]),
        "ec2:GetConsoleOutput instance",
    ),
    "read user data": (
        call("DescribeInstanceAttribute", InstanceId=MINE["i"], Attribute="userData"),
        "ec2:DescribeInstanceAttribute instance",
    ),
    "read a secret parameter": (
        call("GetParameters", "ssm", Names='["/team/password"]'),
        "ssm:GetParameters parameter",
    ),
    "launch by a parameter of somebody's": (launch(ImageId="resolve:ssm:/team/image"), "ssm:GetParameters parameter"),
    "read blocks of a snapshot": (blocks("GetSnapshotBlock", FOREIGN["snap"]), "ebs:GetSnapshotBlock snapshot"),
    "list blocks of a snapshot": (blocks("ListSnapshotBlocks", FOREIGN["snap"]), "ebs:ListSnapshotBlocks snapshot"),
    "write blocks of a snapshot": (blocks("PutSnapshotBlock", FOREIGN["snap"]), "ebs:PutSnapshotBlock snapshot"),
    "complete a snapshot": (blocks("CompleteSnapshot", FOREIGN["snap"]), "ebs:CompleteSnapshot snapshot"),
    # Nothing is made without the tag by which it is known.
    "launch an instance without the tag": (launch("volume", "network-interface"), "ec2:RunInstances instance"),
    "launch with volumes without the tag": (launch("instance", "network-interface"), "ec2:RunInstances volume"),
    "make a volume without the tag": (call("CreateVolume", Size="1"), "ec2:CreateVolume volume"),
    "make a snapshot without the tag": (call("CreateSnapshot", VolumeId=MINE["vol"]), "ec2:CreateSnapshot snapshot"),
    "make a group without the tag": (
        call("CreateSecurityGroup", GroupName="x"),
        "ec2:CreateSecurityGroup security-group",
    ),
    "copy a snapshot without the tag": (
        call("CopySnapshot", SourceRegion="us-east-1", SourceSnapshotId=MINE["snap"]),
        "ec2:CopySnapshot snapshot",
    ),
    "write a snapshot without the tag": (
        direct(tags={"Name": "x"}),
        "ebs:StartSnapshot snapshot",
        "ec2:CreateTags snapshot",
    ),
    # Nobody launches into what is somebody else's.
    "launch into somebody's security group": (
        launch(SecurityGroupId__1=FOREIGN["sg"]),
        "ec2:RunInstances security-group",
    ),
    "launch into the default security group": (
        call("RunInstances", ImageId=LINUX, **tagged("instance", "volume", "network-interface")),
        "ec2:RunInstances security-group",
    ),
    "launch into somebody's placement group": (
        launch(Placement__GroupName="theirs"),
        "ec2:RunInstances placement-group",
    ),
    "launch with somebody's key pair": (launch(KeyName="theirs"), "ec2:RunInstances key-pair"),
    "launch by somebody's template": (
        launch(LaunchTemplate__LaunchTemplateId="lt-" + "2" * 17),
        "ec2:RunInstances launch-template",
    ),
    "launch with somebody's network interface": (
        launch(NetworkInterface__1__NetworkInterfaceId="eni-" + "2" * 17),
        "ec2:RunInstances network-interface",
    ),
    # Nobody gets rights by an instance's role.
    "launch with an administrator's role": (launch(IamInstanceProfile__Name="admins"), "iam:PassRole role"),
    "put an administrator's role into a profile": (
        call("AddRoleToInstanceProfile", "iam", InstanceProfileName="writer", RoleName="admin"),
        "iam:PassRole role",
    ),
    "write a role's policy outside the path": (
        call("PutRolePolicy", "iam", RoleName="admin", PolicyName="x"),
        "iam:PutRolePolicy role",
    ),
    "make a role outside the path": (
        call("CreateRole", "iam", RoleName="x", **{"Tags.member.1.Key": "lab:registry", "Tags.member.1.Value": OURS}),
        "iam:CreateRole role",
        "iam:TagRole role",
    ),
    "make a role without the tag": (call("CreateRole", "iam", RoleName="x", Path="/ec2-lab/"), "iam:CreateRole role"),
    "give an instance another role": (
        call("AssociateIamInstanceProfile", InstanceId=MINE["i"], IamInstanceProfile__Name="admins"),
        "ec2:AssociateIamInstanceProfile instance",
    ),
    "attach a managed policy": (call("AttachRolePolicy", "iam", RoleName="writer"), "iam:AttachRolePolicy role"),
    "let others assume a role": (
        call("UpdateAssumeRolePolicy", "iam", RoleName="writer"),
        "iam:UpdateAssumeRolePolicy role",
    ),
    "delete a role outside the path": (call("DeleteRole", "iam", RoleName="admin"), "iam:DeleteRole role"),
    # One table, one bucket.
    "read another table": (call("GetItem", "dynamodb", TableName="payroll"), "dynamodb:GetItem table"),
    "delete from another table": (call("DeleteItem", "dynamodb", TableName="payroll"), "dynamodb:DeleteItem table"),
    "delete the lab's table": (call("DeleteTable", "dynamodb", TableName="lab"), "dynamodb:DeleteTable table"),
    "read another bucket": (call("GetObject", "s3", Path="/payroll/list"), "s3:GetObject object"),
    "list another bucket": (call("ListObjectsV2", "s3", Path="/payroll"), "s3:ListBucket bucket"),
    "read a bucket whose name begins alike": (call("GetObject", "s3", Path="/lab-runs-2/list"), "s3:GetObject object"),
    "publish to a topic that is not the lab's": (
        call("Publish", "sns", TopicArn="arn:aws:sns:eu-west-1:111122223333:payroll"),
        "sns:Publish topic",
    ),
    "write into the bucket": (call("PutObject", "s3", Path="/lab-runs/x"), "s3:PutObject object"),
}
"""What all three policies together do not allow."""
TO_MOST = {
    "launch with a snapshot of somebody's": (with_data(FOREIGN["snap"]), "ec2:RunInstances snapshot"),
    "launch a private image": (launch(ImageId="ami-" + "6" * 17), "ec2:RunInstances image"),
    "make a volume from a snapshot of somebody's": (
        call("CreateVolume", SnapshotId=FOREIGN["snap"], **tagged("volume")),
        "ec2:CreateVolume snapshot",
    ),
    "make a snapshot of a volume of somebody's": (
        call("CreateSnapshot", VolumeId=FOREIGN["vol"], **tagged("snapshot")),
        "ec2:CreateSnapshot volume",
    ),
    "attach a volume of somebody's": (
        call("AttachVolume", InstanceId=MINE["i"], VolumeId=FOREIGN["vol"]),
        "ec2:AttachVolume volume",
    ),
    "detach a volume of somebody's": (call("DetachVolume", VolumeId=FOREIGN["vol"]), "ec2:DetachVolume volume"),
    "copy a snapshot of somebody's": (
        call("CopySnapshot", SourceRegion="us-east-1", SourceSnapshotId=FOREIGN["snap"], **tagged("snapshot")),
        "ec2:CopySnapshot snapshot",
        "ec2:CreateTags snapshot",
    ),
    "read a snapshot of somebody's as the parent of an own one": (
        direct(parent=FOREIGN["snap"]),
        "ebs:StartSnapshot snapshot",
        "ec2:CreateTags snapshot",
    ),
}
"""What docs/iam-policy-data.json is for: whoever has it takes in what the lab did not make, or copies it."""
OF_ANOTHER_LAB = {
    "read blocks of another lab's snapshot": (
        blocks("GetSnapshotBlock", OTHERS["snap"]),
        "ebs:GetSnapshotBlock snapshot",
    ),
    "launch with another lab's data": (with_data(OTHERS["snap"]), "ec2:RunInstances snapshot"),
    "terminate another lab's instance": (
        call("TerminateInstances", InstanceId__1=OTHERS["i"]),
        "ec2:TerminateInstances instance",
    ),
    "delete another lab's data": (call("DeleteSnapshot", SnapshotId=OTHERS["snap"]), "ec2:DeleteSnapshot snapshot"),
    "attach another lab's volume": (
        call("AttachVolume", InstanceId=MINE["i"], VolumeId=OTHERS["vol"]),
        "ec2:AttachVolume volume",
    ),
    "make what looks like another lab's": (
        call("CreateVolume", Size="1", **tagged("volume", **OTHER)),
        "ec2:CreateVolume volume",
    ),
}
"""What is denied where the policies name this registry's id."""
ALLOWED = {
    "launch": launch(),
    "launch with the lab's data": with_data(MINE["snap"]),
    "launch with data tagged by hand": with_data(BY_HAND["snap"]),
    "launch with a role of the lab's": launch(IamInstanceProfile__Name="writers"),
    "launch into a reservation": launch(
        CapacityReservationSpecification__CapacityReservationTarget__CapacityReservationId="cr-" + "7" * 17
    ),
    "let an own volume go with an own instance": goes_with(MINE["i"], MINE["vol"]),
    "attach an own volume": call("AttachVolume", InstanceId=MINE["i"], VolumeId=MINE["vol"]),
    "read blocks of an own snapshot": blocks("GetSnapshotBlock", MINE["snap"]),
    "mark an own volume as kept": tag(MINE["vol"], **{"lab:retained": "x"}),
    "publish to a topic of the lab's": call(
        "Publish", "sns", TopicArn="arn:aws:sns:eu-west-1:111122223333:ec2-lab-lab"
    ),
    "terminate an own instance": call("TerminateInstances", InstanceId__1=MINE["i"]),
}
"""What everybody may, so that the denials above are not those of policies that allow nothing."""


def denied(statements, attack):
    return sorted({f"{name.split()[0]} {kind_in(name)}" for name in refusals(statements, [attack], WORLD)})


def kind_in(refused):
    if ":s3:::" in refused:
        return "object" if "/" in refused else "bucket"
    if " arn:aws:sns:" in refused:
        return "topic"
    return refused.rpartition(" ")[2].split(":", 5)[5].partition("/")[0]


@pytest.mark.parametrize("name", TO_ALL)
def test_denied_to_whoever_has_all_policies_together(name):
    attack, *expected = TO_ALL[name]
    assert denied(ALL, attack) == sorted(expected)


@pytest.mark.parametrize("name", TO_MOST)
def test_denied_without_the_policy_for_data_and_allowed_with_it(name):
    attack, *expected = TO_MOST[name]
    assert denied([*DAILY, *SETUP], attack) == sorted(expected)
    assert denied(ALL, attack) == []


@pytest.mark.parametrize("name", OF_ANOTHER_LAB)
def test_denied_where_the_policies_name_the_registry(name):
    attack, *expected = OF_ANOTHER_LAB[name]
    assert denied(of_registry([*DAILY, *SETUP], OURS), attack) == expected


@pytest.mark.parametrize("name", ALLOWED)
def test_allowed_to_everybody_also_where_the_policies_name_the_registry(name):
    assert refusals(DAILY, [ALLOWED[name]], WORLD) == {}
    assert refusals(of_registry(DAILY, OURS), [ALLOWED[name]], WORLD) == {}


def test_tags_of_a_snapshot_written_block_by_block_are_allowed_whether_or_not_aws_names_the_call():
    """ec2:CreateAction is not documented for StartSnapshot: either way of asking is allowed, at creation alone."""
    for_data = [*DAILY, *DATA]
    assert refusals(for_data, [direct()], WORLD) == {}
    named = [s for s in for_data if s["Sid"] != "AlsoWhereNoCreateActionIsTold"]
    (action,) = [s for s in DATA if "StartSnapshot" in json.dumps(s.get("Condition", {}))]
    assert action["Condition"] == {"StringEquals": {"ec2:CreateAction": ["CopySnapshot", "StartSnapshot"]}}
    assert denied(named, direct()) == ["ec2:CreateTags snapshot"]
    assert denied(for_data, tag(FOREIGN["snap"], **OWN)) == ["ec2:CreateTags snapshot"]


@pytest.mark.parametrize("of", ["", "-data", "-setup"])
def test_each_policy_fits_into_a_managed_policy_of_iam(of):
    text = (REPOSITORY / "docs" / f"iam-policy{of}.json").read_text()
    assert len("".join(text.split())) <= LARGEST - SPARE, "a new call needs room; merge statements before it is gone"
    sids = [s["Sid"] for s in json.loads(text)["Statement"]]
    assert len(set(sids)) == len(sids)
    assert all(sid.isalnum() for sid in sids)


@pytest.mark.parametrize("statement", ALL, ids=lambda s: s["Sid"])
def test_each_statement_names_resources_and_keys_that_its_actions_have(statement):
    for action in several(statement["Action"]):
        kinds = [kind for resource in several(statement["Resource"]) for kind in kinds_of(action, resource)]
        assert kinds, f"{action} has none of the resources"
        for keys in statement.get("Condition", {}).values():
            for key in keys:
                assert any(can_have(action, kind, key) for kind in kinds), f"{action} never has {key}"
    for resource in several(statement["Resource"]):
        assert any(kinds_of(action, resource) for action in several(statement["Action"])), f"{resource} is no action's"


def kinds_of(action, resource):
    """Return the types of an action's resources that a statement's resource can be."""
    types = set(resource_types(action))
    if resource == "*":
        return types
    kind = resource.split(":", 5)[5].partition("/")[0]
    if ":sns:" in resource:
        kind = "topic"
    if ":s3:::" in resource:
        kind = "object" if "/" in resource else "bucket"
    return {kind} & (types | {of for by, of in NOT_IN_THE_REFERENCE if by == action})


def test_no_action_has_a_wildcard_and_each_exists():
    for statement in ALL:
        for action in several(statement["Action"]):
            service, _, name = action.partition(":")
            assert name in services()[service]["privileges"], action


def test_there_are_attacks_on_each_kind_of_resource():
    attacked = {kind.partition(" ")[2] for _, *of in (TO_ALL | TO_MOST).values() for kind in of}
    assert attacked >= {
        "instance",
        "volume",
        "snapshot",
        "security-group",
        "placement-group",
        "key-pair",
        "elastic-ip",
        "image",
        "role",
        "table",
        "bucket",
        "object",
        "parameter",
        "topic",
    }
    assert len(TO_ALL | TO_MOST | OF_ANOTHER_LAB) >= 25
    assert ACCOUNT.isdigit()


def test_a_call_of_which_no_resource_is_found_is_not_taken_for_allowed():
    with pytest.raises(AssertionError, match="ec2:RegisterImage: on what"):
        refusals(ALL, [call("RegisterImage", Name="x")], WORLD)
