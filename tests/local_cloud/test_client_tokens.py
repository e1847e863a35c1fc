"""Idempotency: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html."""

from concurrent.futures import ThreadPoolExecutor

from tests.local_cloud.requests import every_instance, refused, run


def test_the_same_request_again_is_the_same_instance(ec2):
    first, again = run(ec2, ClientToken="t"), run(ec2, ClientToken="t")
    assert [m["InstanceId"] for m in again] == [m["InstanceId"] for m in first]
    assert len(every_instance(ec2)) == 1


def test_the_same_request_at_once_is_one_instance(ec2):
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(run, ec2, ClientToken="t") for _ in range(4)]
    assert len({one.result()[0]["InstanceId"] for one in asked}) == 1
    assert len(every_instance(ec2)) == 1


def test_other_parameters_with_a_used_token_are_refused(ec2):
    run(ec2, ClientToken="t")
    refused("IdempotentParameterMismatch", run, ec2, ClientToken="t", InstanceType="g5.2xlarge")
    assert len(every_instance(ec2)) == 1


def test_a_token_is_of_one_region(cloud, ec2):
    run(ec2, ClientToken="t")
    assert run(cloud.client("ec2", "us-west-2"), ClientToken="t")


def test_a_token_whose_instance_is_dead_says_so(ec2):
    identity = run(ec2, ClientToken="t")[0]["InstanceId"]
    ec2.terminate_instances(InstanceIds=[identity])
    refused("IdempotentInstanceTerminated", run, ec2, ClientToken="t")


def test_a_refused_request_leaves_its_token_free(cloud, ec2):
    cloud.scenario(capacity=[{"calls": 1}])
    refused("InsufficientInstanceCapacity", run, ec2, ClientToken="t", status=500)
    assert run(ec2, ClientToken="t", InstanceType="g5.2xlarge")


def test_a_dry_run_leaves_its_token_free(ec2):
    refused("DryRunOperation", run, ec2, ClientToken="t", DryRun=True, status=412)
    assert run(ec2, ClientToken="t")
    assert len(every_instance(ec2)) == 1


def test_a_repeated_request_needs_no_capacity(cloud, ec2):
    first = run(ec2, ClientToken="t")
    cloud.scenario(capacity=[{}])
    assert run(ec2, ClientToken="t")[0]["InstanceId"] == first[0]["InstanceId"]


def test_an_answer_that_was_lost_is_found_by_its_token(cloud, ec2):
    cloud.scenario(faults=[{"action": "RunInstances", "code": "InternalError", "times": 1}])
    refused("InternalError", run, ec2, ClientToken="t", status=500)
    identity = run(ec2, ClientToken="t")[0]["InstanceId"]
    run(ec2, ClientToken="other")
    found = ec2.describe_instances(Filters=[{"Name": "client-token", "Values": ["t"]}])["Reservations"]
    assert [i["InstanceId"] for r in found for i in r["Instances"]] == [identity]
    assert found[0]["Instances"][0]["ClientToken"] == "t"


def test_instances_are_found_by_their_market(ec2):
    run(ec2)
    spot = run(ec2, InstanceMarketOptions={"MarketType": "spot"})[0]["InstanceId"]
    found = ec2.describe_instances(Filters=[{"Name": "instance-lifecycle", "Values": ["spot"]}])["Reservations"]
    assert [i["InstanceId"] for r in found for i in r["Instances"]] == [spot]


def test_a_token_is_at_most_64_characters_long(ec2):
    assert run(ec2, ClientToken="t" * 64)
    refused("InvalidParameterValue", run, ec2, ClientToken="t" * 65)


def test_a_volume_is_made_once_for_its_token(ec2):
    asked = {"AvailabilityZone": "us-east-1a", "Size": 10, "ClientToken": "t"}
    assert ec2.create_volume(**asked)["VolumeId"] == ec2.create_volume(**asked)["VolumeId"]
    refused("IdempotentParameterMismatch", ec2.create_volume, **{**asked, "Size": 11})
    assert len(ec2.describe_volumes()["Volumes"]) == 1


def test_each_answer_has_a_request_id_of_its_own(ec2):
    asked = {"AvailabilityZone": "us-east-1a", "Size": 1, "ClientToken": "t"}
    answers = [ec2.create_volume(**asked)["ResponseMetadata"] for _ in range(2)]
    ids = [answer["RequestId"] for answer in answers]
    assert len(set(ids)) == 2
    assert [answer["HTTPHeaders"]["x-amzn-requestid"] for answer in answers] == ids


def test_a_request_that_makes_no_sense_leaves_its_token_free(ec2):
    refused("InvalidKeyPair.NotFound", run, ec2, ClientToken="t", KeyName="nobody")
    assert run(ec2, ClientToken="t")


def test_a_token_belongs_to_the_count_and_the_tags_too(ec2):
    run(ec2, ClientToken="t")
    refused("IdempotentParameterMismatch", run, ec2, count=2, ClientToken="t")
    tagged = [{"ResourceType": "instance", "Tags": [{"Key": "k", "Value": "v"}]}]
    refused("IdempotentParameterMismatch", run, ec2, ClientToken="t", TagSpecifications=tagged)
