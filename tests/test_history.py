"""What happened is the same in whatever order the records of several people are read."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ec2lab.costs.budget_guard import Spending
from ec2lab.costs.current_costs import beside, shared_out, total_of
from ec2lab.costs.price_book import HOURS, PriceBook
from ec2lab.costs.rates import month_of
from ec2lab.costs.summary import spent
from ec2lab.registry.history import History
from ec2lab.registry.record import Event, Record
from ec2lab.registry.state import holdings
from ec2lab.report.data import past
from tests.full import examples
from tests.recorded import KINDS, Prices, acted, answer, described, disk, launched, note, priced

PRICING = priced(PriceBook(Prices({
    "instance us-east-1 g5.xlarge": 1.0, "size us-east-1 gp3": 0.08, "address us-east-1": 0.005,
    "snapshot us-east-1": 0.05,
})))  # fmt: skip
BEGAN, NOW = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
WRITERS = ("alice@desk", "bob@lap", "carol@ci")
INSTANCES, VOLUMES, NAMES = ("i-1", "i-2", "i-3"), ("vol-1", "vol-2"), ("speech", "vision")
MADE = {"resource_type": "instance", "id": "i-3", "region": "us-east-1", "record": "lost", "since": ""}


@st.composite
def visible_records(draw, by, time):
    """One record of a writer."""
    one, name = draw(st.sampled_from(INSTANCES)), draw(st.sampled_from(NAMES))
    volumes = [("/dev/sda1", draw(st.sampled_from(VOLUMES)), draw(st.booleans()))]
    error = {"code": "InsufficientInstanceCapacity", "message": "", "http_status": 500}
    return draw(st.sampled_from([
        launched(time, one, by=by, experiment=name, mappings=[disk("/dev/sda1", 100)]),
        described(time, one, address="203.0.113.7", volumes=volumes, by=by),
        described(time, one, "terminated", code="Server.SpotInstanceTermination", by=by),
        described(time, one, "stopped", code="Client.UserInitiatedShutdown", by=by),
        *(acted(time, f"{verb}Instances", one, by=by) for verb in ("Terminate", "Stop", "Start")),
        answer(time, "CreateVolume", {}, {"VolumeId": "vol-1", "VolumeType": "gp3", "Size": 10}, by=by),
        answer(time, "DeleteVolume", {"VolumeId": "vol-1"}, by=by),
        answer(time, "CreateSnapshot", {}, {"SnapshotId": "snap-1", "VolumeSize": 10}, by=by),
        answer(time, "CreateTags", {"Resources": [one], "Tags": [{"Key": "lab:expires-at", "Value": "never"}]}, by=by),
        Record(event=Event.ERROR, time=time, operation="RunInstances", error=error, actor=f"{by}:7", experiment=name),
        note(time, experiment=name, by=by, run={"from": name, "experiment": {"ttl": "12h"}}),
        note(time, experiment=name, by=by, launched=[one]),
        note(time, experiment=name, by=by, exited={"exit_code": 1}),
        note(time, experiment=name, by=by, discovered=[MADE], deleted=[one]),
    ]))  # fmt: skip


@st.composite
def written(draw):
    """What each of several writers wrote, in its own order; their clocks agree to the second at times."""
    parts = []
    for by in WRITERS:
        hours = sorted(draw(st.lists(st.integers(0, 200), max_size=8)))
        parts.append([draw(visible_records(by, (BEGAN + timedelta(hours=hour)).isoformat())) for hour in hours])
    return parts


def interleaved(parts, chance):
    """Return the records of all, each writer's in its order."""
    left, found = [list(part) for part in parts if part], []
    while left:
        part = chance.choice(left)
        found.append(part.pop(0))
        left = [some for some in left if some]
    return found


@settings(max_examples=examples(40))
@given(written(), st.randoms(use_true_random=False))
def test_the_same_timelines_and_sums_come_of_any_order_that_keeps_each_writers_own(parts, chance):
    first, second = (History(interleaved(parts, chance)) for _ in range(2))
    for timelines in ("instances", "snapshots", "experiments", "errors", "requests"):
        assert getattr(first, timelines) == getattr(second, timelines)
    shown = [past(history, NOW) for history in (first, second)]
    assert shown[0].lives == shown[1].lives
    costs = [PRICING.charges(history.records, now=NOW) for history in (first, second)]
    assert costs[0] == costs[1]


@settings(max_examples=examples(40))
@given(written(), st.randoms(use_true_random=False))
def test_status_cost_report_audit_and_budgets_come_to_the_same(parts, chance):
    records = interleaved(parts, chance)
    history, found = History(records), PRICING.charges(records, now=NOW)
    cost, live = spent("", found), [one for one in found if one.ended is None]
    rows = holdings(history.records, KINDS).live
    shown, rest = total_of(shared_out(live, rows).values()), beside(live, rows)
    assert shown.hourly + rest.hourly == pytest.approx(cost.hourly)
    assert shown.unknown + rest.unknown == sum(one.dollars is None for one in live)
    report = [one for span in PRICING.spans(history, NOW) if (one := span.charge(span.began, NOW, NOW))]
    assert sum(one.dollars or 0 for one in report) == pytest.approx(cost.dollars)
    budgets = Spending.from_records(records, PRICING, NOW)
    in_all = [one for base in (*NAMES, "") for one in budgets.for_base(base)]
    assert sum(one.dollars or 0 for one in in_all) == pytest.approx(cost.dollars)
    this_month = PRICING.charges(records, month_of(NOW)[0], now=NOW)
    assert sum(one.dollars or 0 for one in budgets.month_to_date()) == pytest.approx(spent("", this_month).dollars)
    hours = (month_of(NOW)[1] - month_of(NOW)[0]) / timedelta(hours=1)
    # An audit has a description of each live volume, and asks its pricer.
    for volume in (volume for volume in history.volumes(NOW) if volume.ended is None):
        monthly = PRICING.monthly("volume", volume.described, volume.region)
        for one in (one for one in live if one.id == volume.id):
            assert one.hourly == (None if monthly is None else pytest.approx(monthly / hours))
    for one in (one for one in live if one.resource_type == "instance" and one.hourly is not None):
        item = {"InstanceType": one.what, "State": {"Name": "running"}}
        assert PRICING.monthly("instance", item, one.region) == pytest.approx(one.hourly * HOURS)


def test_a_writer_whose_clock_is_behind_ends_what_another_made():
    made = launched("2026-10-01T12:00:00Z", "i-1", by="alice@desk")
    ended = acted("2026-10-01T11:58:00Z", "TerminateInstances", "i-1", by="bob@lap")
    (one,) = History([made, ended]).instances.values()
    assert (one.ended, one.fate) == (one.began, "taken down")


def test_a_writer_whose_clock_was_set_back_is_read_in_the_order_in_which_it_wrote():
    launch, end = note("2026-10-01T12:00:00Z", launched=["i-1"]), note("2026-10-01T11:00:00Z", exited={"exit_code": 3})
    found = History([launch, end])
    assert found.records == [launch, end]
    assert History([end, launch]).records == [end, launch]


def looked_for(time, *shown):
    found = [{"InstanceId": one, "State": {"Name": "running"}} for one in shown]
    asked = {"Filters": [{"Name": "instance-id", "Values": ["i-1"]}]}
    return answer(time, "DescribeInstances", asked, {"Reservations": [{"Instances": found}]})


def test_what_aws_does_not_show_for_a_moment_lives_and_what_it_never_shows_again_ended_then():
    made = launched("2026-10-01T12:00:00Z", "i-1")
    young = looked_for("2026-10-01T12:01:00Z")
    missed, shown = looked_for("2026-10-01T13:00:00Z"), looked_for("2026-10-01T13:00:30Z", "i-1")
    (one,) = History([made, young, missed, shown]).instances.values()
    assert one.ended is None
    gone = looked_for("2026-10-01T14:00:00Z")
    counted = Record(event=Event.REPEATED, parent_id=young.id, time="2026-10-01T15:00:00Z", times=9)
    for last, ended in ((gone, gone.time), (counted, counted.time)):
        (one,) = History([made, young, missed, shown, last]).instances.values()
        assert (one.ended, one.fate) == (datetime.fromisoformat(ended), "no longer in AWS")
