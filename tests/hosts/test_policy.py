"""The policies of docs/ allow what the lab calls, and nothing else: every script is run, and its calls are evaluated.

What nobody may do by them is in tests/iam/test_attacks.py.
"""

import json

import pytest

from ec2lab.registry.recorder import changes_something
from tests.hosts.instance import be_the_instance
from tests.hosts.test_data import speech  # noqa: F401 - a fixture
from tests.hosts.test_mount_volumes import disks, name  # noqa: F401 - a fixture
from tests.iam.calls import World, requests_of
from tests.iam.evaluation import several
from tests.iam.policies import ALL, DAILY, SETUP, of_registry, refusals

NOT_CALLED = {
    "iam:CreateServiceLinkedRole": "asked by RunInstances, for an account's first spot instance",
    **dict.fromkeys(
        ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey",
         "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo"],
        "asked by EC2 and the EBS direct APIs, for volumes and snapshots under a key of one's own",
    ),
}  # fmt: skip
"""What AWS asks for on its own while it carries out another call."""
FOR_DATA = {"ebs:CompleteSnapshot", "ebs:PutSnapshotBlock", "ebs:StartSnapshot", "ec2:CopySnapshot", "ec2:CreateTags"}
"""What of a full run docs/iam-policy-data.json alone allows; ec2:CreateTags only for the snapshots of the others."""
UNCONDITIONED = {
    "iam:PassRole": "conditioned on the service", "iam:CreateServiceLinkedRole": "conditioned on the service",
    **dict.fromkeys(
        (action for action in NOT_CALLED if action.startswith("kms:") and action != "kms:DescribeKey"),
        "conditioned on EC2's asking",
    ),
    **dict.fromkeys(
        ["dynamodb:ConditionCheckItem", "dynamodb:CreateTable", "dynamodb:DeleteItem", "dynamodb:PutItem",
         "dynamodb:TagResource", "dynamodb:UpdateContinuousBackups", "dynamodb:UpdateItem"],
        "of the registry's table, by its name",
    ),
    **dict.fromkeys(
        ["iam:AddRoleToInstanceProfile", "iam:DeleteInstanceProfile", "iam:DeleteRole", "iam:DeleteRolePolicy",
         "iam:DetachRolePolicy", "iam:PutRolePolicy", "iam:RemoveRoleFromInstanceProfile", "iam:TagInstanceProfile",
         "iam:TagRole"],
        "of what is below the lab's path in IAM",
    ),
    **dict.fromkeys(
        ["sns:DeleteTopic", "sns:Publish", "sns:Subscribe", "sns:TagResource"], "of the lab's topics, by their names"
    ),
}  # fmt: skip
CALL = ("service", "action", "region", "params")
"""What tells one call from another; most are made many times."""
SOME = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}]}
TABLE = "dynamodb://us-east-1/lab?lease=1s"
LAB = 'regions = ["us-east-1", "us-west-2"]\n[network]\nssh_allowed_cidrs = ["{network}"]\n{more}\n'
EXPERIMENT = """
instance_types = ["c6i.large"]
[[data]]
dataset = "speech"
mount = "/data"
deletion_policy = "snapshot"
[[scratch]]
mount = "/scratch"
size_gib = 4
deletion_policy = "retain"
retain_for = "30d"
reason = "for a test"
"""


NODES = """
instance_types = ["g5.xlarge"]
markets = ["reservation:cr-0123456789abcdef0", "on-demand"]
nodes = 2
command = "true"
artifact_uri = "s3://lab-runs"
instance_profile = "writer"
"""


def by_action():
    """(action, statement) for each action of each statement."""
    return [(action, statement) for statement in ALL for action in several(statement["Action"])]


def test_every_call_that_changes_something_is_conditioned_on_the_labs_own_tag():
    changing = {action for action, _ in by_action() if changes_something(action.partition(":")[2])}
    tagged = {action for action, statement in by_action() if "/lab:registry" in json.dumps(statement.get("Condition"))}
    assert changing - tagged == set(UNCONDITIONED)
    assert "ec2:TerminateInstances" in tagged


def identity_of(lab):
    """The id of a lab's registry."""
    (identity,) = [r["annotation"]["registry"] for r in lab.records() if "registry" in (r.get("annotation") or {})]
    return identity


def orphan(lab, cloud, kind, make, **request):
    """Make a thing that carries the registry's own tags, and that it knows nothing of."""
    identity = identity_of(lab)
    whole = {
        "lab:experiment": "lost",
        "lab:request-id": "f" * 32,
        "lab:registry": identity,
        "lab:created-by": "bob@laptop",
    }
    tags = [{"Key": key, "Value": value} for key, value in whole.items()]
    getattr(cloud.client("ec2", "us-east-1"), make)(TagSpecifications=[{"ResourceType": kind, "Tags": tags}], **request)


@pytest.fixture
def used(lab, cloud, host_with_sshd, alice_key, disks, speech):  # noqa: F811, PLR0915 - each script once
    """The calls of a lab in which everything was done once, and what they were about."""
    world = World()

    def run(script, code=0, **variables):
        world.see(cloud.inventory())
        ended = lab.run(script, MEMBER="alice", HOME=home, **variables)
        assert ended.code == code, f"{script}: {ended.out} {ended.err}"

    home = str(lab.path.parent / "home")
    (subnet, *_) = cloud.client("ec2", "us-east-1").describe_subnets()["Subnets"]
    more = f'[network.subnets]\nus-east-1 = ["{subnet["SubnetId"]}"]\n[image]\nowner = "amazon"\nname = "*"\n'
    lab.write("lab.toml", LAB.format(network="203.0.113.0/24", more=more))
    lab.write("experiments/demo.toml", EXPERIMENT)
    lab.write("experiments/spot.toml", 'instance_types = ["g5.xlarge"]\nmarkets = ["spot", "on-demand"]\n')
    lab.write("members/alice.toml", f'keys = ["{alice_key.line}"]\n')
    lab.write("files/a.txt", "a")
    run("plan", 1, EXP="spot")  # there is no such image, which is found out by asking
    lab.write("lab.toml", LAB.format(network="203.0.113.0/24", more=""))
    cloud.scenario(capacity=[{"region": "us-east-1", "calls": 1}])
    run("launch", EXP="demo")
    work_on_a_table(run, cloud)
    (instance,) = lab.status()
    region = instance["region"]
    be_the_instance(cloud, lab, host_with_sshd, "alice", alice_key)
    device = disks(filesystem="ext4", U=speech)
    run("volume_mount", HOST="demo", DATASET="speech", MOUNT="/more")
    mounted = [{"Name": "tag-key", "Values": ["lab:mount"]}]
    (volume,) = cloud.client("ec2", region).describe_volumes(Filters=mounted)["Volumes"]
    name(host_with_sshd, device, volume["VolumeId"])
    run("snapshot_create", HOST="demo", DATASET="more", VOLUME=volume["VolumeId"], MOUNT="/more")
    run("users", HOST="demo", DRY_RUN="1")
    run("volume_unmount", HOST="demo", MOUNT="/more", VOLUME=volume["VolumeId"])
    run("stop", EXP="demo")
    run("start", EXP="demo")
    run("teardown", EXP="demo")
    lab.write("lab.toml", LAB.format(network="198.51.100.0/24", more=""))
    run("dataset_build", DATASET="talks", SOURCE="./files")
    run("dataset_verify", DATASET="talks")
    run("snapshot_copy", DATASET="talks", REGIONS="eu-west-1")
    lab.write("files/b.txt", "b")
    run("dataset_build", DATASET="talks", SOURCE="./files")  # from its parent
    run("datasets")
    run("dataset_prune", KEEP_LAST="1", YES="1")
    orphan(lab, cloud, "elastic-ip", "allocate_address", Domain="vpc")
    orphan(lab, cloud, "key-pair", "create_key_pair", KeyName="lost")
    orphan(lab, cloud, "security-group", "create_security_group", GroupName="lost", Description="lost")
    cloud.client("ec2", "us-east-1").allocate_address(Domain="vpc")
    run("audit", FIX="1", OWNER="everyone")
    encoded = "Encoded authorization failure message: eyJhbGxvd2VkIjpmYWxzZX0="
    cloud.scenario(faults=[{"action": "RunInstances", "code": "UnauthorizedOperation", "message": encoded}])
    run("launch", 1, EXP="demo")
    cloud.scenario()
    work_on_several_nodes(run, lab, cloud)
    come_and_go(run, lab, cloud)
    world.see(cloud.inventory())
    for call in cloud.calls(everyone=True):
        world.hear(call)
    # The doctor makes a dry run of all that the policy allows, which would make all of it seem needed.
    asked = [call for call in cloud.calls() if "DryRun" not in call["params"]]
    return list({json.dumps([*map(call.get, CALL)]): call for call in asked}.values()), world


def work_on_a_table(run, cloud):
    """Move to a team's table while there is little to move, work there, and come home."""
    run("registry_push", DEST=TABLE)
    cloud.scenario(pending=1)  # long enough for a lease to be renewed
    for script in ("launch", "teardown", "history", "doctor"):
        run(script, EXP="spot", REGISTRY=TABLE)
    cloud.scenario()
    run("registry_pull", SOURCE=TABLE)


def work_on_several_nodes(run, lab, cloud):
    """Launch two nodes that tell a bucket of their run, read it, and take them down."""
    lab.write("experiments/nodes.toml", NODES)
    iam = cloud.client("iam", "us-east-1")
    iam.create_instance_profile(InstanceProfileName="writer")
    iam.create_role(RoleName="writer", Path="/ec2-lab/", AssumeRolePolicyDocument=json.dumps(SOME))
    iam.add_role_to_instance_profile(InstanceProfileName="writer", RoleName="writer")
    s3 = cloud.client("s3", "us-east-1")
    s3.create_bucket(Bucket="lab-runs")
    run("launch", EXP="nodes")
    for instance in lab.status():
        ended = b'{"exit_code": 0, "at": "2026-11-24T10:00:00Z"}'
        s3.put_object(Bucket="lab-runs", Key=f"nodes/{instance['id']}/ended.json", Body=ended)
    for script in ("logs", "wait", "teardown"):
        run(script, EXP="nodes")


def come_and_go(run, lab, cloud):
    """Set the account up for logs and notifications, watch a spot instance to its end, and leave nothing there."""
    more = '[logs]\nartifact_uri = "s3://lab-runs"\n[notify]\nemail = ["ops@example.com"]'
    lab.write("lab.toml", LAB.format(network="198.51.100.0/24", more=more))
    run("gpus")
    run("setup_aws", YES="1")
    run("setup_aws")  # which looks at the subscribers of a topic that is there
    iam = cloud.client("iam", "us-east-1")
    by_hand = iam.create_policy(PolicyName="by-hand", PolicyDocument=json.dumps(SOME))
    iam.attach_role_policy(RoleName="ec2-lab-lab-log-writer", PolicyArn=by_hand["Policy"]["Arn"])
    run("launch", EXP="spot")
    (instance,) = [line for line in lab.status() if line["experiment"] == "spot"]
    watching = lab.start("watch", EXP="spot", JSON="1")
    for line in watching.stdout:
        if '"instance-running"' in line:
            break
    cloud.end(instance["id"], instance["region"], "Server.SpotInstanceTermination")
    watching.communicate(timeout=60)
    run("teardown", EXP="spot")
    held = {"action": "DeleteSecurityGroup", "region": "us-east-1", "code": "DependencyViolation", "times": 15}
    cloud.scenario(faults=[held])  # so long that it is asked what holds the group
    run("teardown_aws", REGIONS="us-east-1 us-west-2", YES="1")


def test_the_policy_speaks_of_one_table_alone():
    named = {s["Resource"] for action, s in by_action() if action.startswith("dynamodb:")}
    assert named == {"arn:*:dynamodb:*:*:table/lab"}


def test_what_is_made_in_iam_is_below_the_labs_own_path_and_only_whoever_sets_up_may_make_it():
    named = {resource for s in SETUP for resource in several(s["Resource"])}
    in_iam = {resource for resource in named if ":iam:" in resource}
    assert in_iam == {"arn:*:iam::*:instance-profile/ec2-lab/*", "arn:*:iam::*:role/ec2-lab/*"}
    assert named - in_iam == {"arn:*:sns:*:*:ec2-lab-*"}
    daily = {action for s in DAILY for action in several(s["Action"]) if action.startswith("iam:")}
    changing = {action for action in daily if changes_something(action.partition(":")[2])}
    assert changing == {"iam:PassRole", "iam:CreateServiceLinkedRole"}


def test_the_policy_speaks_of_one_bucket_alone():
    named = {resource for action, s in by_action() if action.startswith("s3:") for resource in s["Resource"]}
    assert named == {"arn:*:s3:::lab-runs", "arn:*:s3:::lab-runs/*"}


@pytest.mark.timeout(900)  # every script is run, one after the other
def test_the_policy_allows_exactly_what_the_lab_calls(used, lab):
    calls, world = used
    asked = {request.action for call in calls for request in requests_of(call, world)}
    allowed = {action for action, _ in by_action()}
    assert asked - allowed == set(), "called, and not allowed"
    assert allowed - asked == set(NOT_CALLED), "allowed, and never called"
    identity = identity_of(lab)
    assert refusals(ALL, calls, world) == {}
    assert refusals(of_registry(ALL, identity), calls, world) == {}, "it names the registry"
    more = {refused.partition(" ")[0] for refused in refusals(DAILY, calls, world)}
    for_setup = {action for statement in SETUP for action in several(statement["Action"])} - {"iam:PassRole"}
    assert more == FOR_DATA | for_setup, "who launches needs no other policy"
