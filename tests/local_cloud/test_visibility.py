"""What was just made is not seen everywhere at once, each resource for a time of its own, in no order."""

from botocore.exceptions import ClientError

from tests.local_cloud.requests import every_instance, refused, run

SHORT, LONG = 60, 600
"""Seconds, which a test lets pass; neither is over before, however busy the instance that runs it."""


def new_group(ec2, name="hidden"):
    return ec2.create_security_group(GroupName=name, Description="a test")["GroupId"]


def shown(ec2, group):
    named = [{"Name": "group-id", "Values": [group]}]
    return bool(ec2.describe_security_groups(Filters=named)["SecurityGroups"])


def knows(ec2, group):
    try:
        ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[])
    except ClientError as refusal:
        return refusal.response["Error"]["Code"] != "InvalidGroup.NotFound"
    return True


def test_volumes_may_be_shown_before_their_instance(cloud, ec2):
    cloud.scenario(invisible={"instance": LONG})
    run(ec2)
    assert len(ec2.describe_volumes()["Volumes"]) == 1
    assert every_instance(ec2) == []


def test_an_instance_may_be_shown_before_its_volumes(cloud, ec2):
    cloud.scenario(invisible={"instance": 0, "*": LONG})
    run(ec2)
    assert ec2.describe_volumes()["Volumes"] == []
    assert len(every_instance(ec2)) == 1


def test_what_is_described_may_be_unknown_to_the_next_call_and_the_other_way_round(cloud, ec2):
    cloud.scenario(invisible=[0, LONG])
    groups = [new_group(ec2, f"young-{number}") for number in range(12)]
    cloud.advance(LONG / 2)
    assert {(True, False), (False, True)} <= {(shown(ec2, group), knows(ec2, group)) for group in groups}


def test_a_token_that_made_something_answers_again_while_it_is_not_seen(cloud, ec2):
    group = new_group(ec2)
    cloud.scenario(invisible=LONG)
    first, again = (run(ec2, ClientToken="once", SecurityGroupIds=[group]) for _ in range(2))
    assert [one["InstanceId"] for one in first] == [one["InstanceId"] for one in again]


def test_a_time_that_is_over_hides_nothing(cloud, ec2):
    cloud.scenario(invisible=SHORT)
    group = new_group(ec2)
    refused("InvalidGroup.NotFound", run, ec2, SecurityGroupIds=[group])
    cloud.advance(SHORT)
    run(ec2, SecurityGroupIds=[group])
