"""What of a described thing proves that a call of this registry made it. Tags can be copied, and written by anybody."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ec2lab.aws.tags import to_aws
from ec2lab.registry.evidence import Call
from ec2lab.registry.ownership import Marks, Ownership
from ec2lab.registry.state import ResourceState
from ec2lab.resources.instance import Instance
from ec2lab.resources.security_group import SecurityGroup
from ec2lab.resources.volume import Volume

OURS, THEIRS = "a" * 32, "b" * 32
NOON = "2026-11-01T12:00:00+00:00"
TAGS = {"lab:request-id": "t", "lab:registry": OURS, "lab:created-by": "alice@desk", "lab:experiment": "foo"}


@pytest.mark.parametrize("experiment", [{}, {"lab:experiment": "foo"}, {"lab:experiment": "foo-2"}])
def test_what_the_lab_writes_is_read_back(experiment):
    tags = {"lab:request-id": "t", "lab:registry": OURS, "lab:created-by": "a@b", **experiment}
    assert Marks.read(tags) == Marks("t", OURS, "a@b", experiment.get("lab:experiment"))


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("lab:request-id", ["", " ", "t t", "t" * 65, "ü", "t\n"]),
        ("lab:registry", ["", "a" * 31, "a" * 33, "A" * 32, "g" * 32]),
        ("lab:created-by", ["", "alice", "@desk", "alice@", " a@b", "a@b ", "@"]),
        ("lab:experiment", ["", "Foo", "../x", "-x", "a b"]),
    ],
)
def test_one_tag_that_the_lab_does_not_write_so_is_enough_for_none_to_count(key, values):
    for value in values:
        assert Marks.read({**TAGS, key: value}) is None, value
    if key != "lab:experiment":
        assert Marks.read({k: v for k, v in TAGS.items() if k != key}) is None


def call(operation="RunInstances", *, answered=False, made=(), request=None):
    return Call("t", operation, request or {}, [NOON], answered, set(made))


def owned(*calls, registries=(OURS,)):
    return Ownership(ResourceState(calls={call.token: call for call in calls}), registries)


def instance(tags=(), **more):
    return {"InstanceId": "i-1", "ClientToken": "t", "State": {"Name": "running"}, "LaunchTime": NOON,
            "Tags": to_aws({**TAGS, **dict(tags)}), **more}  # fmt: skip


def volume(*lock_owners, made=NOON, **tags):
    return {"VolumeId": "vol-1", "CreateTime": made, "Attachments": [{"InstanceId": one} for one in lock_owners],
            "Tags": to_aws({**TAGS, **tags})}  # fmt: skip


def test_an_instance_that_a_response_names_is_ours_and_another_with_its_tags_is_not():
    known = owned(call(answered=True, made=[("instance", "i-1")]))
    assert known.proves(Instance(), instance())
    assert known.proves(Instance(), instance(ClientToken="other")), "the response is proof"
    assert not known.proves(Instance(), instance(InstanceId="i-2"))
    assert not known.proves(Volume(), volume("i-1", made=NOON) | {"VolumeId": "i-1", "CreateTime": "2026-12-01T00:00Z"})


def test_without_a_response_the_client_token_that_aws_names_is_proof():
    assert owned(call()).proves(Instance(), instance())
    assert not owned(call()).proves(Instance(), instance(ClientToken="other"))
    assert not owned(call(answered=True)).proves(Instance(), instance()), "a response would name it"


@pytest.mark.parametrize(
    ("tags", "registries"), [({"lab:registry": THEIRS}, (OURS,)), ({"lab:request-id": "u"}, (OURS,)), ({}, (THEIRS,))]
)
def test_what_another_registry_or_no_call_made_is_not_ours(tags, registries):
    known = owned(call(made=[("instance", "i-1")]), registries=registries)
    assert not known.proves(Instance(), instance(tags))
    assert not known.proves(Instance(), instance(tags), "foo")


def test_of_an_experiment_is_what_names_it_alone():
    known = owned(call(made=[("instance", "i-1")]))
    assert known.proves(Instance(), instance(), "foo")
    assert not known.proves(Instance(), instance(), "bar")
    assert not known.proves(Instance(), {**instance(), "Tags": to_aws({**TAGS, "lab:registry": THEIRS})}, "foo")
    assert known.proves(Instance(), instance({"lab:experiment": "bar"})), "no experiment is meant"


def test_without_tags_nothing_is_ours():
    known = owned(call(made=[("instance", "i-1")]))
    assert not known.proves(Instance(), {**instance(), "Tags": []})
    assert not known.proves(Instance(), {key: value for key, value in instance().items() if key != "Tags"})


@given(st.integers(-30, 40), st.sampled_from([(), ("i-1",), ("i-2",), ("i-1", "i-2")]), st.booleans())
def test_a_volume_came_with_an_instance_if_it_was_made_at_its_launch_and_is_in_no_other(minutes, lock_owners, is_known):
    moment = datetime.fromisoformat(NOON).replace(hour=11 if minutes < 0 else 12, minute=minutes % 60)
    made = [("instance", "i-1")] if is_known else []
    came = owned(call(answered=is_known, made=made)).proves(Volume(), volume(*lock_owners, made=moment.isoformat()))
    assert came == (-6 <= minutes <= 20 and (not is_known or "i-2" not in lock_owners))


@pytest.mark.parametrize(
    ("since", "may"),
    [
        ("2026-11-01T11:54:00Z", True),
        ("2026-11-01T11:53:59Z", False),
        ("2026-11-01T12:50:00Z", True),
        ("2026-11-01T12:50:01Z", False),
    ],
)
def test_a_call_made_only_what_aws_dates_between_its_first_try_and_its_last_with_room_for_clocks(since, may):
    tries = Call("t", times=["2026-11-01T12:30:00Z", NOON])
    assert tries.may_have_made(since) is may
    assert not Call("t").may_have_made(NOON), "it was never sent"


def test_a_call_has_no_response_until_one_is_on_record():
    assert not Call("t").answered


def test_a_security_group_is_confirmed_by_the_name_that_only_one_can_have():
    known = owned(call("CreateSecurityGroup", request={"GroupName": "lab"}))
    group = {"GroupId": "sg-1", "GroupName": "lab", "Tags": to_aws(TAGS)}
    assert known.proves(SecurityGroup(), group)
    assert not known.proves(SecurityGroup(), {**group, "GroupName": "copy"})
    assert not owned(call()).proves(SecurityGroup(), group), "no instance comes with a group"
