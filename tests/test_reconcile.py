"""What came of calls whose response is lost, and what of an experiment is alive, while AWS shows things late."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ec2lab.errors import UserError
from ec2lab.registry.record import Event, Record
from ec2lab.resources.live_in_aws import find_live_resources, seen_alive, within_consistency_window
from ec2lab.resources.reconcile import note_shown, reconcile, without_experiment
from tests.full import examples
from tests.small_aws import ACCOUNT, REGION, SETTLING, attachment, small_lab

AGES = st.sampled_from([0.0, 30.0, SETTLING + 1])


@pytest.fixture
def lab():
    with small_lab() as made:
        yield made


def ids(resources):
    return sorted(resource.id for resource in resources)


def test_of_what_never_was_nothing_is_asked_or_noted(lab):
    lab.launch("bar")
    before = list(lab.registry.all)
    assert reconcile(lab.session, "foo") == []
    assert lab.registry.all == before


def test_where_nothing_changed_nothing_is_noted(lab):
    made = lab.launch()
    before = list(lab.registry.all)
    assert ids(r for r in reconcile(lab.session, "foo") if r.resource_type == "instance") == made
    assert lab.registry.all == before


def test_what_aws_shows_is_waited_for_no_longer(lab):
    lab.launch(answered=False, late=5)
    began = lab.aws.time
    reconcile(lab.session, "foo")
    assert 5 <= (lab.aws.time - began).total_seconds() < 6


def test_half_of_what_was_asked_for_is_waited_for_until_all_of_it_must_be_shown(lab):
    lab.launch(count=2, answered=False)
    lost = max(lab.aws.there() & {"instance-0", "instance-1"})
    del lab.aws.things[lost]
    began = lab.aws.time
    assert "instance-0" in ids(reconcile(lab.session, "foo"))
    assert (lab.aws.time - began).total_seconds() == pytest.approx(SETTLING, abs=1)
    assert lab.session.records.state("foo").unresolved == []


def test_a_request_is_sent_again_while_it_is_young_and_its_response_resolves_it(lab):
    (made,) = lab.launch(answered=False, late=20)
    sent = []

    def again(intent):
        sent.append(intent)
        answer = {"Instances": [{**lab.aws.things[made].item, "LaunchTime": "2026-11-01T00:00:00+00:00"}]}
        said = {"experiment": "foo", "operation": "RunInstances", "request": intent.request, "region": REGION}
        whose = {"partition": ACCOUNT.partition, "account": ACCOUNT.id}
        lab.registry.append(Record(event=Event.RESPONSE, parent_id=intent.id, response=answer, **said, **whose))

    began = lab.aws.time
    assert ids(reconcile(lab.session, "foo", again)) == [made]
    assert (len(sent), lab.aws.time) == (1, began), "nobody waits for what is on record now"
    lab.launch(answered=False, dies=True)
    lab.wait(SETTLING + 1)
    reconcile(lab.session, "foo", again)
    assert len(sent) == 1, "an old one is not sent again"


def test_what_is_on_record_and_not_shown_yet_is_alive_and_what_is_old_is_gone(lab):
    (old,) = lab.launch(volumes=0, late=10**6)
    lab.wait(SETTLING - 1)
    (young,) = lab.launch(volumes=0, late=10**6)
    assert ids(reconcile(lab.session, "foo")) == [old, young]
    assert lab.notes("deleted") == []
    lab.wait(2)
    assert ids(reconcile(lab.session, "foo")) == [young]
    assert lab.notes("deleted") == [old]
    assert ids(lab.session.records.state("foo").live) == [young]


def test_exactly_at_the_end_of_the_window_nothing_is_young(lab):
    (made,) = lab.launch(volumes=0, late=10**6)
    lab.wait(SETTLING)
    assert reconcile(lab.session, "foo") == []
    assert lab.notes("deleted") == [made]


def test_what_is_there_by_its_id_and_not_by_its_tags_is_an_error_and_is_not_noted_as_gone(lab):
    (made,) = lab.launch(volumes=0)
    lab.wait(SETTLING + 1)
    lab.aws.things[made].item["Tags"] = []
    with pytest.raises(UserError) as raised:
        reconcile(lab.session, "foo")
    assert f"instance {made} ({REGION}): left alone: it is in the registry, but its tags in AWS are not foo's" in str(
        raised.value
    )
    assert f"(lab:experiment=foo, lab:registry={lab.registry.id()})" in str(raised.value)
    assert lab.notes("deleted") == []


def test_what_is_terminated_is_gone_though_aws_still_lists_it(lab):
    (made,) = lab.launch(volumes=0)
    lab.wait(SETTLING + 1)
    lab.aws.things[made].gone_from = lab.aws.time
    assert reconcile(lab.session, "foo") == []
    assert lab.notes("deleted") == [made]


def test_of_what_a_lost_launch_made_its_instances_are_noted_and_not_their_volumes(lab):
    made = lab.launch(volumes=2, answered=False)
    alone = lab.volume(answered=False)
    found = reconcile(lab.session, "foo")
    assert len(found) == 4
    assert sorted(told["id"] for told in lab.notes("discovered")) == sorted([*made, alone])


def test_what_another_registry_made_for_an_experiment_of_that_name_is_not_its_own(lab):
    ours = lab.launch(volumes=0)
    item = lab.aws.things[ours[0]].item
    theirs = [{**tag, "Value": "f" * 32} if tag["Key"] == "lab:registry" else tag for tag in item["Tags"]]
    lab.aws.add("instance", {**item, "InstanceId": "i-theirs", "Tags": theirs})
    assert ids(reconcile(lab.session, "foo")) == ours


def test_it_is_looked_for_in_every_region_that_was_asked(lab):
    lab.launch(volumes=0)
    lab.aws.things["instance-0"].region = "us-west-2"
    for record in [r for r in lab.registry.all if r.operation]:
        lab.registry.all[lab.registry.all.index(record)] = Record(**{**record.as_json(), "region": "us-west-2",
                                                                     "event": record.event})  # fmt: skip
    assert ids(reconcile(lab.session, "foo")) == ["instance-0"]


def test_the_labs_own_group_of_a_lost_response_is_found_by_its_call_and_a_teammates_is_not(lab):
    group = lab.group(answered=False, late=5)
    lab.aws.add("security-group", {"GroupName": "lab", "Tags": lab.tags("another call", None)})
    copied = lab.aws.things[group].item["Tags"]
    lab.aws.add("security-group", {"GroupName": "copy", "Tags": copied})
    found = reconcile(lab.session, "foo")
    assert found == [], "it is no experiment's"
    assert [told["id"] for told in lab.notes("discovered")] == [group]


def test_what_open_calls_made_for_an_experiment_is_not_among_the_labs_own(lab):
    lab.launch(answered=False)
    group = lab.group(answered=False)
    lab.group("foo", name="foo's own", answered=False)
    assert ids(without_experiment(lab.session, lab.session.records.state("foo").unresolved)) == [group]


def test_a_volume_with_the_tags_of_a_lost_launch_in_another_instance_is_a_copy(lab):
    (made,) = lab.launch(answered=False, volumes=0)
    other = lab.aws.add("instance", {"State": {"Name": "running"}})
    attached = [attachment(other, goes=True)]
    tags = lab.aws.things[made].item["Tags"]
    lab.aws.add("volume", {"State": "in-use", "Tags": tags, "CreateTime": lab.aws.time, "Attachments": attached})
    assert ids(reconcile(lab.session, "foo")) == [made]


def test_each_region_and_type_is_told_by_itself_or_only_one_type_is_asked_for(lab):
    instances = lab.launch(volumes=1)
    volumes = sorted(lab.aws.there() - set(instances))
    known = lab.session.records.state("foo")
    told = {key: ids(found) for key, found in seen_alive(lab.session, "foo", known).found.items()}
    assert told == {(REGION, "instance"): instances, (REGION, "volume"): volumes}
    assert ids(find_live_resources(lab.session, "foo", known, only="instance")) == instances
    assert ids(find_live_resources(lab.session, "foo", known)) == sorted(instances + volumes)


def test_what_tells_no_time_is_old(lab):
    assert not within_consistency_window(lab.session, "")
    assert within_consistency_window(lab.session, lab.aws.time.isoformat())


def test_what_a_description_shows_resolves_the_call_that_made_it_and_no_other(lab):
    (made,) = lab.launch(answered=False)
    lab.launch(answered=False, dies=True)
    other = lab.session.records.state().unresolved[-1]
    volume = next(iter(lab.aws.there() - {made}))
    things = lab.aws.things
    note_shown(lab.session, "volume", things[volume].item, REGION)
    assert len(lab.session.records.state().unresolved) == 2, "an instance's volume does not resolve its launch"
    note_shown(lab.session, "instance", {**things[made].item, "ClientToken": "a copy"}, REGION)
    assert len(lab.session.records.state().unresolved) == 2
    note_shown(lab.session, "instance", things[made].item, REGION)
    assert lab.session.records.state().unresolved == [other]
    assert ids(lab.session.records.state("foo").live) == [made]
    before = len(lab.registry.all)
    note_shown(lab.session, "instance", things[made].item, REGION)
    assert len(lab.registry.all) == before, "once is enough"


@settings(max_examples=examples(25))
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.sampled_from([0.0, 5.0, SETTLING - 1]), AGES), max_size=4))
def test_every_lost_launch_is_resolved_by_what_aws_shows_or_by_time(launches):
    with small_lab() as lab:
        lab.launch("bar", answered=False)
        made = []
        for answered, dies, late, age in launches:
            made += lab.launch(answered=answered and not dies, dies=dies, late=late, volumes=1)
            lab.wait(age)
        found = reconcile(lab.session, "foo")
        assert ids(r for r in found if r.resource_type == "instance") == sorted(made)
        known = lab.session.records.state("foo")
        assert ids(known.live) == sorted(made), "volumes come with instances, and are in no record"
        assert known.unresolved == []
        assert len(lab.session.records.state("bar").unresolved) == 1
