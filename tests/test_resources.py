"""What lives, and what is not known to, by what the records say."""

import pytest

from ec2lab.registry.record import Event, Record
from ec2lab.registry.state import as_annotation, holdings
from ec2lab.resources.instance import Instance
from ec2lab.resources.security_group import SecurityGroup
from ec2lab.resources.volume import Volume

KINDS = {"instance": Instance()}
LOST = {"code": "ReadTimeoutError", "message": "", "http_status": None}
TOO_FAST = {"code": "RequestLimitExceeded", "message": "", "http_status": 503, "retries": 0}
EMPTY = {"code": "InsufficientInstanceCapacity", "message": "", "http_status": 500, "retries": 0}
REFUSED = {"code": "UnauthorizedOperation", "message": "", "http_status": 403, "retries": 0}
SECOND_TIME = REFUSED | {"retries": 1}


def tries(*errors):
    """Return the records of one attempt: an intent for each try with its one token, and what became of it."""
    call = {"experiment": "demo", "region": "us-east-1", "operation": "RunInstances", "request": {"ClientToken": "t"}}
    for error in errors:
        intent = Record(event=Event.INTENT, **call)
        yield intent
        if error is not None:
            yield Record(event=Event.ERROR, parent_id=intent.id, error=error, **call)


@pytest.mark.parametrize(
    ("errors", "unresolved"),
    [
        ([None], 1),
        ([LOST], 1),
        ([EMPTY], 0),
        ([TOO_FAST, TOO_FAST], 0),
        ([SECOND_TIME], 1),
        ([LOST, EMPTY], 0),
        ([REFUSED], 0),
        ([LOST, REFUSED], 1),
        ([LOST, TOO_FAST], 1),
        ([TOO_FAST, LOST], 1),
    ],
)
def test_an_attempt_is_unsettled_while_nobody_can_know_whether_it_made_an_instance(errors, unresolved):
    assert len(holdings(tries(*errors), KINDS).unresolved) == unresolved


TAGS = [{"Key": "lab:experiment", "Value": "demo"}, {"Key": "lab:request-id", "Value": "t"}]
EVERY = {resource_type.name: resource_type for resource_type in (Instance(), Volume(), SecurityGroup())}
GROUP = "CreateSecurityGroup"


def asked(operation="RunInstances", event=Event.INTENT, experiment="demo", region="us-east-1", **more):
    """Return a record of a call."""
    request = more.pop("request", None) or {
        "ClientToken": "t",
        "TagSpecifications": [
            {"ResourceType": resource_type, "Tags": TAGS} for resource_type in ("instance", "volume")
        ],
    }
    return Record(event=event, operation=operation, experiment=experiment, region=region, request=request, **more)


def answered(identity="i-1", *, parent_id=None, experiment="demo", **more):
    made = {"Instances": [{"InstanceId": identity, "State": {"Name": "pending"}, "LaunchTime": "2026-11-01T00:00Z"}]}
    return asked(event=Event.RESPONSE, parent_id=parent_id or "x", response=made, experiment=experiment, **more)


def note(experiment="demo", **told):
    return Record(event=Event.ANNOTATION, experiment=experiment, annotation=told)


def there(identity="i-1", resource_type="instance", experiment="demo", record="t"):
    """Return what a note tells of something that was found."""
    return {"resource_type": resource_type, "id": identity, "region": "eu-west-1", "since": "", "record": record,
            "experiment": experiment}  # fmt: skip


def ids(resources):
    return sorted(resource.id for resource in resources)


def test_a_call_is_known_by_its_tag_with_all_its_tries_and_what_its_response_named():
    first, second = asked(), asked()
    call = holdings([first, second, answered(parent_id=second.id)], EVERY).calls["t"]
    assert (call.operation, call.request, call.answered) == ("RunInstances", first.request, True)
    assert (len(call.times), call.made) == (3, {("instance", "i-1")})
    assert not holdings([first], EVERY).calls["t"].answered
    later = asked(request={"ClientToken": "t"})
    assert holdings([first, answered(parent_id=first.id), later], EVERY).calls["t"].answered, (
        "a try after it changes nothing"
    )


def test_a_response_tells_what_was_asked_for_also_where_its_intent_was_lost():
    known = holdings([answered()], EVERY)
    assert (known.seen, known.regions, known.resource_types) == (True, {"us-east-1"}, {"instance", "volume"})
    assert ids(known.live) == ["i-1"]


@pytest.mark.parametrize("event", [Event.ERROR, Event.ANNOTATION, Event.REPEATED])
def test_other_records_ask_for_nothing(event):
    assert not holdings([asked(event=event)], EVERY).seen


def test_a_dry_run_asks_for_nothing_unless_it_was_carried_out_all_the_same():
    dry = asked(request={"ClientToken": "t", "DryRun": True})
    known = holdings([dry], EVERY)
    assert (known.seen, known.unresolved) == (False, [])
    assert holdings([dry, answered(parent_id=dry.id, request=dry.request)], EVERY).seen


def test_what_is_no_creation_asks_for_nothing_also_in_an_experiment():
    assert not holdings([asked("TerminateInstances")], EVERY).seen


def test_of_one_experiment_only_its_own_is_told():
    records = [asked(), answered(), asked(experiment="bar"), note("bar", discovered=[there("i-9", experiment="bar")])]
    own = holdings(records, EVERY, "demo")
    assert (ids(own.live), own.regions) == (["i-1"], {"us-east-1"})
    other = holdings(records, EVERY, "bar")
    assert (ids(other.live), other.regions) == (["i-9"], {"us-east-1", "eu-west-1"})
    assert ids(holdings(records, EVERY).live) == ["i-1", "i-9"]
    assert holdings(records, EVERY).names == {"demo", "bar"}
    assert not holdings(records, EVERY, "never").seen
    assert holdings([note("bar", discovered=[there("i-9", experiment="bar")])], EVERY, "demo").calls == {}


def test_without_a_region_nothing_of_it_is_known_and_all_of_the_others():
    lost = [asked(region=region, request={"ClientToken": region}) for region in ("us-east-1", "eu-west-1")]
    records = [asked(), answered(), *lost]
    known = holdings(records, EVERY)
    here, there_ = known.without({"eu-west-1"}), known.without({"us-east-1"})
    assert (ids(here.live), len(here.unresolved), here.regions) == (["i-1"], 1, {"us-east-1"})
    assert (ids(there_.live), len(there_.unresolved), there_.regions) == ([], 1, {"eu-west-1"})
    assert [intent.region for intent in here.unresolved + there_.unresolved] == ["us-east-1", "eu-west-1"]


def test_where_a_call_was_made_without_a_region_is_nowhere_else():
    assert holdings([asked(region=None)], EVERY).regions == {""}


def test_of_experiments_is_what_a_call_gave_to_one_and_not_the_labs_own_group():
    own = {"GroupName": "lab", "TagSpecifications": [{"ResourceType": "security-group", "Tags": []}]}
    known = holdings([asked(), asked(GROUP, request=own)], EVERY)
    assert known.resource_types == {"instance", "volume", "security-group"}
    assert known.of_experiments == {"instance", "volume"}
    assert holdings([asked(GROUP, request=own)], EVERY).of_experiments == set()


def test_what_was_found_lives_as_what_its_call_made_until_it_is_noted_as_gone():
    found = note(discovered=[there()])
    known = holdings([asked(), found], EVERY)
    assert known.calls["t"].made == {("instance", "i-1")}
    assert known.regions == {"us-east-1", "eu-west-1"}
    assert (ids(known.live), known.live[0].recorded) == (["i-1"], found.time)
    alone = holdings([found], EVERY)
    assert (alone.regions, alone.resource_types, alone.of_experiments) == ({"eu-west-1"}, {"instance"}, {"instance"})
    assert holdings([found, note(deleted=["i-1"])], EVERY).live == []
    assert ids(holdings([found, note(deleted=["i-2"])], EVERY).live) == ["i-1"]


def test_what_was_found_of_the_labs_own_is_of_no_experiment_and_without_its_call_nothing_was_asked_for():
    known = holdings([note(discovered=[there("sg-1", "security-group", None)])], EVERY)
    assert (known.resource_types, known.of_experiments, known.names) == ({"security-group"}, set(), set())
    known = holdings([note(discovered=[there(record=None)])], EVERY)
    assert (ids(known.live), known.calls, known.resource_types, known.regions) == (["i-1"], {}, set(), set())


def test_what_no_plugin_knows_is_told_apart_and_can_be_gone():
    found = note(discovered=[there("q-1", "queue")])
    known = holdings([found], EVERY)
    assert (known.live, ids(known.unknown), known.names) == ([], ["q-1"], {"demo"})
    assert holdings([found, note(deleted=["q-1"])], EVERY).unknown == []


def test_an_intent_is_unsettled_until_it_is_noted_as_settled_and_the_labs_own_never_counts():
    intent, other = asked(), asked(experiment=None)
    assert holdings([intent, other], EVERY).unresolved == [intent]
    assert holdings([intent, note(resolved=[intent.id])], EVERY).unresolved == []
    assert holdings([intent, note(resolved=["another"])], EVERY).unresolved == [intent]
    assert holdings([intent], EVERY).names == {"demo"}


def test_what_was_terminated_lives_no_more():
    ended = asked("TerminateInstances", Event.RESPONSE, request={"InstanceIds": ["i-1"]}, parent_id="y")
    assert holdings([asked(), answered(), ended], EVERY).live == []


def test_a_note_holds_what_it_takes_to_look_a_thing_up_and_to_delete_it():
    (resource,) = holdings([asked(), answered()], EVERY).live
    (again,) = holdings([note(discovered=[as_annotation(resource)])], EVERY).live
    assert (again.resource_type, again.id, again.region, again.experiment) == ("instance", "i-1", "us-east-1", "demo")
    assert (again.since, again.record) == (resource.since, "t")
