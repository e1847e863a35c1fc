"""How a watch shows what it knows, and what it reads out of records."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ec2lab.registry.history import History
from ec2lab.registry.record import Event, Record
from ec2lab.rendering import text_of
from ec2lab.resource import Resource
from ec2lab.runs.progress import Progress, ProgressPoller
from ec2lab.watch.console import counted, least, time_left
from ec2lab.watch.watcher import Watching, to_event

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def instance(identity, since="2026-11-24T11:00:00+00:00", state="running"):
    return Resource(
        resource_type="instance", id=identity, region="us-east-1", experiment="demo", since=since, state=state
    )


def note(**words):
    return Record(event=Event.ANNOTATION, experiment="demo", script=words.pop("script", "launch"), annotation=words)


def demo(*records):
    return History(records).of("demo")


def test_the_time_left_is_the_first_instances_by_its_own_timer_where_that_was_heard():
    one, two = instance("i-1"), instance("i-2", since="2026-11-24T11:30:00+00:00")
    assert time_left([one, two], {}, timedelta(hours=3), NOW) == timedelta(hours=2)
    heard = ProgressPoller(run=None, last=Progress(ends_at=(NOW + timedelta(hours=5)).timestamp()))
    assert time_left([one, two], {"i-1": heard}, timedelta(hours=3), NOW) == timedelta(hours=2, minutes=30)
    assert time_left([one], {"i-1": heard}, None, NOW) == timedelta(hours=5)
    assert time_left([one], {}, timedelta(minutes=5), NOW) == timedelta(0)
    assert time_left([one], {}, None, NOW) is None


def test_an_end_that_was_set_again_goes_before_the_time_to_live_it_was_launched_with():
    later = replace(instance("i-1"), details={"ends": "2026-11-24T18:00:00Z", "ttl": "2h"})
    assert time_left([later], {}, timedelta(hours=2), NOW) == timedelta(hours=6)
    endless = replace(later, details={"ends": "never"})
    assert time_left([endless], {}, timedelta(hours=2), NOW) is None
    assert time_left([endless, instance("i-2")], {}, timedelta(hours=2), NOW) == timedelta(hours=1)


def test_many_instances_are_counted_by_their_states():
    assert counted([]) == "no instance yet"
    assert counted([instance("i-1")]) == "i-1 running"
    assert counted([instance("i-1"), instance("i-2"), instance("i-3", state="pending")]) == "2 running, 1 pending"
    assert least(["43%", "7%"]) == "7%"


def test_how_the_command_ended_counts_from_the_last_launch_on():
    launched, ended = note(launched=["i-1"]), note(exited={"exit_code": 3}, script="wait")
    assert demo(launched, ended).exit_code == 3
    assert demo(launched, ended, launched).exit_code is None
    assert demo().exit_code is None


def test_a_teardown_since_the_last_launch_is_seen_by_whatever_it_wrote():
    launched, torn = note(launched=["i-1"]), note(deleted=["i-1"], script="teardown")
    assert demo(launched, torn).torn_down
    assert not demo(torn, launched).torn_down
    assert not demo(launched).torn_down


def test_a_refusal_is_told_with_what_was_asked_for_and_a_dry_run_is_none():
    request = {"InstanceType": "g5.xlarge", "InstanceMarketOptions": {"MarketType": "spot"}}
    error = {"code": "InsufficientInstanceCapacity", "message": "none", "http_status": 500}
    asked = {"event": Event.ERROR, "experiment": "demo", "region": "us-east-1", "error": error}
    refused = Record(operation="RunInstances", request=request, **asked)
    dry = Record(operation="RunInstances", request={**request, "DryRun": True}, **asked)
    start = Record(operation="StartInstances", request={"InstanceIds": ["i-1"]}, **asked)
    first, second = History([dry, refused, start]).errors
    told = to_event("demo", first)
    assert text_of(told) == "us-east-1  any zone  g5.xlarge  spot  insufficient capacity"
    assert to_event("demo", second).instance == "i-1"


def test_the_time_to_live_is_that_of_the_last_run():
    watching = Watching(None, "demo", history=History([note(run={"experiment": {"ttl": "12h"}})]))
    assert watching.ttl == timedelta(hours=12)
    watching.history = History([*watching.history.records, note(run={"experiment": {}})])
    assert watching.ttl is None
    assert Watching(None, "demo").ttl is None
