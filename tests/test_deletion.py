"""What a teardown decides while AWS shows things late, loses responses and refuses, in every order of events."""

from datetime import timedelta

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given, settings
from hypothesis import strategies as st

from ec2lab.aws.region_queries import NoResponse
from ec2lab.errors import UserError
from ec2lab.events.teardown import Deleting, DeletionPending
from ec2lab.instances.deletion import delete_experiment, delete_resources
from ec2lab.registry.state import DELETED
from tests.full import examples
from tests.small_aws import REGION, SETTLING, SHUTTING_DOWN, refused, small_lab

lateness = st.sampled_from([0.0, 1.0, 20.0, SETTLING - 1])
steps = st.one_of(
    st.builds(
        lambda **how: lambda lab, name: lab.launch(name, **how),
        count=st.integers(1, 2), volumes=st.integers(0, 2), answered=st.booleans(), late=lateness, kept=st.booleans(),
    ),
    st.just(lambda lab, name: lab.launch(name, answered=False, dies=True)),
    st.builds(lambda **how: lambda lab, name: lab.volume(name, **how), answered=st.booleans(), late=lateness),
    st.builds(lambda seconds: lambda lab, _: lab.wait(seconds), st.sampled_from([1.0, 30.0, 90.0])),
)  # fmt: skip


@pytest.fixture
def lab():
    with small_lab() as made:
        yield made


def torn_down(lab, awaits=lambda *_: None):
    """Tear foo down; return the removal, and what it reported."""
    reported, asked = [], []

    def emit(event):
        if isinstance(event, Deleting):
            reported.append(event.id)
            asked.append(times_asked(lab, event.id))
        elif isinstance(event, DeletionPending):
            awaits(event)

    removal = delete_experiment(lab.session, "foo", emit)
    assert asked == [times_asked(lab, identity) for identity in reported], "said when AWS has agreed, and not before"
    return removal, reported


def times_asked(lab, identity):
    return sum(asked == identity for _, asked in lab.aws.asked)


def test_what_goes_with_an_instance_is_not_asked_for_and_what_stays_is_deleted_after_it(lab):
    (instance,) = lab.launch(volumes=1)
    goes = next(iter(lab.aws.there() - {instance}))
    lab.aws.things[goes].item["State"] = "creating"
    stays = lab.volume(attached=instance)
    removal, reported = torn_down(lab)
    assert lab.aws.asked == [("instance", instance)] + [("volume", stays)] * (len(lab.aws.asked) - 1)
    assert reported == list(removal.deleted) == [instance, stays], "each once, and not while AWS says `in use`"
    assert list(removal.went_along) == [goes]
    assert set(lab.notes(DELETED)) == {instance, goes, stays}


def test_who_was_never_launched_is_asked_of_nobody_and_noted_nowhere(lab):
    lab.launch("bar")
    before = len(lab.registry.all)
    torn_down(lab)
    assert (lab.aws.asked, len(lab.registry.all)) == ([], before)


def test_that_nothing_was_left_is_noted_too(lab):
    lab.call("RunInstances", {"ClientToken": "t"}, error={"code": "VcpuLimitExceeded", "http_status": 400})
    torn_down(lab)
    assert lab.registry.all[-1].annotation == {"deleted": [], "resolved": []}


def test_not_found_of_what_was_made_a_moment_ago_is_not_a_deletion(lab):
    (instance,) = lab.launch(volumes=0, unknown=10)
    removal, reported = torn_down(lab)
    assert lab.aws.there() == set()
    assert lab.aws.asked.count(("instance", instance)) > 2
    assert reported == list(removal.deleted) == [instance]


def test_not_found_of_what_is_old_is_one(lab):
    (instance,) = lab.launch(volumes=0)
    lab.wait(SETTLING + 1)
    lab.aws.refuses[instance] = refused("InvalidInstanceID.NotFound")
    with pytest.raises(UserError, match="still there after 20 minutes"):
        torn_down(lab)
    assert lab.notes(DELETED) == [], "AWS shows it, whatever it says"


def test_not_found_is_a_deletion_where_it_is_old_also_if_it_is_listed_once_more(lab):
    (instance,) = lab.launch(volumes=0)
    lab.wait(SETTLING + 1)
    lab.aws.refuses[instance] = refused("InvalidInstanceID.NotFound")
    reported = []

    def emit(event):
        if isinstance(event, Deleting):
            reported.append(event.id)
        lab.aws.things[instance].gone_from = lab.aws.time

    removal = delete_experiment(lab.session, "foo", emit)
    assert (reported, list(removal.deleted)) == ([instance], [instance])


def test_a_volume_made_by_a_call_of_its_own_waits_for_no_instance_and_is_waited_for(lab):
    lab.launch(volumes=0)
    shown, late = lab.volume(), lab.volume(late=SETTLING - 5)
    torn_down(lab)
    assert lab.aws.there() == set()
    assert lab.aws.asked[:2] == [("instance", "instance-0"), ("volume", shown)]
    assert lab.aws.asked[-1] == ("volume", late)


def test_what_is_shown_a_while_without_its_tags_is_not_taken_for_anothers(lab):
    (instance,) = lab.launch(volumes=0)
    thing = lab.aws.things[instance]
    thing.tagged_from = lab.aws.time + timedelta(seconds=20)
    torn_down(lab)
    assert lab.aws.there() == set()


def test_what_aws_does_not_show_and_is_young_is_waited_for_and_not_when_it_is_old(lab):
    (instance,) = lab.launch(late=30)
    began = lab.aws.time
    torn_down(lab)
    assert lab.aws.there() == set()
    assert (lab.aws.time - began).total_seconds() >= SHUTTING_DOWN + 30
    (gone,) = lab.launch(volumes=0)
    lab.aws.things[gone].gone_from = lab.aws.time
    lab.wait(SETTLING + 1)
    before = lab.aws.time
    torn_down(lab)
    assert lab.aws.time == before, "nobody waits"
    assert instance in lab.notes(DELETED)
    assert gone in lab.notes(DELETED)


@pytest.mark.parametrize("failure", [refused("UnauthorizedOperation"), EndpointConnectionError(endpoint_url="x")])
def test_what_aws_will_not_delete_is_why_it_fails_once_all_else_is_gone(lab, failure):
    first, second = lab.launch(count=2, volumes=0)
    lab.aws.refuses[first] = failure
    with pytest.raises(type(failure)) as raised:
        torn_down(lab)
    assert raised.value is failure
    assert lab.aws.there() == {first, second}, "the other is on its way"
    lab.wait(SHUTTING_DOWN)
    assert lab.aws.there() == {first}
    assert lab.notes(DELETED) == []
    del lab.aws.refuses[first]
    torn_down(lab)
    assert lab.aws.there() == set()


def test_patience_ends_after_twenty_minutes_and_names_what_is_left(lab):
    (instance,) = lab.launch(volumes=1)
    goes = next(iter(lab.aws.there() - {instance}))
    held = lab.volume(attached=instance)
    lab.aws.things[instance].item["State"] = {"Name": "shutting-down"}
    began = lab.aws.time
    with pytest.raises(UserError) as raised:
        torn_down(lab)
    took = (lab.aws.time - began).total_seconds()
    assert took == pytest.approx(20 * 60)
    holder = f"held by instance {instance} (attached as /dev/sdf)"
    assert str(raised.value) == (
        f"foo: still there after 20 minutes: instance {instance} ({REGION}): it is shutting-down; "
        f"volume {goes} ({REGION}): it is in-use; {holder}; "
        f"volume {held} ({REGION}): Something: VolumeInUse: no; {holder}; run the command again"
    )


def test_what_takes_long_is_told_once_with_what_is_in_its_way_and_again_where_that_is_another_thing(lab):
    (instance,) = lab.launch(volumes=1)
    held = lab.volume(attached=instance)
    failing = lab.volume()
    lab.aws.refuses[failing] = refused("UnauthorizedOperation")
    told, began = [], lab.aws.time

    def awaits(event):
        told.append((event.id, event.reason))
        assert (lab.aws.time - began).total_seconds() >= 10
        lab.aws.refuses.pop(failing, None)

    torn_down(lab, awaits)
    in_use = "Something: VolumeInUse: no"
    assert told[:2] == [
        (instance, "it is shutting-down"),
        (held, f"{in_use}; held by instance {instance} (attached as /dev/sdf)"),
    ]
    assert {identity for identity, _ in told} == {instance, held}, "not what goes along, nor what AWS refuses"
    assert len(told) == len(set(told))


@pytest.mark.parametrize("failure", [refused("UnauthorizedOperation"), NoResponse("no response")])
def test_what_holds_a_thing_is_left_out_where_aws_does_not_tell_it(lab, failure, monkeypatch):
    def held_by(*_):
        raise failure

    monkeypatch.setattr(lab.session.resource_types["volume"], "held_by", held_by, raising=False)
    (instance,) = lab.launch(volumes=0)
    held, told = lab.volume(attached=instance), {}
    torn_down(lab, lambda event: told.setdefault(event.id, event.reason))
    assert told[held] == "Something: VolumeInUse: no"


def test_what_goes_with_an_instance_whose_response_was_lost_is_not_asked_for_either(lab):
    (instance,) = lab.launch(volumes=1, answered=False)
    (goes,) = lab.aws.there() - {instance}
    lab.aws.things[goes].item["State"] = "creating"
    torn_down(lab)
    assert lab.aws.asked == [("instance", instance)]


def test_a_volume_that_outlives_its_instance_is_deleted_and_did_not_go_along(lab):
    (instance,) = lab.launch(volumes=1, kept=True)
    (kept,) = lab.aws.there() - {instance}
    removal, reported = torn_down(lab)
    assert (reported, list(removal.went_along)) == ([instance, kept], [])


class Once(dict):
    """What refuses each thing once."""

    def __getitem__(self, key):
        return self.pop(key)


def test_a_refusal_that_is_over_is_no_reason_to_give_up(lab):
    (instance,) = lab.launch(volumes=0)
    held = lab.volume(attached=instance)
    lab.aws.refuses = Once({held: refused("UnauthorizedOperation")})
    torn_down(lab)
    assert lab.aws.there() == set()


def test_what_cannot_be_looked_up_by_its_id_is_not_taken_for_gone(lab):
    (lost,) = lab.launch(volumes=0)
    lab.wait(SETTLING + 1)
    lab.aws.things[lost].item["Tags"] = []
    lab.aws.unseen_by_id = UNSEEN
    with pytest.raises(UserError, match=f"not seen: .*; may be there yet: instance {lost}; run the command again"):
        torn_down(lab)
    assert [resource.id for resource in lab.session.records.state("foo").live] == [lost]


def test_what_has_taken_long_is_told_though_something_else_has_only_begun(lab):
    foreign = lab.aws.add("instance", {"State": {"Name": "running"}})
    held = lab.volume(attached=foreign)
    lab.launch(volumes=0, late=9)
    began, told = lab.aws.time, {}

    def awaits(event):
        told.setdefault(event.id, (lab.aws.time - began).total_seconds())
        lab.aws.things[foreign].gone_from = lab.aws.time

    torn_down(lab, awaits)
    assert told[held] < 16


def test_what_is_soon_over_is_not_told(lab):
    lab.launch(volumes=1)
    lab.aws.shutting_down = 5
    torn_down(lab, lambda event: pytest.fail(str(event)))
    assert lab.aws.there() == set()


UNSEEN = refused("RequestLimitExceeded")


@pytest.mark.parametrize("resource_type", ["instance", "volume"])
def test_a_region_that_cannot_be_looked_at_keeps_what_it_may_hold_and_nothing_elsewhere(lab, resource_type):
    (there,) = lab.launch(volumes=0)
    alone = lab.volume()
    lab.aws.region = "us-west-2"
    lab.launch(volumes=1)
    lab.aws.unseen[REGION, resource_type] = UNSEEN
    may_be = {"instance": f"instance {there}, volume {alone}", "volume": f"volume {alone}"}[resource_type]
    with pytest.raises(UserError) as raised:
        torn_down(lab)
    assert str(raised.value).startswith(f"foo: {REGION}: not seen: Something: RequestLimitExceeded: no")
    assert str(raised.value).endswith(f"; may be there yet: {may_be}; run the command again")
    left = {"instance": [there, alone], "volume": [alone]}[resource_type]
    assert lab.aws.there() == set(left), "no volume is deleted whose instance can't be seen"
    assert sorted(resource.id for resource in lab.session.records.state("foo").live) == sorted(left)
    lab.aws.unseen.clear()
    torn_down(lab)
    assert lab.aws.there() == set()


def test_in_a_region_that_was_not_seen_nothing_is_deleted_though_it_is_seen_by_now(lab):
    (there,) = lab.launch(volumes=0)
    lab.aws.region = "us-west-2"
    (elsewhere,) = lab.launch(volumes=0)
    with pytest.raises(UserError, match=f"{REGION}: not seen: was silent; may be there yet: instance {there}"):
        delete_experiment(lab.session, "foo", lambda _: None, unseen={REGION: UserError("was silent")})
    assert lab.aws.there() == {there}
    assert times_asked(lab, there) == 0
    assert times_asked(lab, elsewhere) == 1


def test_what_was_perhaps_made_in_a_region_that_cannot_be_looked_at_stays_open(lab):
    lab.launch(answered=False, dies=True)
    lab.aws.unseen[REGION, "instance"] = UNSEEN
    with pytest.raises(UserError, match="may be there yet: possibly created resources; run the command again"):
        torn_down(lab)
    assert len(lab.session.records.state("foo").unresolved) == 1
    lab.aws.unseen.clear()
    torn_down(lab)
    assert lab.session.records.state("foo").unresolved == []


def test_what_aws_will_not_delete_is_named_with_what_cannot_be_seen(lab):
    first, second = lab.launch(count=2, volumes=0)
    lab.aws.refuses = dict.fromkeys((first, second), refused("UnauthorizedOperation"))
    why = r"Something: UnauthorizedOperation: no.*"
    with pytest.raises(
        UserError,
        match=rf"^foo: instance {first} .* is not deleted: {why}; instance {second} .* is not deleted: {why}$",
    ):
        torn_down(lab)
    lab.aws.region = "us-west-2"
    (third,) = lab.launch(volumes=0)
    del lab.aws.refuses[second]
    lab.aws.unseen["us-west-2", "instance"] = UNSEEN
    lab.wait(SETTLING + 1)
    with pytest.raises(
        UserError, match=rf"^foo: instance {first} .* is not deleted: {why}; us-west-2: not seen: .*: instance {third}$"
    ):
        torn_down(lab)


def test_what_is_there_by_its_id_and_not_by_its_tags_is_left_alone_and_stays_on_record(lab):
    mine, lost = lab.launch(count=2, volumes=0)
    lab.wait(SETTLING + 1)
    lab.aws.things[lost].item["Tags"] = []
    with pytest.raises(UserError, match=rf"^instance {lost} \({REGION}\): left alone: it is in the registry"):
        torn_down(lab)
    assert lab.aws.asked == [("instance", mine)]
    assert [resource.id for resource in lab.session.records.state("foo").live] == [mine, lost], "neither is gone yet"
    lab.wait(SHUTTING_DOWN)
    with pytest.raises(UserError, match=rf"^instance {lost} \({REGION}\): left alone: it is in the registry"):
        torn_down(lab)
    assert lab.notes(DELETED) == [mine]
    assert [resource.id for resource in lab.session.records.state("foo").live] == [lost]


def test_the_labs_own_group_that_a_lost_response_made_is_found_and_stays(lab):
    group = lab.group(answered=False, late=5)
    lab.launch()
    torn_down(lab)
    assert lab.aws.there() == {group}
    assert [told["id"] for told in lab.notes("discovered")] == [group]
    assert lab.session.records.state("foo").unresolved == []


def test_what_is_deleted_by_name_is_deleted_while_it_carries_the_same_tag(lab):
    first, second, other = lab.volume(), lab.volume(), lab.volume("bar")
    resources = {r.id: r for r in lab.session.records.state().live}
    lab.wait(SETTLING + 1)
    lab.aws.things[second].item["Tags"] = lab.tags("another")
    with pytest.raises(UserError, match=f"^volume {second} .*: left alone: .* not orphans's"):
        delete_resources(lab.session, "orphans", [resources[first], resources[second]], lambda _: None)
    assert lab.aws.there() == {second, other}
    assert lab.notes(DELETED) == [first]


def test_that_a_call_is_not_understood_is_raised_at_once(lab):
    (instance,) = lab.launch(volumes=0)
    lab.aws.refuses[instance] = refused("InvalidParameterValue")
    with pytest.raises(ClientError):
        torn_down(lab)
    assert lab.aws.asked == [("instance", instance)]


@settings(max_examples=examples(25))
@given(st.lists(st.tuples(steps, st.sampled_from(["foo", "foo", "bar"])), max_size=6))
def test_whatever_was_launched_however_late_it_is_shown_nothing_of_it_is_left_and_all_else_is(course):
    with small_lab() as lab:
        others = {"foo": set(), "bar": set()}
        for step, name in course:
            before = set(lab.aws.things)
            step(lab, name)
            others[name] |= set(lab.aws.things) - before
        copy = lab.aws.add("instance", {"State": {"Name": "running"}, "Tags": lab.tags("copied"), "ClientToken": "its"})
        removal = delete_experiment(lab.session, "foo", lambda _: None)
        assert lab.aws.there() == {copy} | others["bar"]
        assert {*removal.deleted, *removal.went_along} == others["foo"]
        known = lab.session.records.state("foo")
        assert (known.live, known.unresolved) == ([], [])
        asked = len(lab.aws.asked)
        delete_experiment(lab.session, "foo", lambda _: None)
        assert len(lab.aws.asked) == asked, "and the second time there is nothing to do"
