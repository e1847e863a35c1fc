"""The report's page from records: every instance is on it once, nothing overlaps, sums agree, all text is escaped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ec2lab.audit.audit import Finding, Verdict
from ec2lab.audit.inventory import Survey
from ec2lab.costs.price_book import PriceBook
from ec2lab.costs.rates import SpotRate
from ec2lab.costs.summary import spent
from ec2lab.datasets.costs import PricedSnapshot
from ec2lab.datasets.dataset import DataSnapshot
from ec2lab.registry.history import History
from ec2lab.registry.record import Event
from ec2lab.registry.state import holdings
from ec2lab.report.cost_chart import columns, marks, periods, scale, shown
from ec2lab.report.data import ReportData, datasets_on_record, past
from ec2lab.report.html import report_html
from ec2lab.report.tables import plain
from ec2lab.report.time_axis import LAST, new_axis
from ec2lab.report.timeline import MOST_LANES, MOST_ROWS, assign_rows, at_once, hours, time_line
from ec2lab.report.view_model import page
from ec2lab.resource import Resource
from tests.full import examples
from tests.generated_registry import GeneratedRegistry
from tests.recorded import KINDS, priced

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOSTILE = "</title></style></script><script>alert(1)</script><img src=//x onerror='x'>\" ' & {{ 7*7 }} --> \x00\ud800"


class EachTwoDollars:
    """A source of prices that knows one."""

    def listed(self, _wanted):
        return 2.0

    def spot(self, *where_and_when):
        return SpotRate((), where_and_when[-1])

    def spot_now(self, *_):
        return {}


def facts_of(generated: GeneratedRegistry, **more) -> ReportData:
    records = sorted(generated.records, key=lambda record: record.time)
    paid = priced(PriceBook(EachTwoDollars())).spans(History(records), generated.now)
    told = {
        "lab": "lab", "registry": "registry.json", "banner": "", "now": generated.now, "records": len(records),
        "past": past(History(records), generated.now), "spans": paid, "live": holdings(records, KINDS).live,
        "datasets": [], "survey": Survey(), "findings": [], "unavailable": {},
    }  # fmt: skip
    told |= more
    return ReportData(**told, costs={thing.id: spent(thing.id, ()) for thing in told["live"]})


def page_of(generated: GeneratedRegistry, **more):
    return page(facts_of(generated, **more))


INTERVALS = st.lists(
    st.tuples(st.integers(0, 50), st.integers(1, 20)).map(lambda pair: (pair[0], pair[0] + pair[1])), max_size=40
)


@given(INTERVALS)
def test_nothing_overlaps_in_a_lane_and_there_are_as_few_lanes_as_can_be(intervals):
    chosen = assign_rows(intervals)
    for lane in set(chosen):
        there = sorted(span for span, number in zip(intervals, chosen, strict=True) if number == lane)
        assert all(first[1] <= second[0] for first, second in pairwise(there))
    together = max((sum(a <= t < b for a, b in intervals) for t in range(80)), default=0)
    assert max(chosen, default=-1) + 1 == together


@given(INTERVALS)
def test_how_many_there_are_at_once_is_counted_right(intervals):
    edges = list(range(0, 81, 5))
    expected = [max(sum(a <= t < b for a, b in intervals) for t in range(low, high)) for low, high in pairwise(edges)]
    assert at_once(intervals, edges) == expected


@given(st.datetimes(datetime(1995, 1, 1), datetime(2026, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
       st.timedeltas(timedelta(0), timedelta(days=9000)))  # fmt: skip
def test_an_axis_of_any_length_names_a_few_moments_apart_from_each_other(begin, length):
    axis = new_axis(begin, begin + length)
    ticks = axis.ticks()
    assert len(ticks) <= 10
    assert sum(tick.narrow for tick in ticks) <= 4
    assert all(tick.label and 0 <= tick.x <= LAST for tick in ticks)
    assert all(second.x - first.x > 6 for first, second in pairwise(ticks))
    assert (axis.at(axis.begin), axis.at(axis.end)) == (0, 100)


@given(st.datetimes(datetime(1995, 1, 1), datetime(2026, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
       st.timedeltas(timedelta(0), timedelta(days=900)))  # fmt: skip
def test_periods_follow_each_other_from_the_first_cost_to_now(begin, length):
    axis = new_axis(begin, begin + length)
    _, found = periods(axis)
    assert 1 <= len(found) <= 64
    assert found[0].begin <= axis.begin
    assert found[-1].end == axis.end
    assert all(first.end == second.begin for first, second in pairwise(found))


@given(st.floats(1e-6, 1e9))
def test_a_scale_reaches_a_little_beyond_what_is_measured(most):
    assert most <= scale(most) * (1 + 1e-9)
    assert scale(most) <= most * 2.51
    (top, _), (half, _) = marks(scale(most), 100)
    assert (top, half) == (0, 50)


WORK = st.lists(
    st.tuples(
        st.integers(0, 45), st.integers(0, 60 * 24 * 40), st.floats(0.001, 900), st.sampled_from(["spot", "on-demand"]),
        st.integers(0, 3), st.booleans(),
    ),
    max_size=60,
)  # fmt: skip


def generated(work):
    """A registry of this work: (experiment, minutes ago, hours, market, refusals, ended)."""
    made = GeneratedRegistry(now=NOW)
    for experiment, ago, length, market, refusals, ended in work:
        began = NOW - timedelta(minutes=ago)
        made.run(f"e{experiment}", began, length, market=market, refusals=refusals, ended=ended)
    return made


@settings(max_examples=examples(20))
@given(WORK)
def test_every_instance_and_every_refusal_is_on_the_time_line_once_and_no_two_bars_overlap(work):
    made = generated(work)
    line = time_line(facts_of(made).past, NOW)
    assert len(line.rows) <= MOST_ROWS
    assert sorted(life.id for row in line.rows for life in row.lives) == sorted(made.instances)
    assert sum(len(row.errors) for row in line.rows) == sum(refusals for *_, refusals, _ in work)
    for row in line.rows:
        drawn = {rect.tooltip.split()[1].rstrip(",") for rect in row.instances if rect.look != "crowd"}
        assert drawn == (set() if row.crowded else {life.id for life in row.lives})
        for rect in (*row.instances, *row.error_marks):
            assert 0 <= rect.x <= rect.x + rect.width <= 100.0001
            assert 0 <= rect.y <= rect.y + rect.height <= row.height
        assert not any(overlap(a, b) for n, a in enumerate(row.instances) for b in row.instances[n + 1 :])


def overlap(a, b):
    return (
        min(a.x + a.width, b.x + b.width) - max(a.x, b.x) > 1e-6
        and min(a.y + a.height, b.y + b.height) - max(a.y, b.y) > 1e-6
    )


@settings(max_examples=examples(12))
@given(WORK)
def test_costs_by_experiment_and_by_member_add_up_to_what_make_cost_says(work):
    registry = generated(work)
    made = page_of(registry)
    if made.costs is None:
        assert work == []
        return
    records = sorted(registry.records, key=lambda record: record.time)
    told = priced(PriceBook(EachTwoDollars())).charges(records, now=NOW)
    assert made.costs.all.total == pytest.approx(sum(charge.dollars or 0 for charge in told))
    assert made.costs.all.unpriced == {charge.id for charge in told if charge.dollars is None}
    for found in (made.costs.by_experiment, made.costs.by_member, shown(made.costs.by_experiment)):
        assert sum(series.total for series in found) == pytest.approx(made.costs.all.total)
        assert set().union(*(series.unpriced for series in found)) == made.costs.all.unpriced
    drawn = columns(made.costs.all, made.costs.periods, scale(max(made.costs.all.dollars)), 100)
    assert len(drawn) == sum(dollars > 0 for dollars in made.costs.all.dollars)
    assert all(c.y >= 0 and c.y + c.height <= 100.0001 for c in drawn)


def test_a_wall_of_instances_is_shown_as_how_many_there_were():
    made = GeneratedRegistry(now=NOW)
    for number in range(100):
        made.run(f"sweep-{number}", NOW - timedelta(hours=10), 5, base="sweep")
    (row,) = page_of(made).time_line.rows
    assert (row.name, row.peak, len(row.experiments)) == ("sweep", 100, 100)
    assert row.peak > MOST_LANES
    assert "100 at once" in row.instances[0].tooltip


def test_variations_and_what_they_vary_share_a_row_and_a_line_of_costs():
    made = GeneratedRegistry(now=NOW)
    made.run("speech", NOW - timedelta(hours=10), 5)
    made.run("speech-lr1", NOW - timedelta(hours=3), 2, base="speech")
    found = page_of(made)
    assert [row.name for row in found.time_line.rows] == ["speech"]
    assert [series.name for series in found.costs.by_experiment] == ["speech"]


def test_a_stopped_instance_is_thin_while_it_is_stopped_and_its_hours_do_not_count():
    made = GeneratedRegistry(now=NOW)
    identity = made.run("demo", NOW - timedelta(hours=10), 0, ended=False)
    made.stop(identity, "us-east-1", "demo", NOW - timedelta(hours=8))
    made.stop(identity, "us-east-1", "demo", NOW - timedelta(hours=2), operation="StartInstances")
    (row,) = page_of(made).time_line.rows
    assert [rect.look for rect in row.instances] == ["on-demand", "stopped", "on-demand"]
    assert [round(rect.width) for rect in row.instances] == [20, 60, 20]
    assert hours(row.lives[0], NOW) == pytest.approx(4, abs=0.01)
    made.stop(identity, "us-east-1", "demo", NOW - timedelta(hours=1))
    (row,) = page_of(made).time_line.rows
    assert row.lives[0].stopped
    assert row.live == 1


@pytest.mark.parametrize("seconds", [0, 1, 90, 5000])
def test_an_instance_that_was_just_made_is_a_whole_bar(seconds):
    made = GeneratedRegistry(now=NOW)
    made.run("old", NOW - timedelta(days=60), 5)
    made.run("new", NOW - timedelta(seconds=seconds), 0, ended=False)
    new, _ = page_of(made).time_line.rows
    (bar,) = new.instances
    assert (new.name, bar.look) == ("new", "on-demand")
    assert bar.x + bar.width == pytest.approx(100)


def test_an_instance_that_aws_took_away_tells_so_and_one_that_died_for_lack_of_capacity_is_a_refusal():
    made = GeneratedRegistry(now=NOW)
    for code in ("Server.SpotInstanceTermination", "Server.InsufficientInstanceCapacity"):
        identity = made.run(code.lower().replace(".", "-"), NOW - timedelta(hours=9), 0, ended=False)
        dead = {"InstanceId": identity, "State": {"Name": "terminated"}, "StateReason": {"Code": code}}
        made.described(NOW - timedelta(hours=8), dead, "us-east-1", {"experiment": "x"})
    lives = facts_of(made).past
    assert {life.fate for life in lives.lives} == {
        "Server.SpotInstanceTermination", "Server.InsufficientInstanceCapacity",
    }  # fmt: skip
    assert [(r.error.code, r.error.category.value) for r in lives.errors] == [
        ("Server.InsufficientInstanceCapacity", "insufficient capacity")
    ]


class Outline(HTMLParser):
    """The tags of a page with the names of their attributes, and its text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.text = [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, *(name for name, _ in attrs)))

    def handle_data(self, data):
        self.text += data


def page_saying(text):
    """A page with a text wherever a text of somebody else's can be."""
    made = GeneratedRegistry(now=NOW)
    made.run(f"e{text}", NOW - timedelta(days=3), 500, refusals=1, message=f"m{text}", by=f"b{text}@{text}")
    named = {"lab:dataset": f"d{text}", "lab:version": f"v{text}"}
    snapshot = DataSnapshot.of(
        {"SnapshotId": f"s{text}", "State": "error", "VolumeSize": 1, "StartTime": NOW.isoformat(), "Encrypted": True,
         "StateMessage": f"f{text}", "Tags": [{"Key": k, "Value": v} for k, v in named.items()]}, f"r{text}",
    )  # fmt: skip
    thing = Resource(
        resource_type=f"k{text}", id=f"i{text}", region=f"r{text}", experiment=f"e{text}", state=f"s{text}"
    )
    return report_html(
        page_of(
            made, lab=f"l{text}", registry=f"g{text}", banner=f"n{text}", unavailable={"live resources": f"w{text}"},
            datasets=[PricedSnapshot(snapshot, None, "")], live=[thing],
            survey=Survey(unseen={f"r{text}": f"u{text}"}),
            findings=[Finding(Verdict.ORPHAN, thing, None, f"y{text}", by=f"b{text}")],
        )
    )  # fmt: skip


@cache
def harmless():
    """The tags of a page whose texts are harmless."""
    return Outline(page_saying("x")).tags


@settings(max_examples=examples(12))
@given(st.text(st.characters(exclude_characters="\x00"), max_size=40) | st.just(HOSTILE))
def test_whatever_a_text_is_it_stays_a_text(text):
    tags = Outline(page_saying(text)).tags
    assert [tag for tag in tags if tag != ("wbr",)] == harmless()  # a line may be broken after each dot of AWS's text


def test_hostile_text_is_there_to_be_read():
    said = "</script><script>alert(1)</script>"
    outline = Outline(page_saying(said))
    for letter in "elmdrskvfu":
        assert f"{letter}{said}" in outline.text, letter
    assert ("script",) not in outline.tags


def test_what_is_secret_in_a_message_is_left_out_and_a_long_one_is_cut():
    sealed = "You are not authorized. Encoded authorization failure message: " + "q8Zx" * 200
    assert plain(sealed) == "You are not authorized. Encoded authorization failure message: (left out)"
    assert plain("no AKIAIOSFODNN7EXAMPLE\n here") == "no (left out) here"
    assert len(plain("x" * 5000)) < 300


def test_nothing_but_what_is_meant_for_it_gets_from_the_registry_onto_the_page():
    made = GeneratedRegistry(now=NOW)
    made.run("demo", NOW - timedelta(days=3), 5)
    secrets = dict.fromkeys(("KeyMaterial", "UserData", "Password", "Token", "PresignedUrl"), "SECRET")
    made.add(NOW, Event.RESPONSE, operation="CreateKeyPair", region="us-east-1", request=secrets,
             response={**secrets, "KeyPairId": "key-1", "KeyName": "mine"})  # fmt: skip
    made.add(
        NOW, Event.ANNOTATION, experiment="demo", annotation={"run": {"from": "demo", "command": "export KEY=SECRET"}}
    )
    assert "SECRET" not in report_html(page_of(made))


def test_data_sets_are_remembered_as_aws_last_described_them():
    made = GeneratedRegistry(now=NOW)
    for number, state in enumerate(("pending", "completed")):
        tags = [{"Key": "lab:dataset", "Value": "speech"}, {"Key": "lab:version", "Value": "1"}]
        snapshots = [
            {"SnapshotId": f"snap-{name}", "State": state, "VolumeSize": 4, "StartTime": "2026-11-01T00:00:00Z",
             "Encrypted": True, "Tags": tags} for name in ("kept", "deleted")
        ]  # fmt: skip
        made.add(NOW + timedelta(hours=number), Event.RESPONSE, operation="DescribeSnapshots", region="eu-west-1",
                 response={"Snapshots": [*snapshots, {"SnapshotId": "snap-other", "State": "completed"}]})  # fmt: skip
    made.call(NOW + timedelta(hours=3), "DeleteSnapshot", "eu-west-1", {"SnapshotId": "snap-deleted"}, {}, response={})
    (found,) = datasets_on_record(History(made.records))
    found = found.snapshot
    assert (found.id, found.state, found.region) == ("snap-kept", "completed", "eu-west-1")


def test_an_empty_registry_makes_a_page_that_says_so():
    text = Outline(report_html(page_of(GeneratedRegistry(now=NOW)))).text
    for said in ("Nothing is running.", "No instance has been launched yet.", "No costs are on record."):
        assert said in text
