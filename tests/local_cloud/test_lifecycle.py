"""An instance's states as the clock goes, and what goes with it when it ends."""

from tests.local_cloud.requests import every_instance, look, refused, run, state

SHORT, LONG = 60, 600
"""Seconds, which a test lets pass; neither is over before, however busy the instance that runs it."""


def test_run_instances_answers_pending_and_no_volumes_yet(ec2):
    instance = run(ec2)[0]
    assert instance["State"] == {"Code": 0, "Name": "pending"}
    assert instance["BlockDeviceMappings"] == []


def test_without_delay_the_next_look_finds_it_running_with_its_volumes(ec2):
    instance = look(ec2, run(ec2)[0]["InstanceId"])
    assert instance["State"] == {"Code": 16, "Name": "running"}
    assert [mapping["DeviceName"] for mapping in instance["BlockDeviceMappings"]] == ["/dev/sda1"]


def test_it_is_pending_until_its_time_is_over(cloud, ec2):
    cloud.scenario(pending=LONG)
    slow = run(ec2)[0]["InstanceId"]
    cloud.scenario(pending=SHORT)
    quick = run(ec2)[0]["InstanceId"]
    cloud.advance(SHORT)
    assert (state(ec2, slow), state(ec2, quick)) == ("pending", "running")


def test_one_that_is_hurried_waits_no_longer(cloud, ec2):
    cloud.scenario(pending=LONG, shutting_down=LONG)
    identity = run(ec2)[0]["InstanceId"]
    cloud.hurry()
    assert state(ec2, identity) == "running"
    ec2.terminate_instances(InstanceIds=[identity])
    cloud.hurry()
    assert state(ec2, identity) == "terminated"


def test_a_terminated_instance_is_described_for_an_hour_and_then_unknown(cloud, ec2):
    identity = run(ec2, ClientToken="t")[0]["InstanceId"]
    ec2.terminate_instances(InstanceIds=[identity])
    cloud.advance(3500)
    assert state(ec2, identity) == "terminated"
    cloud.advance(101)
    assert every_instance(ec2) == []
    refused("InvalidInstanceID.NotFound", ec2.describe_instances, InstanceIds=[identity])
    refused("IdempotentInstanceTerminated", run, ec2, ClientToken="t")


def test_an_instance_ended_while_pending_never_runs(cloud, ec2):
    cloud.scenario(pending=SHORT)
    identity = run(ec2)[0]["InstanceId"]
    ec2.terminate_instances(InstanceIds=[identity])
    cloud.advance(SHORT)
    assert state(ec2, identity) == "terminated"


def run_with_volumes(ec2, data_set):
    """Start an instance whose root and first volume go with it, and whose second is kept."""
    gone = {"SnapshotId": data_set, "DeleteOnTermination": True}
    kept = {"VolumeSize": 1, "DeleteOnTermination": False}
    mappings = [{"DeviceName": "/dev/sdf", "Ebs": gone}, {"DeviceName": "/dev/sdg", "Ebs": kept}]
    return run(ec2, BlockDeviceMappings=mappings)[0]["InstanceId"]


def test_it_shuts_down_for_a_while_with_its_volumes(cloud, ec2, data_set):
    cloud.scenario(shutting_down=LONG)
    identity = run_with_volumes(ec2, data_set)
    answer = ec2.terminate_instances(InstanceIds=[identity])["TerminatingInstances"][0]
    assert (answer["PreviousState"]["Name"], answer["CurrentState"]["Name"]) == ("running", "shutting-down")
    assert state(ec2, identity) == "shutting-down"
    assert len(ec2.describe_volumes()["Volumes"]) == 3


def test_at_the_end_its_volumes_go_with_it_but_for_those_to_be_kept(cloud, ec2, data_set):
    cloud.scenario(shutting_down=SHORT)
    identity = run_with_volumes(ec2, data_set)
    ec2.terminate_instances(InstanceIds=[identity])
    cloud.advance(SHORT)
    assert state(ec2, identity) == "terminated"
    assert [(v["Size"], v["State"]) for v in ec2.describe_volumes()["Volumes"]] == [(1, "available")]


def test_ending_what_is_ended_is_success(ec2):
    identity = run(ec2)[0]["InstanceId"]
    ec2.terminate_instances(InstanceIds=[identity])
    answer = ec2.terminate_instances(InstanceIds=[identity])["TerminatingInstances"][0]
    assert (answer["PreviousState"]["Name"], answer["CurrentState"]["Name"]) == ("terminated", "terminated")


def test_one_unknown_instance_keeps_the_others_alive(ec2):
    identity = run(ec2)[0]["InstanceId"]
    unknown = "i-0123456789abcdef0"
    message = refused("InvalidInstanceID.NotFound", ec2.terminate_instances, InstanceIds=[identity, unknown])
    assert message == f"The instance ID '{unknown}' does not exist"
    assert state(ec2, identity) == "running"


def test_a_protected_instance_is_not_ended(ec2):
    identity = run(ec2, DisableApiTermination=True)[0]["InstanceId"]
    refused("OperationNotPermitted", ec2.terminate_instances, InstanceIds=[identity])
    assert state(ec2, identity) == "running"


def test_the_interfaces_of_the_dead_go_away(ec2):
    identity = run(ec2)[0]["InstanceId"]
    assert len(ec2.describe_network_interfaces()["NetworkInterfaces"]) == 1
    ec2.terminate_instances(InstanceIds=[identity])
    assert ec2.describe_network_interfaces()["NetworkInterfaces"] == []


def test_ec2_takes_a_spot_instance_away(cloud, ec2):
    identity = run(ec2, InstanceMarketOptions={"MarketType": "spot"})[0]["InstanceId"]
    cloud.end(identity, "us-east-1", "Server.SpotInstanceTermination", "Server.SpotInstanceTermination: interrupted")
    dead = look(ec2, identity)
    assert dead["State"]["Name"] == "terminated"
    assert dead["StateReason"]["Code"] == "Server.SpotInstanceTermination"
    assert ec2.describe_volumes()["Volumes"] == []


def test_an_instance_started_again_is_pending_again(cloud, ec2):
    identity = run(ec2)[0]["InstanceId"]
    state(ec2, identity)
    ec2.stop_instances(InstanceIds=[identity])
    assert state(ec2, identity) == "stopped"
    cloud.scenario(pending=LONG)
    assert ec2.start_instances(InstanceIds=[identity])["StartingInstances"][0]["CurrentState"]["Name"] == "pending"
    assert state(ec2, identity) == "pending"


def test_a_terminated_instance_is_neither_started_nor_stopped(ec2):
    identity = run(ec2)[0]["InstanceId"]
    ec2.terminate_instances(InstanceIds=[identity])
    refused("IncorrectInstanceState", ec2.start_instances, InstanceIds=[identity])
    refused("IncorrectInstanceState", ec2.stop_instances, InstanceIds=[identity])


def test_a_spot_instance_is_not_stopped(ec2):
    identity = run(ec2, InstanceMarketOptions={"MarketType": "spot"})[0]["InstanceId"]
    state(ec2, identity)
    assert "one-time" in refused("UnsupportedOperation", ec2.stop_instances, InstanceIds=[identity])


def test_every_instance_of_a_request_gets_the_profile(cloud, ec2):
    iam = cloud.client("iam", "us-east-1")
    iam.create_instance_profile(InstanceProfileName="lab")
    for instance in run(ec2, count=2, IamInstanceProfile={"Name": "lab"}):
        assert look(ec2, instance["InstanceId"])["IamInstanceProfile"]["Arn"].endswith("/lab")


def test_a_new_instance_may_be_unknown_for_a_while_though_it_lives(cloud, ec2):
    old = run(ec2)[0]["InstanceId"]
    cloud.scenario(invisible=LONG)
    identity = run(ec2)[0]["InstanceId"]
    refused("InvalidInstanceID.NotFound", look, ec2, identity)
    refused("InvalidInstanceID.NotFound", ec2.terminate_instances, InstanceIds=[identity])
    assert [instance["InstanceId"] for instance in every_instance(ec2)] == [old]
    assert len(ec2.describe_volumes()["Volumes"]) == 1


def test_what_was_unknown_is_found_later_and_what_was_done_meanwhile_holds(cloud, ec2):
    old = run(ec2)[0]["InstanceId"]
    cloud.scenario(invisible=SHORT)
    identity = run(ec2)[0]["InstanceId"]
    ec2.terminate_instances(InstanceIds=[old])
    cloud.advance(SHORT)
    assert (state(ec2, old), state(ec2, identity)) == ("terminated", "running")
    assert len(ec2.describe_volumes()["Volumes"]) == 1


def test_a_public_address_is_known_with_the_next_look(cloud, ec2):
    cloud.scenario(pending=LONG)
    instance = run(ec2)[0]
    assert "PublicIpAddress" not in instance
    assert not instance["PublicDnsName"]
    assert "Association" not in instance["NetworkInterfaces"][0]
    seen = look(ec2, instance["InstanceId"])
    assert seen["PublicIpAddress"]
    assert seen["PrivateIpAddress"] == instance["PrivateIpAddress"]


def test_tags_are_on_the_instance_its_volumes_and_its_interface_from_the_beginning(ec2):
    kinds = ("instance", "volume", "network-interface")
    instance = run(ec2, TagSpecifications=[{"ResourceType": k, "Tags": [{"Key": "of", "Value": k}]} for k in kinds])[0]
    of = [{"Name": "resource-id", "Values": [instance["InstanceId"]]}]
    assert [tag["Value"] for tag in ec2.describe_tags(Filters=of)["Tags"]] == ["instance"]
    assert [v["Tags"] for v in ec2.describe_volumes()["Volumes"]] == [[{"Key": "of", "Value": "volume"}]]
    interfaces = ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert [i["TagSet"] for i in interfaces] == [[{"Key": "of", "Value": "network-interface"}]]


def test_an_instance_that_shuts_down_frees_its_capacity_at_once(cloud, ec2):
    cloud.scenario(shutting_down=LONG, capacity=[{"available": 1}])
    ec2.terminate_instances(InstanceIds=[run(ec2)[0]["InstanceId"]])
    assert run(ec2)
