"""A snapshot of the whole local cloud, restored: everything responds as it did, as often as one likes."""

import json
import threading
from contextlib import suppress
from datetime import timedelta

import pytest
from botocore.exceptions import ConnectionClosedError

from ec2lab import clock as scripts_clock
from tests.local_cloud.requests import TYPE, every_instance, refused, run, state
from tests.local_cloud.test_control import ask
from tests.waiting import wait_until

LONG = 600
KEYS = [{"AttributeName": "id", "KeyType": "HASH"}]
TRUST = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}]}
DESCRIBED = (
    "instances", "volumes", "snapshots", "security_groups", "key_pairs", "addresses", "network_interfaces", "tags",
    "placement_groups", "spot_instance_requests", "fast_snapshot_restores", "images", "subnets",
)  # fmt: skip


def seen(cloud):
    """All that the cloud tells of itself and of what is in it. What each response is called by is left out."""
    told: dict = {path: cloud.ask("GET", path) for path in ("scenario", "inventory", "calls")}
    for region in ("us-east-1", "us-west-2"):
        ec2 = cloud.client("ec2", region)
        told |= {(region, what): getattr(ec2, f"describe_{what}")() for what in DESCRIBED}
    told["table"] = cloud.client("dynamodb", "us-east-1").scan(TableName="team")
    s3 = cloud.client("s3", "us-east-1")
    told["bucket"] = s3.list_object_versions(Bucket="lab-runs")
    told["object"] = s3.get_object(Bucket="lab-runs", Key="log")["Body"].read()
    told["roles"] = cloud.client("iam", "us-east-1").list_roles()
    return {what: plain(response) for what, response in told.items()}


def plain(response):
    """Spot requests tell the time at which they are asked for."""
    if isinstance(response, dict):
        response.pop("ResponseMetadata", None)
        for request in response.get("SpotInstanceRequests", ()):
            request["Status"].pop("UpdateTime")
    return response


@pytest.fixture
def world(cloud, ec2, data_set):
    """A cloud with something of every kind in it; the id of an instance that is pending."""
    cloud.scenario(pending=LONG, capacity=[{"region": "us-east-1", "type": TYPE, "available": 2}])
    ec2.create_key_pair(KeyName="alice", KeyType="ed25519")
    ec2.create_security_group(GroupName="ssh", Description="ssh")
    ec2.create_placement_group(GroupName="nodes", Strategy="cluster")
    ec2.allocate_address(Domain="vpc")
    ec2.enable_fast_snapshot_restores(AvailabilityZones=["us-east-1a"], SourceSnapshotIds=[data_set])
    run(ec2, InstanceType="c6i.large", InstanceMarketOptions={"MarketType": "spot"})
    cloud.client("ec2", "us-west-2").create_volume(AvailabilityZone="us-west-2a", Size=1)
    fill_other_services(cloud)
    return in_group(ec2, data_set)


def fill_other_services(cloud):
    dynamodb, s3 = cloud.client("dynamodb", "us-east-1"), cloud.client("s3", "us-east-1")
    kinds = [{"AttributeName": "id", "AttributeType": "S"}]
    dynamodb.create_table(TableName="team", BillingMode="PAY_PER_REQUEST", KeySchema=KEYS, AttributeDefinitions=kinds)
    dynamodb.put_item(TableName="team", Item={"id": {"S": "one"}})
    s3.create_bucket(Bucket="lab-runs")
    s3.put_bucket_versioning(Bucket="lab-runs", VersioningConfiguration={"Status": "Enabled"})
    for epoch in range(3):
        s3.put_object(Bucket="lab-runs", Key="log", Body=f"epoch {epoch}".encode())
    cloud.client("iam", "us-east-1").create_role(RoleName="trainer", AssumeRolePolicyDocument=json.dumps(TRUST))


def change_everything(cloud, ec2):
    """Let nothing be as it was."""
    cloud.scenario(latency=0.001)
    cloud.hurry()
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"] for instance in every_instance(ec2)])
    run(ec2, count=3, ClientToken="another")
    ec2.delete_key_pair(KeyName="alice")
    ec2.delete_placement_group(GroupName="nodes")
    cloud.client("ec2", "eu-west-1").create_volume(AvailabilityZone="eu-west-1a", Size=1)
    cloud.client("dynamodb", "us-east-1").delete_table(TableName="team")
    s3 = cloud.client("s3", "us-east-1")
    s3.delete_object(Bucket="lab-runs", Key="log")
    s3.create_bucket(Bucket="another")
    cloud.client("iam", "us-east-1").delete_role(RoleName="trainer")
    cloud.client("sqs", "us-east-1").create_queue(QueueName="another")


def test_a_restored_cloud_responds_as_it_did_however_often_it_is_restored(cloud, ec2, world):
    snapshot = cloud.snapshot()
    before = seen(cloud)
    for _ in range(3):
        change_everything(cloud, ec2)
        cloud.restore(snapshot)
        assert seen(cloud) == before
    assert cloud.client("sqs", "us-east-1").list_queues().get("QueueUrls", []) == [], "a service that it did not have"


def test_each_of_several_snapshots_is_restored_as_it_was(cloud, ec2, world):
    snapshots = {}
    for name in ("a", "b", "c"):
        ec2.create_key_pair(KeyName=name, KeyType="ed25519")
        snapshots[name] = cloud.snapshot()
    for name, known in (("b", "ab"), ("a", "a"), ("c", "abc")):
        cloud.restore(snapshots[name])
        pairs = ec2.describe_key_pairs()["KeyPairs"]
        assert {pair["KeyName"] for pair in pairs} == {"alice", *known}


def test_what_was_under_way_goes_on_from_there(cloud, ec2, world, data_set):
    """Appointments, client tokens, capacity that is taken, and groups refer to the instances that were restored."""
    snapshot = cloud.snapshot()
    for _ in range(2):
        cloud.restore(snapshot)
        assert state(ec2, world) == "pending"
        assert in_group(ec2, data_set) == world, "by its client token"
        run(ec2)
        refused("InsufficientInstanceCapacity", run, ec2, status=500)
        cloud.hurry()
        assert state(ec2, world) == "running"
        refused("InvalidPlacementGroup.InUse", ec2.delete_placement_group, GroupName="nodes")
        ec2.terminate_instances(InstanceIds=[world])
        volumes = [volume.get("SnapshotId") for volume in ec2.describe_volumes()["Volumes"]]
        assert data_set not in volumes, "it is deleted with its instance"
        run(ec2)
        ec2.delete_placement_group(GroupName="nodes")


def in_group(ec2, data_set):
    """Launch an instance with data into the group by one client token; return its id."""
    data = [{"DeviceName": "/dev/sdf", "Ebs": {"SnapshotId": data_set, "DeleteOnTermination": True}}]
    (instance,) = run(ec2, ClientToken="one", BlockDeviceMappings=data, Placement={"GroupName": "nodes"})
    return instance["InstanceId"]


def test_what_was_due_in_a_minute_is_due_in_a_minute_again(cloud, ec2):
    cloud.scenario(pending=100, invisible=90)
    identity = run(ec2)[0]["InstanceId"]
    cloud.advance(40)
    snapshot = cloud.snapshot()
    for _ in range(2):
        cloud.advance(1000)
        cloud.restore(snapshot)
        cloud.advance(40)
        assert every_instance(ec2) == []
        cloud.advance(12)
        assert state(ec2, identity) == "pending"
        cloud.advance(10)
        assert state(ec2, identity) == "running"


def test_the_time_of_day_is_what_it_was_for_all_who_live_by_it(cloud, in_cloud_time):
    before, snapshot = scripts_clock.now(), cloud.snapshot()
    for _ in range(2):
        cloud.advance(1000)
        cloud.restore(snapshot)
        assert timedelta(0) <= scripts_clock.now() - before < timedelta(seconds=100)


def test_chance_goes_on_from_there(cloud, ec2):
    cloud.scenario(seed=7, faults=[{"action": "DescribeVolumes", "probability": 0.5, "kind": "html-503"}])
    snapshot = cloud.snapshot()

    def fates():
        for _ in range(20):
            with suppress(ec2.exceptions.ClientError):
                ec2.describe_volumes()
        found = [call["fault"] for call in cloud.calls("DescribeVolumes", everyone=True)]
        cloud.restore(snapshot)
        return found

    first = fates()
    assert fates() == first
    assert len(set(first)) == 2


@pytest.mark.parametrize("begin_again", ["restore", "reset"])
def test_a_call_on_its_way_does_nothing_in_the_world_that_follows(cloud, ec2, begin_again):
    cloud.scenario(latency=0.3)
    snapshot, ends = cloud.snapshot(), []

    def call():
        with pytest.raises(ConnectionClosedError) as ended:
            run(ec2)
        ends.append(ended)

    caller = threading.Thread(target=call)
    caller.start()
    wait_until(lambda: cloud.calls("RunInstances", everyone=True))
    cloud.restore(snapshot) if begin_again == "restore" else cloud.reset()
    caller.join()
    assert ends, "it was not answered"
    assert [thing for thing in cloud.inventory() if thing["kind"] == "instance"] == []


def test_a_snapshot_that_there_is_not_is_refused_by_name(cloud):
    cloud.restore(cloud.snapshot())
    assert ask(cloud, "POST", "restore", {"id": "77"}) == (
        400, {"error": "id: no snapshot '77' of this cloud; a reset forgets them"},
    )  # fmt: skip
    known = cloud.snapshot()
    cloud.reset()
    assert ask(cloud, "POST", "restore", {"id": known})[0] == 400
    status, response = ask(cloud, "POST", "restore", {})
    assert (status, response) == (400, {"error": "id: Missing required keyword only argument"})
