"""What is put away changes nothing of what is computed from the rest."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import example, given
from hypothesis import strategies as st

from ec2lab.registry.compaction import needed_records
from ec2lab.registry.history import History
from ec2lab.registry.record import Event, Record
from ec2lab.registry.state import DELETED, DISCOVERED, RESOLVED, holdings
from ec2lab.resources.instance import Instance
from ec2lab.resources.snapshot import Snapshot
from ec2lab.resources.volume import Volume

KINDS = {resource_type.name: resource_type for resource_type in (Instance(), Volume(), Snapshot())}
EXPERIMENTS = ("foo", "bar", None)
REGION = "us-east-1"


def launched(experiment, number, *, answered):
    """Return the records of one RunInstances call."""
    tags = [{"Key": "lab:experiment", "Value": experiment}, {"Key": "lab:request-id", "Value": f"t-{number}"}]
    request = {"ClientToken": f"t-{number}", "TagSpecifications": [{"ResourceType": "instance", "Tags": tags}]}
    call = {"experiment": experiment, "region": REGION, "operation": "RunInstances", "request": request}
    intent = Record(event=Event.INTENT, **call)
    response = {"Instances": [{"InstanceId": f"i-{number}", "State": {"Name": "pending"}, "LaunchTime": "2026-01-01"}]}
    return [intent, Record(event=Event.RESPONSE, parent_id=intent.id, response=response, **call)][: 1 + answered]


def snapshot(number):
    call = {"region": REGION, "operation": "CreateSnapshot", "request": {"VolumeId": "vol-1"}}
    intent = Record(event=Event.INTENT, **call)
    return [
        intent,
        Record(event=Event.RESPONSE, parent_id=intent.id, response={"SnapshotId": f"snap-{number}"}, **call),
    ]


def ended(experiment, number):
    call = {"experiment": experiment, "region": REGION, "operation": "TerminateInstances",
            "request": {"InstanceIds": [f"i-{number}"]}}  # fmt: skip
    intent = Record(event=Event.INTENT, **call)
    return [intent, Record(event=Event.RESPONSE, parent_id=intent.id, response={}, **call)]


def looked(experiment, number):
    return [Record(event=Event.ANNOTATION, experiment=experiment, annotation={DELETED: [f"i-{number}"], RESOLVED: []})]


def found(experiment, number):
    told = {"resource_type": "volume", "id": f"vol-{number}", "region": REGION, "since": "", "record": f"t-{number}"}
    return [
        Record(
            event=Event.ANNOTATION, experiment=experiment, annotation={DELETED: [], RESOLVED: [], DISCOVERED: [told]}
        )
    ]


def described(experiment, _):
    return [
        Record(event=Event.RESPONSE, experiment=experiment, region=REGION, operation="DescribeInstances", response={})
    ]


def kept(experiment, number):
    """Return the records of a volume that a teardown kept, and nobody's of its deletion."""
    call = {"experiment": experiment, "region": REGION, "event": Event.RESPONSE}
    tags = [{"Key": "lab:retained", "Value": "2026-01-02 after foo"}]
    return [
        Record(operation="CreateVolume", request={}, response={"VolumeId": f"vol-k{number}"}, **call),
        Record(operation="CreateTags", request={"Resources": [f"vol-k{number}"], "Tags": tags}, response={}, **call),
    ]


def deleted(number):
    request = {"VolumeId": f"vol-k{number}"}
    return [Record(event=Event.RESPONSE, region=REGION, operation="DeleteVolume", request=request, response={})]


named = st.sampled_from(EXPERIMENTS[:2])
numbers = st.integers(0, 5)
happenings = st.one_of(
    st.builds(launched, named, numbers, answered=st.booleans()),
    st.builds(snapshot, numbers),
    st.builds(ended, named, numbers),
    st.builds(looked, named, numbers),
    st.builds(found, named, numbers),
    st.builds(described, st.sampled_from(EXPERIMENTS), numbers),
    st.builds(kept, named, numbers),
    st.builds(deleted, numbers),
)
pasts = st.lists(happenings, max_size=25).map(lambda several: [record for some in several for record in some])


def live_parts(known):
    return sorted(known.live, key=str)


def unresolved(known):
    return {intent.id for intent in known.unresolved}


def retained(records):
    volumes = History(records).volumes(datetime.min.replace(tzinfo=UTC))
    return {volume.id for volume in volumes if volume.retained and volume.ended is None}


RESOLVED_BY_ANOTHERS = [
    *launched("bar", 1, answered=False),
    *launched("foo", 1, answered=True),  # one ClientToken is one request
    *looked("foo", 1),
]


@given(pasts)
@example(RESOLVED_BY_ANOTHERS)
def test_what_lives_and_what_is_unsettled_is_the_same_without_what_is_put_away(past):
    kept = needed_records(past, KINDS)
    rest = [record for record in past if record.id in kept]
    whole, part = holdings(past, KINDS), holdings(rest, KINDS)
    assert live_parts(part) == live_parts(whole)
    assert unresolved(part) == unresolved(whole)
    assert retained(rest) == retained(past), "they cost, and status does not read what is put away"


@given(pasts)
def test_an_experiment_that_is_not_over_keeps_all_that_is_known_of_it(past):
    kept = needed_records(past, KINDS)
    rest = [record for record in past if record.id in kept]
    for experiment in EXPERIMENTS[:2]:
        whole = holdings(past, KINDS, experiment)
        if whole.live or any(intent.experiment == experiment for intent in whole.unresolved):
            part = holdings(rest, KINDS, experiment)
            assert (part.tokens, part.regions, part.resource_types) == (
                whole.tokens,
                whole.regions,
                whole.resource_types,
            )


@given(pasts, pasts)
@example([*RESOLVED_BY_ANOTHERS[:3], *ended("foo", 1), *looked("foo", 2)], looked("bar", 1))
def test_what_is_put_away_early_keeps_nothing_else_from_being_put_away_later(past, since):
    kept = needed_records(past, KINDS)
    early = needed_records([*(record for record in past if record.id in kept), *since], KINDS)
    assert early <= needed_records([*past, *since], KINDS)


@given(pasts)
def test_putting_away_twice_puts_nothing_more_away(past):
    kept = needed_records(past, KINDS)
    rest = [record for record in past if record.id in kept]
    assert needed_records(rest, KINDS) == kept & {record.id for record in past}


def test_an_experiment_is_over_once_aws_was_asked_what_is_left_of_it():
    began, gone = launched("foo", 1, answered=True), ended("foo", 1)
    assert len(needed_records([*began, *gone], KINDS)) == 4, "its volumes may live"
    assert needed_records([*began, *gone, *looked("foo", 1)], KINDS) == set()


def test_an_answer_whose_intent_was_lost_is_needed_as_another_is():
    _, answer = launched("foo", 1, answered=True)
    assert needed_records([answer], KINDS) >= {answer.id}


def test_descriptions_of_no_experiment_are_never_needed():
    assert needed_records(described(None, 0), KINDS) == set()


def test_a_look_that_found_something_alive_ends_nothing():
    past = [*launched("foo", 1, answered=True), *looked("foo", 9), *described("foo", 0)]
    assert needed_records(past, KINDS) == {record.id for record in past}


def test_a_description_after_the_last_look_asks_for_nothing_and_one_of_no_experiment_hides_none():
    began, gone = launched("foo", 1, answered=True), ended("foo", 1)
    over = [*began, *gone, *looked("foo", 1), *described("foo", 0)]
    assert needed_records(over, KINDS) == set()
    assert len(needed_records([*described(None, 0), *began, *gone], KINDS)) == 4


def test_what_resolves_anothers_call_is_kept_with_its_end_and_its_last_look_and_no_more():
    open_call, resolving = launched("bar", 1, answered=False), launched("foo", 1, answered=True)
    gone, look, later = ended("foo", 1), looked("foo", 1), described("foo", 0)
    kept = needed_records([*open_call, *resolving, *gone, *look, *later], KINDS)
    assert kept == {record.id for record in (*open_call, *resolving, *gone, *look)}


def test_an_error_that_resolves_anothers_call_is_kept_with_the_last_look_for_its_experiment():
    (open_call,), (intent,) = launched("bar", 1, answered=False), launched("foo", 1, answered=False)
    error = {"code": "VcpuLimitExceeded", "message": "", "http_status": 400}
    past = [
        open_call,
        intent,
        replace(intent, event=Event.ERROR, id="e", parent_id=intent.id, error=error),
        *looked("foo", 9),
    ]
    assert needed_records(past, KINDS) == {record.id for record in past}
