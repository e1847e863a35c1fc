"""Which launch of an experiment was the last that ran, and whether it was cut off, by what is on record."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import botocore.session
import pytest

from ec2lab.aws.errors import RegionUnavailable
from ec2lab.capacity_pools import ON_DEMAND, SPOT, Pool
from ec2lab.launch.part import LaunchFragment
from ec2lab.launch.resume import (
    AlreadyRunning,
    instances_of_interrupted_launch,
    is_wanted,
    requests_of,
    same_request,
)
from ec2lab.launch.run_instances_request import build_request
from ec2lab.launch.search import PlacementPreferences
from ec2lab.registry.history import History
from ec2lab.registry.record import Event, Record, origin
from ec2lab.registry.redaction import redact
from tests.small_aws import small_lab


def note(experiment="foo", **told):
    return Record(event=Event.ANNOTATION, experiment=experiment, annotation=told)


def test_of_one_that_failed_since_nothing_is_taken():
    ran, failed = {"experiment": {"parameters": {"lr": 0.1}}}, {"experiment": {"parameters": {"lr": 0.9}}}
    records = [
        note(run=ran),
        note(launched=["i-1"], provenance=[{"instance": "i-1"}]),
        note(deleted=["i-1"]),
        note(run=failed),
    ]
    run, launched = History(records).of("foo").ran
    assert run == ran
    assert launched["launched"] == ["i-1"]


def test_one_that_was_gone_on_with_is_what_it_was_gone_on_with_as():
    records = [note(run={"from": "a"}), note(run={"from": "b"}), note(launched=["i-1"])]
    assert History(records).of("foo").ran == ({"from": "b"}, {"launched": ["i-1"]})


@pytest.mark.parametrize(
    "records",
    [
        [],
        [note(run={})],
        [note(launched=["i-1"])],
        [note("bar", run={}), note("bar", launched=["i-1"])],
        [note(run={}), note("bar", launched=["i-1"])],
        [note(run={}), Record(event=Event.ANNOTATION, experiment="foo")],
    ],
)
def test_where_none_ran_there_is_none(records):
    assert History(records).of("foo").ran is None


def asked(operation="RunInstances", event=Event.INTENT, experiment="foo", **request):
    return Record(event=event, operation=operation, experiment=experiment, request=request)


RUN, LAUNCHED, DRY = note(run={}), note(launched=["i-1"]), asked(DryRun=True)


@pytest.mark.parametrize(
    ("records", "cut_off"),
    [
        ([], False),
        ([asked()], True),
        ([RUN], True),  # what nodes need is made before the first instance is asked for
        ([RUN, asked()], True),
        ([RUN, asked(), LAUNCHED], False),
        ([RUN, asked(), LAUNCHED, RUN], True),
        ([RUN, asked(), LAUNCHED, asked()], True),
        ([DRY], False),
        ([asked(), DRY], True),
        ([asked(), LAUNCHED, DRY], False),
        ([asked("CreateVolume")], False),
        ([asked(event=Event.RESPONSE)], False),
        ([asked(), note(deleted=["i-1"])], True),
        ([LAUNCHED, note(deleted=["i-1"])], False),
        ([asked(experiment="bar"), note("bar", run={})], False),
        ([asked(), note("bar", launched=["i-1"])], True),
        ([asked(), Record(event=Event.ANNOTATION, experiment="foo")], True),
        ([RUN, Record(event=Event.ANNOTATION, experiment="foo", annotation={})], True),
    ],
)
def test_a_launch_was_cut_off_if_it_began_and_never_said_that_it_ended_well(records, cut_off):
    assert History(records).of("foo").interrupted is cut_off


@pytest.fixture
def lab():
    with small_lab() as made:
        yield made


def test_what_a_launch_left_that_was_cut_off_is_taken_up_but_for_what_is_on_its_way_out(lab):
    first, second = lab.launch(count=2)
    lab.aws.things[second].gone_from = lab.aws.time + timedelta(seconds=30)
    assert [resource.id for resource in instances_of_interrupted_launch(lab.session, "foo")] == [first]
    assert instances_of_interrupted_launch(lab.session, "bar") == []


def test_what_a_launch_made_that_ended_well_lives_already(lab):
    made = lab.launch(count=2)
    lab.note("foo", launched=made)
    with pytest.raises(AlreadyRunning) as raised:
        instances_of_interrupted_launch(lab.session, "foo")
    since = lab.aws.time.isoformat()
    shown = ", ".join(f"instance {one} (us-east-1) running since {since}" for one in made)
    assert str(raised.value) == f"foo is already live: {shown}; `make teardown EXP=foo` deletes it"


def test_what_is_stopped_can_be_started_and_a_volume_alone_is_named_too(lab):
    (made,) = lab.launch(volumes=0)
    lab.note("foo", launched=[made])
    lab.aws.things[made].item["State"] = {"Name": "stopped"}
    with pytest.raises(
        AlreadyRunning, match=r"stopped since .*; `make start EXP=foo` starts it, `make teardown EXP=foo`"
    ):
        instances_of_interrupted_launch(lab.session, "foo")
    volume = lab.volume("bar")
    lab.aws.things[volume].item.pop("State")
    lab.aws.things[volume].item.pop("Attachments")
    with pytest.raises(AlreadyRunning, match=rf"^bar is already live: volume {volume} \(us-east-1\) since "):
        instances_of_interrupted_launch(lab.session, "bar")


def test_a_request_is_known_by_the_tag_of_what_it_made(lab):
    (first,), (second,) = lab.launch(volumes=0), lab.launch(volumes=0)
    instances = lab.session.records.state("foo").live
    found = requests_of(lab.session.records, "foo", instances)
    assert set(found) == {first, second}
    for instance in instances:
        assert found[instance.id]["ClientToken"] == instance.record
    strange = replace(instances[0], id="i-9", record="another")
    assert requests_of(lab.session.records, "foo", [strange]) == {}
    lab.call("CreateVolume", {"ClientToken": "v"})
    assert requests_of(lab.session.records, "foo", [replace(strange, record="v")]) == {}
    answered = Record(event=Event.RESPONSE, operation="RunInstances", experiment="foo", request={"ClientToken": "a"},
                      partition="aws", account="111122223333")  # fmt: skip
    lab.registry.append(answered)
    assert requests_of(lab.session.records, "foo", [replace(strange, record="a")]) == {}
    lab.registry.append(replace(answered, event=Event.INTENT, request=None))
    nothing = replace(strange, record=lab.registry.all[-1].id)
    assert requests_of(lab.session.records, "foo", [nothing]) == {"i-9": {}}


def test_what_an_instance_was_made_from_is_told_with_the_snapshots_of_its_devices():
    instance = {"InstanceId": "i-1", "InstanceType": "g5.xlarge", "ImageId": "ami-1"}
    mappings = [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8}}, {"DeviceName": "/dev/sdb", "NoDevice": ""},
                {"DeviceName": "/dev/sdf", "Ebs": {"SnapshotId": "snap-1"}}]  # fmt: skip
    made = {"instance": "i-1", "region": "us-east-1", "type": "g5.xlarge", "image": "ami-1"}
    assert origin("us-east-1", instance, {"BlockDeviceMappings": mappings}) == {
        **made, "snapshots": {"/dev/sdf": "snap-1"},
    }  # fmt: skip
    assert origin("us-east-1", instance, {}) == {**made, "snapshots": {}}


LOST = Pool("us-east-1", "g5.xlarge", SPOT)
TAKES = PlacementPreferences(["us-west-2", "us-east-1"], ["g4dn.xlarge", "g5.xlarge"], [ON_DEMAND, SPOT])


def lost(request, region="us-east-1"):
    return Record(event=Event.INTENT, operation="RunInstances", region=region, request=request)


@pytest.mark.parametrize(
    ("other", "most", "missing", "wanted"),
    [
        ({}, 1, 1, True),
        ({}, 3, 4, True),
        ({}, 2, 1, False),
        ({}, 0, 1, False),
        ({"regions": ["us-west-2"]}, 1, 1, False),
        ({"instance_types": ["g4dn.xlarge"]}, 1, 1, False),
        ({"markets": [ON_DEMAND]}, 1, 1, False),
    ],
)
def test_a_lost_request_is_wanted_where_the_experiment_as_it_is_now_takes_all_of_it(other, most, missing, wanted):
    intent = lost(build_request(LaunchFragment(), LOST, most))
    assert is_wanted(intent, replace(TAKES, **other), missing) is wanted


def test_a_record_that_does_not_tell_how_many_is_none_that_is_wanted():
    request = build_request(LaunchFragment(), LOST)
    assert not is_wanted(lost(None), TAKES, 1)
    for lacking in ("MinCount", "MaxCount"):
        assert not is_wanted(lost({key: value for key, value in request.items() if key != lacking}), TAKES, 1)


@pytest.fixture(scope="module")
def session():
    ec2 = botocore.session.Session().create_client(
        "ec2", "us-east-1", aws_access_key_id="key", aws_secret_access_key="none"
    )
    return SimpleNamespace(cloud=SimpleNamespace(ec2=lambda _: ec2))


def specs(share):
    def ready(region):
        if share is None:
            raise RegionUnavailable(f"{region}: the dataset is gone")
        return share

    return SimpleNamespace(ready=ready)


def test_a_lost_request_is_made_again_to_the_last_byte_or_not_at_all(session):
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "lab:request-id", "Value": "of the lost one"}]}]
    share = LaunchFragment(request={"ImageId": "ami-1"}, cloud_init={"runcmd": [["true"]]})
    sent = {**build_request(share, LOST, 3, 2), "TagSpecifications": tags}
    shape = session.cloud.ec2("us-east-1").meta.service_model.operation_model("RunInstances").input_shape
    intent = lost(redact({**sent, "ClientToken": "token"}, shape))
    assert same_request(session.cloud, specs(share), intent) == sent
    assert intent.request["UserData"] != sent["UserData"], "the record has its digest alone"
    for now in (replace(share, request={"ImageId": "ami-2"}), replace(share, cloud_init={"runcmd": [["false"]]}), None):
        assert same_request(session.cloud, specs(now), intent) is None
