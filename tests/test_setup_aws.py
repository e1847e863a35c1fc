"""What an account needs is shown, made on a yes, and made once; the way back leaves nothing of it."""

import json

import pytest

from ec2lab.account.log_bucket_role import policy
from ec2lab.aws.tags import matching

LAB = 'regions = ["us-east-1", "us-west-2"]\n[network]\nssh_allowed_cidrs = ["203.0.113.0/24"]\n'
LOGS = '[logs]\nartifact_uri = "s3://lab-runs/speech"\n'
ROLE, PROFILE = "ec2-lab-lab-log-writer", "ec2-lab-lab-logs"
SOME = policy("aws", "s3://elsewhere")
HERE = "us-east-1 us-west-2"
"""Where a teardown looks: all regions take two seconds."""


def setup(lab, **variables):
    return lab.run("setup_aws", **variables)


def teardown(lab, **variables):
    return lab.run("teardown_aws", REGIONS=f"{HERE} us-west-1", **variables)


def told(ended, event):
    return [line for line in ended.events if line["event"] == event]


def owned(cloud):
    """The kinds and the places of all that there is, but for the demo's dataset."""
    return sorted((thing["kind"], thing["region"]) for thing in cloud.inventory() if "lab:dataset" not in thing["tags"])


ALL = [("instance-profile", "global"), ("role", "global"),
       ("security-group", "us-east-1"), ("security-group", "us-west-2")]  # fmt: skip


@pytest.fixture
def wanting(lab):
    """A lab that wants all that can be set up."""
    lab.write("lab.toml", LAB + LOGS)
    return lab


def test_it_is_shown_then_made_on_a_yes_recorded_and_tagged_and_made_once(wanting, cloud):
    shown = setup(wanting)
    assert (shown.code, shown.err) == (0, "")
    assert "nothing was created; run again with YES=1 to create 6 missing items" in shown.out
    assert "s3:PutObject on arn:aws:s3:::lab-runs/speech/*, and nothing else" in shown.out
    assert "IMDSv2 is not required by default" in shown.out
    assert owned(cloud) == []
    made = setup(wanting, YES="1", JSON="1")
    assert made.code == 0, made.err
    assert owned(cloud) == ALL
    for thing in cloud.inventory():
        if "lab:dataset" not in thing["tags"]:
            assert thing["tags"]["lab:shared"] == "lab"
            assert {"lab:created-by", "lab:request-id"} <= thing["tags"].keys()
            assert thing["tags"]["lab:request-id"] in {record["id"] for record in wanting.records()}
    calls = len(cloud.calls())
    again = setup(wanting, YES="1", JSON="1")
    assert (again.code, told(again, "setup-complete")) == (0, [{"event": "setup-complete", "created": 0}])
    assert not [c for c in cloud.calls()[calls:] if c["action"].startswith(("Create", "Put", "Add", "Authorize"))]


def test_the_teams_tags_are_such_as_iam_takes(wanting, cloud):
    wanting.write("lab.toml", LAB + LOGS + '[tags]\nteam = "R&D; 50%"\n')
    assert setup(wanting, YES="1").code == 0
    tags = {thing["kind"]: thing["tags"]["team"] for thing in cloud.inventory() if "lab:shared" in thing["tags"]}
    assert tags == {"role": "R_D_ 50_", "instance-profile": "R_D_ 50_", "security-group": "R&D; 50%"}


def test_an_instance_may_take_the_role_and_then_put_objects_below_the_prefix_and_nothing_else(wanting, cloud):
    assert setup(wanting, YES="1").code == 0
    iam = cloud.client("iam", "us-east-1")
    (statement,) = iam.get_role(RoleName=ROLE)["Role"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "ec2.amazonaws.com"}
    (named,) = iam.list_role_policies(RoleName=ROLE)["PolicyNames"]
    allowed = iam.get_role_policy(RoleName=ROLE, PolicyName=named)["PolicyDocument"]["Statement"]
    assert allowed == [{"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::lab-runs/speech/*"}]
    run = (
        f'instance_types = ["c6i.large"]\ncommand = "true"\nartifact_uri = "s3://lab-runs/speech"\n'
        f'instance_profile = "{PROFILE}"\n'
    )
    wanting.write("experiments/demo.toml", run)
    assert wanting.launch().code == 0
    assert len(cloud.calls("CreateSecurityGroup")) == 2, "the launch found the one that was there"


def test_without_a_bucket_nothing_is_asked_of_iam(lab, cloud):
    lab.write("lab.toml", LAB)
    assert setup(lab, YES="1").code == 0
    assert owned(cloud) == ALL[2:]
    assert [call for call in cloud.calls() if call["service"] == "iam"] == []


def test_cut_off_in_the_midst_or_unheard_it_is_gone_on_with_and_nothing_is_made_twice(wanting, cloud):
    lost = [{"action": a, "kind": "reset-after", "times": 5} for a in ("CreateRole", "CreateInstanceProfile")]
    for fault in [*lost, {"action": "PutRolePolicy", "code": "ServiceFailure", "times": 1}]:
        cloud.scenario(faults=[fault])
        setup(wanting, YES="1")
    cloud.scenario()
    assert setup(wanting, YES="1").code == 0
    assert owned(cloud) == ALL
    assert teardown(wanting, YES="1").code == 0
    assert owned(cloud) == []


def test_whoever_may_not_make_roles_is_told_who_may_and_what_to_hand_over(wanting, cloud):
    cloud.scenario(faults=[{"action": "CreateRole", "code": "AccessDenied"}])
    refused = setup(wanting, YES="1")
    assert refused.code == 1
    assert "CreateRole: IAM denies it; ask an administrator" in refused.error
    assert json.dumps(policy("aws", "s3://lab-runs/speech")) in refused.out
    assert "aws iam create-instance-profile --path /ec2-lab/" in refused.out
    assert owned(cloud) == ALL[2:], "what was allowed is made"


def test_where_iam_may_not_even_be_looked_at_the_regions_are_shown_all_the_same(wanting, cloud):
    cloud.scenario(faults=[{"action": "GetRole", "code": "AccessDenied"}])
    refused = setup(wanting)
    assert refused.code == 1
    assert "a security group" in refused.out
    assert "aws iam create-role" in refused.out
    assert "no launch is possible there" not in refused.error


def test_what_somebody_else_made_by_that_name_is_neither_changed_nor_deleted(wanting, cloud):
    iam = cloud.client("iam", "us-east-1")
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument="{}")
    refused = setup(wanting, YES="1")
    assert refused.code == 1
    assert f"role/{ROLE} that is not this lab's" in refused.error
    assert iam.list_role_policies(RoleName=ROLE)["PolicyNames"] == []
    assert teardown(wanting, YES="1").code == 0
    assert iam.get_role(RoleName=ROLE)


def test_what_was_changed_by_hand_is_put_right(wanting, cloud):
    assert setup(wanting, YES="1").code == 0
    iam = cloud.client("iam", "us-east-1")
    (named,) = iam.list_role_policies(RoleName=ROLE)["PolicyNames"]
    wide = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
    iam.put_role_policy(RoleName=ROLE, PolicyName=named, PolicyDocument=wide)
    iam.remove_role_from_instance_profile(InstanceProfileName=PROFILE, RoleName=ROLE)
    assert "run again with YES=1 to create 2 missing items" in setup(wanting).out
    assert setup(wanting, YES="1").code == 0
    assert iam.get_role_policy(RoleName=ROLE, PolicyName=named)["PolicyDocument"] == policy(
        "aws", "s3://lab-runs/speech"
    )


def test_a_region_where_no_instance_could_stand_is_named_with_what_would_help(lab, cloud):
    far = cloud.client("ec2", "us-west-2")
    for subnet in far.describe_subnets()["Subnets"]:
        far.delete_subnet(SubnetId=subnet["SubnetId"])
    lab.write("lab.toml", LAB)
    cloud.scenario(faults=[{"region": "eu-west-1", "code": "OptInRequired", "message": "not subscribed"}])
    ended = setup(lab, YES="1", REGIONS="us-east-1 us-west-2 eu-west-1")
    assert ended.code == 1
    assert "us-west-2: no default VPC with subnets: `aws ec2 create-default-vpc --region us-west-2`" in ended.error
    assert "eu-west-1: DescribeSubnets in eu-west-1: OptInRequired" in ended.error
    assert owned(cloud) == [("security-group", "us-east-1")]


def test_named_subnets_are_looked_for_and_those_that_are_not_there_named(lab, cloud):
    (subnet, *_) = cloud.client("ec2", "us-east-1").describe_subnets()["Subnets"]
    named = f'[network.subnets]\nus-east-1 = ["{subnet["SubnetId"]}", "subnet-0123456789abcdef0"]\n'
    lab.write("lab.toml", LAB + named)
    ended = setup(lab)
    assert "us-east-1: lab.toml: network.subnets: there is no subnet-0123456789abcdef0" in ended.error
    assert "us-west-2: no subnets are set for it" in ended.error


def test_the_way_back_shows_what_goes_and_what_stays_and_deletes_on_a_yes(wanting, cloud):
    assert setup(wanting, YES="1").code == 0
    by_hand = [one["id"] for one in cloud.inventory() if one["kind"] == "snapshot"]
    assert wanting.run("snapshot_copy", DATASET="speech", REGIONS="us-west-1").code == 0
    iam = cloud.client("iam", "us-east-1")
    managed = iam.create_policy(PolicyName="by-hand", PolicyDocument=json.dumps(SOME))
    iam.attach_role_policy(RoleName=ROLE, PolicyArn=managed["Policy"]["Arn"])
    assert "nothing was deleted; run again with YES=1 to delete 4 resources" in teardown(wanting).out
    shown = teardown(wanting, JSON="1")
    assert (shown.code, shown.err) == (0, "")
    rows = told(shown, "owned-resource")
    assert sorted((row["resource_type"], row["region"]) for row in rows if row["status"] == "would-delete") == ALL
    # The other two regions have it from somebody who tagged it by hand: 500 GiB for 0.05 dollars.
    assert [(row["resource_type"], row["region"]) for row in rows if row["status"] == "retained"] == [
        ("snapshot", "us-west-1")
    ]
    by_another = [(row["resource_type"], row["dollars_per_month"]) for row in rows if row["status"] == "foreign"]
    assert by_another == [("snapshot", 25.0), ("snapshot", 25.0)]
    assert told(shown, "data-cost")[0]["unknown_prices"] == 1
    assert owned(cloud) == ALL
    assert teardown(wanting, YES="1").code == 0
    assert owned(cloud) == []
    assert len(cloud.inventory()) == 3, "the dataset is there"
    assert "nothing was left" in teardown(wanting).out
    assert wanting.run("audit", REGIONS=HERE).code == 0
    assert teardown(wanting, YES="1", INCLUDE_DATASETS="1").code == 0
    assert [one["id"] for one in cloud.inventory()] == by_hand, "what carries no registry's id is nobody's to delete"


def test_while_an_experiment_of_anyone_lives_nothing_is_deleted(wanting, cloud):
    assert setup(wanting, YES="1").code == 0
    tags = {
        "lab:experiment": "theirs",
        "lab:request-id": "0" * 32,
        "lab:created-by": "bob@laptop",
        "lab:registry": "f" * 32,
    }
    image = cloud.client("ec2", "us-west-2").describe_images()["Images"][0]["ImageId"]
    cloud.client("ec2", "us-west-2").run_instances(
        ImageId=image, MinCount=1, MaxCount=1, InstanceType="c6i.large",
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}],
    )  # fmt: skip
    refused = teardown(wanting, YES="1")
    assert refused.code == 1
    assert "in use: theirs of bob@laptop" in refused.error
    assert set(ALL) <= set(owned(cloud))


def test_what_another_registry_shares_in_the_account_is_shown_and_left(wanting, cloud):
    assert setup(wanting, YES="1").code == 0
    shown = teardown(wanting, REGISTRY="second.json", YES="1", JSON="1")
    assert shown.code == 0
    assert {row["status"] for row in told(shown, "owned-resource")} == {"foreign"}
    assert owned(cloud) == ALL


def test_what_has_copied_tags_is_shown_and_left(wanting, cloud):
    """AWS Backup and snapshot policies copy all tags of what they back up."""
    assert setup(wanting, YES="1").code == 0
    assert wanting.run("snapshot_copy", DATASET="speech", REGIONS="us-west-1").code == 0
    ec2 = cloud.client("ec2", "us-west-1")
    (snapshot,) = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    backup = ec2.create_volume(
        AvailabilityZone="us-west-1a", SnapshotId=snapshot["SnapshotId"],
        TagSpecifications=[{"ResourceType": "volume", "Tags": snapshot["Tags"]}],
    )["VolumeId"]  # fmt: skip
    again = ec2.create_snapshot(
        VolumeId=backup, TagSpecifications=[{"ResourceType": "snapshot", "Tags": snapshot["Tags"]}]
    )["SnapshotId"]
    ended = teardown(wanting, YES="1", INCLUDE_DATASETS="1", JSON="1")
    assert ended.code == 0, ended.err
    assert {row["id"] for row in told(ended, "owned-resource") if row["status"] == "copy"} == {backup, again}
    assert {backup, again} <= {thing["id"] for thing in cloud.inventory()}
    assert snapshot["SnapshotId"] not in {thing["id"] for thing in cloud.inventory()}


def test_another_labs_are_left_and_its_data_is_not_taken_for_ones_own(wanting, cloud):
    assert setup(wanting, YES="1").code == 0
    wanting.write("lab.toml", f'name = "other"\n{LAB}')
    assert setup(wanting, YES="1").code == 0
    assert "lab shares this registry" in teardown(wanting, YES="1", INCLUDE_DATASETS="1").error
    assert teardown(wanting, YES="1").code == 0
    assert owned(cloud) == ALL


def test_a_region_that_can_not_be_looked_at_is_named_and_nothing_is_deleted(wanting, cloud):
    assert setup(wanting, YES="1").code == 0
    cloud.scenario(faults=[{"region": "us-west-2", "code": "UnauthorizedOperation"}])
    assert "could not be queried: us-west-2: " in teardown(wanting, YES="1").error
    cloud.scenario(faults=[{"action": "ListRoles", "code": "AccessDenied"}])
    assert "could not be queried: global: ListRoles: AccessDenied" in teardown(wanting, YES="1").error
    assert owned(cloud) == ALL


def test_a_region_that_can_not_be_looked_at_hides_no_other_from_a_setup(wanting, cloud):
    cloud.scenario(faults=[{"region": "us-west-2", "action": "Describe*", "kind": "torn"}])
    ended = wanting.run("setup_aws", JSON="1")
    assert ended.code == 1
    told = {(event["event"], event["region"]) for event in ended.events if event["event"] in ("present", "blocked")}
    assert ("blocked", "us-west-2") in told
    assert ("present", "us-east-1") in told
    assert "Unable to parse response" in ended.error


def test_filters_by_tag_match_as_ec2s_do():
    items = [{"Tags": [{"Key": "lab:request-id", "Value": "1"}]}, {"Tags": [{"Key": "team", "Value": "lab"}]}, {}]
    assert list(matching(items, [])) == items
    assert list(matching(items, [{"Name": "tag-key", "Values": ["lab:*"]}])) == items[:1]
    assert list(matching(items, [{"Name": "tag:team", "Values": ["x", "lab"]}])) == items[1:2]
    assert list(matching(items, [{"Name": "tag:team", "Values": ["x"]}])) == []
