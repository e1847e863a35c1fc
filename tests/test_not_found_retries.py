"""What was made a moment ago may be unknown to the next call, which is made again; what never was is refused."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from ec2lab import clock
from ec2lab.registry.not_found_retries import WAITED, KnownSoon, first_heard, named_in
from ec2lab.registry.record import Event, Record, parse_time
from tests.small_aws import small_lab

NOON, LATER = "2026-01-01T12:00:00.000Z", "2026-01-01T12:05:00.000Z"


def told(time, **response):
    return Record(event=Event.RESPONSE, time=time, response=response)


DESCRIBED_AT_ONCE = {"invisible": {"security-group": [0, 300]}, "seed": 2842}
"""The first group is described after 0.4 s, and known to other calls after 95 s."""


def test_a_group_that_is_described_and_not_known_yet_is_waited_for(lab, cloud):
    lab.write("lab.toml", 'regions = ["us-east-1"]\n')
    cloud.scenario(**DESCRIBED_AT_ONCE)
    assert lab.run("launch", EXP="demo").code == 0
    codes = [call["code"] for call in cloud.calls("AuthorizeSecurityGroupIngress")]
    assert set(codes[:-1]) == {"InvalidGroup.NotFound"}
    assert codes[-1] is None
    assert len(cloud.calls("CreateSecurityGroup")) == len(cloud.calls("RunInstances")) == 1


def test_what_somebody_deleted_is_not_waited_for(lab, cloud):
    assert lab.run("launch", EXP="demo").code == 0
    wrong = (
        "from ec2lab.session import locked_session\n"
        "with locked_session('demo', 'wrong') as session:\n"
        "    session.cloud.ec2('us-east-1').create_snapshot(VolumeId='vol-0123456789abcdef0')\n"
    )
    lab.write("wrong.py", wrong)
    assert "InvalidVolume.NotFound" in lab.run_file("wrong.py").err
    assert len(cloud.calls("CreateSnapshot")) == 1


def codes(cloud, action):
    return [call["code"] for call in cloud.calls(action)]


def test_groups_and_a_profile_that_are_described_and_not_known_yet_are_waited_for(lab, cloud):
    lab.write("lab.toml", 'regions = ["us-east-1", "us-west-2"]\n[logs]\nartifact_uri = "s3://lab-runs/speech"\n')
    in_iam, in_ec2 = {"instance-profile": 20, "role": 20}, {"instance-profile-in-ec2": 110, "placement-group": 110}
    cloud.scenario(unknown={**in_iam, **in_ec2, "security-group": 30})
    assert lab.run("setup_aws", YES="1").code == 0
    assert "NoSuchEntity" in codes(cloud, "PutRolePolicy")
    assert "NoSuchEntity" in codes(cloud, "AddRoleToInstanceProfile")
    nodes = 'instance_types = ["p4d.24xlarge"]\nnodes = 2\ninstance_profile = "ec2-lab-lab-logs"\n'
    lab.write("experiments/two.toml", nodes)
    assert lab.launch("two").code == 0
    assert {call["region"] for call in cloud.calls("RunInstances")} == {"us-east-1"}
    refused = codes(cloud, "RunInstances")
    assert set(refused[:-1]) <= {"InvalidGroup.NotFound", "InvalidPlacementGroup.Unknown", "InvalidParameterValue"}
    assert {"InvalidPlacementGroup.Unknown", "InvalidParameterValue"} <= set(refused)
    assert refused[-1] is None


def test_blocks_are_put_once_a_new_snapshot_is_known(lab, cloud):
    lab.write("recordings/a.txt", "hello")
    cloud.scenario(unknown={"snapshot": 60})
    built = lab.run("dataset_build", DATASET="talks", SOURCE="./recordings")
    assert built.code == 0, built.err
    assert codes(cloud, "PutSnapshotBlock").count("ResourceNotFoundException") > 1
    assert len(cloud.calls("StartSnapshot")) == 1


def test_after_two_minutes_the_error_means_what_it_says(lab, cloud):
    lab.write("lab.toml", 'regions = ["us-east-1", "us-west-2"]\n')
    cloud.scenario(unknown={"security-group": 3600})
    ended = lab.run("launch", EXP="demo")
    assert ended.code == 1
    assert "InvalidGroup.NotFound" in ended.err
    assert {call["region"] for call in cloud.calls("AuthorizeSecurityGroupIngress")} == {"us-east-1", "us-west-2"}
    assert cloud.calls("RunInstances") == []


def test_what_was_only_asked_for_was_not_heard_of_and_what_was_deleted_is_not_young():
    asked = Record(event=Event.INTENT, time=LATER, request={"GroupId": "sg-3"})
    deleted = Record(event=Event.INTENT, time=LATER, operation="DeleteSecurityGroup", request={"GroupId": "sg-4"})
    records = [told(NOON, GroupId="sg-1"), told(LATER, GroupId="sg-1", Other="sg-22"), asked, told(NOON, Id="sg-4")]
    heard = first_heard([*records, deleted], {"sg-1", "sg-22", "sg-2", "sg-3", "sg-4"})
    assert heard == {"sg-1": parse_time(NOON), "sg-22": parse_time(NOON) + timedelta(minutes=5)}


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("The security group 'sg-1' does not exist", {"sg-1"}),
        ("Value (ec2-lab-logs) for parameter iamInstanceProfile.name is invalid.", {"ec2-lab-logs"}),
        ("Instance Profile ec2-lab-logs cannot be found.", {"ec2-lab-logs"}),
        ("The security group 'sg-12' does not exist", set()),
    ],
)
def test_an_error_is_about_what_its_message_names_as_a_whole(message, named):
    request = {"body": {"SecurityGroupId.1": "sg-1", "IamInstanceProfile.Name": "ec2-lab-logs", "Other": "lab"}}
    assert named_in(request, message, "ec2") == named


class Lookup:
    """A call that names something, as botocore's needs-retry event tells of it."""

    def __init__(self, registry, operation="AuthorizeSecurityGroupIngress", code="InvalidGroup.NotFound", **body):
        self.registry, self.name, self.context = registry, operation, {}
        self.service_model = SimpleNamespace(service_name="ec2")
        self.error = {"Code": code, "Message": "The security group 'sg-1' does not exist"}
        self.body = body or {"GroupId": "sg-1", "Old": "sg-0", "Version": 1}

    def wait(self, response=None):
        """What comes of it: the pause, and None where the call is not made again."""
        decides = KnownSoon(self.registry, {"InvalidGroup.NotFound"})
        request = {"body": self.body, "context": self.context}
        before = clock.now()
        again = decides.wait(response or (None, {"Error": self.error}), self, request)
        return again, (clock.now() - before).total_seconds()


@pytest.fixture
def small():
    """A lab whose group sg-1 was made a moment ago, and sg-0 long before."""
    with small_lab() as lab:
        lab.call("CreateSecurityGroup", {}, {"GroupId": "sg-0"})
        lab.wait(3600)
        lab.call("CreateSecurityGroup", {}, {"GroupId": "sg-1"})
        yield lab


def test_a_call_that_names_what_is_young_is_made_again_after_pauses_that_grow_and_is_counted(small):
    call = Lookup(small.registry)
    pauses = [call.wait() for _ in range(20)]
    assert [again for again, _ in pauses] == [0.0] * 20
    assert pauses[0][1] == pytest.approx(0.2)
    assert [pause for _, pause in pauses] == sorted(pause for _, pause in pauses)
    assert pauses[-1][1] == pytest.approx(2.0)
    assert call.context[WAITED] == 20


def test_it_is_made_again_for_two_minutes(small):
    small.wait(120)
    assert Lookup(small.registry).wait()[0] == 0.0
    small.wait(1)
    assert Lookup(small.registry).wait() == (None, 0)


def test_what_is_old_or_was_never_heard_of_is_not_waited_for(small):
    assert Lookup(small.registry, GroupId="sg-0").wait()[0] is None
    assert Lookup(small.registry, GroupId="sg-9").wait()[0] is None
    call = Lookup(small.registry)
    call.error["Message"] = "The security group 'sg-0' does not exist"
    assert call.wait() == (None, 0), "though it names a young one too"
    del call.error["Message"]
    assert call.wait()[0] is None


@pytest.mark.parametrize("operation", ["DeleteSecurityGroup", "TerminateInstances", "ReleaseAddress", "DetachVolume"])
def test_who_deletes_is_told_at_once(small, operation):
    assert Lookup(small.registry, operation).wait() == (None, 0)


def test_other_errors_and_responses_are_not_waited_for(small):
    assert Lookup(small.registry, code="VcpuLimitExceeded").wait() == (None, 0)
    assert Lookup(small.registry, "DeleteSecurityGroup", code="VcpuLimitExceeded").wait() == (None, 0)
    call = Lookup(small.registry)
    assert call.wait((None, {"GroupId": "sg-1"})) == (None, 0)
    decides = KnownSoon(small.registry, {"InvalidGroup.NotFound"})
    assert decides.wait(None, call, {"body": call.body, "context": {}}) is None, "none came"


@pytest.mark.parametrize(
    ("service", "operation", "code", "again"),
    [
        ("ec2", "GetConsoleOutput", "InvalidGroup.NotFound", 0.0),
        ("ec2", "CreateTags", "ResourceNotFoundException", None),
        ("iam", "AddRoleToInstanceProfile", "InvalidGroup.NotFound", 0.0),
        ("iam", "GetRole", "InvalidGroup.NotFound", None),
        ("iam", "ListRoles", "InvalidGroup.NotFound", None),
        ("iam", "PutRolePolicy", "LimitExceeded", None),
        ("ebs", "PutSnapshotBlock", "ResourceNotFoundException", 0.0),
        ("ebs", "PutSnapshotBlock", "ValidationException", None),
        ("ebs", "ListSnapshotBlocks", "ResourceNotFoundException", None),
    ],
)
def test_each_service_says_so_in_its_own_way_and_one_that_is_asked_whether_it_is_there_may_say_no(
    small, service, operation, code, again
):
    small.call("StartSnapshot", {}, {"SnapshotId": "snap-1"})
    call = Lookup(small.registry, operation, code)
    call.service_model = SimpleNamespace(service_name=service)
    decides = KnownSoon(small.registry, {"InvalidGroup.NotFound"})
    request = {"body": call.body, "context": {}, "url_path": "/snapshots/snap-1/blocks/0"}
    assert decides.wait((None, {"Error": call.error}), call, request) == again


@pytest.mark.parametrize(("parameter", "again"), [("iamInstanceProfile.name", 0.0), ("ImageId", None)])
def test_a_profile_that_ec2_does_not_know_yet_is_an_invalid_parameter(small, parameter, again):
    call = Lookup(small.registry, "RunInstances", "InvalidParameterValue")
    call.error["Message"] = f"Value (sg-1) for parameter {parameter} is invalid."
    assert call.wait()[0] == again


def test_what_was_asked_to_be_deleted_is_not_waited_for_and_what_was_only_named_is():
    named = Record(event=Event.INTENT, operation="AuthorizeSecurityGroupIngress", request={"GroupId": "sg-1"})
    deleted = Record(event=Event.INTENT, operation="DeleteSecurityGroup", request={"GroupId": "sg-1"})
    assert first_heard([told(NOON, GroupId="sg-1"), named], {"sg-1"}) == {"sg-1": parse_time(NOON)}
    assert first_heard([told(NOON, GroupId="sg-1"), deleted], {"sg-1"}) == {}
