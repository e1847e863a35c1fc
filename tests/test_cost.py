"""What the lab cost: a month computed by hand, ends that are learned late, sums that agree however they are cut."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ec2lab.costs.charges import EPOCH, CostPeriod
from ec2lab.costs.price_book import PriceBook
from ec2lab.costs.price_cache import Known, PriceCache, SpotHistory
from ec2lab.costs.price_lookup import FAILURE, LIST
from ec2lab.costs.rates import HourlyRate, Monthly, SpotRate, month_of
from ec2lab.costs.summary import GROUPS, grouped, spent
from ec2lab.datasets.dataset import DataSnapshot
from ec2lab.plugins import Plugins
from ec2lab.registry.record import Event
from tests.lab_directory import REPOSITORY, LabDirectory
from tests.recorded import Prices, acted, answer, described, disk, launched, note, priced

LISTED = {
    "instance us-east-1 g5.xlarge": 1.006,
    "size us-east-1 gp3": 0.08,
    "iops us-east-1 gp3": 0.005,
    "throughput us-east-1 gp3": 40.96,
    "snapshot us-east-1": 0.05,
    "address us-east-1": 0.005,
    "idle-address us-east-1": 0.005,
    "fast-restore us-east-1": 0.75,
}
SPOT = [("2026-10-30T00:00:00Z", 8.0), ("2026-10-31T22:00:00Z", 9.0), ("2026-11-01T02:00:00Z", 7.0)]
GIB = 1 << 30


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def a_month():
    """Mixed things of October 2026, which has 31 days, and of the first of November, which has 30."""
    restore = {"SnapshotId": "snap-1", "AvailabilityZone": "us-east-1a", "State": "enabled"}
    off, kept = restore | {"State": "disabling"}, [{"Key": "lab:retained", "Value": "x"}]
    data = disk("/dev/sdf", 500, keep=True, Iops=6000, Throughput=250)
    disks = [("/dev/sda1", "vol-root", True), ("/dev/sdf", "vol-data", False)]
    return [
        launched("2026-10-05T00:00:00Z", "i-a", mappings=[disk("/dev/sda1", 100), data]),
        described("2026-10-05T00:01:00Z", "i-a", address="203.0.113.7", volumes=disks),
        acted("2026-10-06T00:00:00Z", "StopInstances", "i-a"),
        acted("2026-10-08T12:00:00Z", "StartInstances", "i-a"),
        answer("2026-10-08T23:59:00Z", "CreateTags", {"Resources": ["vol-data"], "Tags": kept}),
        acted("2026-10-09T00:00:00Z", "TerminateInstances", "i-a"),
        answer("2026-10-10T00:00:00Z", "EnableFastSnapshotRestores", {}, {"Successful": [restore]}),
        answer("2026-10-10T00:20:00Z", "DisableFastSnapshotRestores", {}, {"Successful": [off]}),
        answer("2026-10-21T00:00:00Z", "CreateSnapshot", {}, {"SnapshotId": "snap-2", "VolumeSize": 200}),
        launched("2026-10-22T00:00:00Z", "i-c", by="carol@lap"),
        acted("2026-10-22T00:00:20Z", "TerminateInstances", "i-c", by="carol@lap"),
        answer("2026-10-30T00:00:00Z", "AllocateAddress", {}, {"AllocationId": "eipalloc-1"}),
        launched("2026-10-31T20:00:00Z", "i-b", "p4d.24xlarge", market="spot", by="bob@desk", experiment="vision",
                 mappings=[disk("/dev/sda1", 50)]),
        acted("2026-11-01T06:00:00Z", "TerminateInstances", "i-b", by="bob@desk"),
    ]  # fmt: skip


OCTOBER = (
    36 * 1.006  # i-a ran for 24 hours and for 12
    + 36 * 0.005  # its address
    + 100 * 0.08 * 4 / 31  # its root volume, stopped too: 4 days of a month of 31
    + (500 * 0.08 + 3000 * 0.005 + 125 / 1024 * 40.96) * 27 / 31  # its data, kept: 27 days
    + 1.0 * 0.75  # fast restore for 20 minutes: an hour is the least
    + 200 * 0.05 * 11 / 31  # the snapshot
    + 60 / 3600 * 1.006  # i-c lived for 20 seconds: 60 are the least
    + 48 * 0.005  # the elastic address
    + 2 * 8.00 + 2 * 9.00  # i-b until midnight, at two spot prices
    + 50 * 0.08 * (4 / 24) / 31  # its root volume
)  # fmt: skip
FIRST_OF_NOVEMBER = (
    (500 * 0.08 + 3000 * 0.005 + 125 / 1024 * 40.96) * 1 / 30  # a month of 30 days: a day costs more
    + 200 * 0.05 * 1 / 30
    + 24 * 0.005
    + 2 * 9.00 + 4 * 7.00
    + 50 * 0.08 * (6 / 24) / 30
)  # fmt: skip


def book(**more):
    spot = {("us-east-1a", "p4d.24xlarge"): [(datetime.fromisoformat(since), price) for since, price in SPOT]}
    return PriceBook(Prices({**LISTED, **more}, spot))


def charged(records, since=None, until=None, now="2026-11-20", prices=None):
    given_until = at(until) if until else None
    return priced(prices or book()).charges(records, at(since) if since else None, given_until, at(now))


def dollars(found):
    return spent("", found).dollars


@pytest.fixture
def lab(tmp_path):
    """A lab whose prices are all on disk, so that no cloud is asked, or started."""
    made = LabDirectory(tmp_path)
    made.write("lab.toml", (REPOSITORY / "lab.toml").read_text())
    now = datetime.now(UTC)
    history = SpotHistory(at("2026-10-30"), at("2026-11-02"), {"us-east-1a": tuple(
        (datetime.fromisoformat(since), price) for since, price in SPOT)})  # fmt: skip
    (tmp_path / ".cache").mkdir()
    PriceCache(tmp_path / ".cache/prices-local.json").store(
        {key: Known(price, now) for key, price in LISTED.items()}, {"us-east-1 p4d.24xlarge": history}
    )
    made.write("registry.json", json.dumps([record.as_json() for record in a_month()])).chmod(0o600)
    return made


def test_a_month_computed_by_hand_and_by_make_cost_agree_to_the_cent(lab):
    assert f"{OCTOBER:.2f}" == "128.26"
    assert f"{FIRST_OF_NOVEMBER:.2f}" == "48.49"
    (total, *_) = lab.run("cost", SINCE="2026-10-01", UNTIL="2026-11-01", JSON="1").events
    assert (f"{total['dollars']:.2f}", total["unknown_prices"]) == ("128.26", 0)
    (total, *_) = lab.run("cost", SINCE="2026-11-01", UNTIL="2026-11-02", JSON="1").events
    assert f"{total['dollars']:.2f}" == "48.49"
    assert not (lab.path / ".local-cloud").exists(), "every price was on disk"


def test_it_is_summed_by_member_experiment_region_and_kind(lab):
    october = {"SINCE": "2026-10-01", "UNTIL": "2026-11-01"}
    events = lab.run("cost", GROUP_BY="member", JSON="1", **october).events
    by = {e["name"]: e["dollars"] for e in events if e["event"] == "cost-group"}
    assert by == pytest.approx({"alice@desk": 94.22471, "bob@desk": 34.021505, "carol@lap": 0.016767}, abs=1e-5)
    ended = lab.run("cost", GROUP_BY="resource-type", **october)
    assert ended.out.splitlines()[0].startswith("128.26 dollars since 2026-10-01 until 2026-11-01")
    assert {"instance", "volume", "snapshot", "address"} <= set(ended.out.split())


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        (
            {"GROUP_BY": "regio"},
            "'regio' is none of member, experiment, region, resource-type (did you mean \"region\"?)",
        ),
        ({"SINCE": "October"}, "SINCE: 'October' is neither a day (try 2026-10-01)"),
        ({"SINCE": "2026-10-02", "UNTIL": "2026-10-01"}, "UNTIL: 2026-10-01 is not after SINCE, which is 2026-10-02"),
    ],
)  # fmt: skip
def test_what_is_no_time_and_no_group_is_said_in_one_line(lab, variables, line):
    ended = lab.run("cost", **variables)
    assert ended.code == 1
    assert line in ended.error


def test_unknown_is_never_zero_and_the_sum_says_how_many_it_leaves_out(lab):
    more = launched("2026-10-02T00:00:00Z", "i-d", "x9.huge", mappings=[disk("/dev/sda1")])
    lab.write("registry.json", json.dumps([record.as_json() for record in [*a_month(), more]])).chmod(0o600)
    PriceCache(lab.path / ".cache/prices-local.json").store(
        {"instance us-east-1 x9.huge": Known(None, datetime.now(UTC))}
    )
    ended = lab.run("cost", SINCE="2026-10-01", UNTIL="2026-11-01")
    assert ended.out.startswith("128.26 + 2 unknown dollars"), "a type without a price, a volume without a size"
    assert "  unknown: i-d (x9.huge): no list price of x9.huge in us-east-1 is known\n" in ended.out
    assert (
        "  unknown: i-d/dev/sda1 (? GiB gp3): its size or type is not recorded; `make status` asks AWS\n" in ended.out
    )


def test_a_future_since_is_refused_as_what_lives_has_cost_nothing_since_then(lab):
    refused = lab.run("cost", SINCE="2199-01-01")
    assert (refused.code, refused.out) == (1, "")
    assert "SINCE: 2199-01-01 is in the future" in refused.error


def test_a_snapshot_has_one_price_in_every_command():
    tags = [{"Key": "lab:dataset", "Value": "speech"}, {"Key": "lab:bytes", "Value": str(100 * GIB)}]
    found = {"SnapshotId": "snap-1", "VolumeSize": 500, "Tags": tags, "StartTime": "2026-10-01T00:00:00Z",
             "State": "completed", "Encrypted": True}  # fmt: skip
    (charge,) = charged([answer("2026-10-01T00:00:00Z", "CreateSnapshot", {}, found)], until="2026-11-01")
    known = priced(book())
    assert charge.dollars == pytest.approx(100 * 0.05)
    assert known.monthly("snapshot", found, "us-east-1") == pytest.approx(charge.dollars)
    assert known.monthly("snapshot", DataSnapshot.of(found, "us-east-1").as_described, "us-east-1") == charge.dollars


def test_prices_older_than_a_week_are_told_with_their_date(lab):
    cache = PriceCache(lab.path / ".cache/prices-local.json")
    refused = Known(None, datetime.now(UTC))  # AWS is out of reach, so that what is old must do
    cache.store({"size us-east-1 gp3": Known(0.08, at("2026-09-01")), FAILURE.format(LIST): refused})
    assert "1 prices are of 2026-09-01, from AWS's price list" in lab.run("cost").out


def test_an_instance_that_died_before_it_ran_cost_nothing():
    died = [
        launched("2026-10-01T00:00:00Z", "i-a", mappings=[disk("/dev/sda1", 100)]),
        described("2026-10-01T00:05:00Z", "i-a", "terminated", code="Server.InsufficientInstanceCapacity"),
    ]
    assert charged(died) == []
    shut_down = [*died[:1], described("2026-10-01T01:00:00Z", "i-a", "terminated", code="Client.UserInitiatedShutdown")]
    assert dollars(charged(shut_down)) == pytest.approx(1.006 + 8 / 31 / 24)


def test_the_end_is_when_aws_says_it_was_not_when_somebody_looked():
    looked = described(
        "2026-10-03T00:00:00Z", "i-a", "terminated", code="Client.InstanceInitiatedShutdown",
        transition="User initiated (2026-10-01 02:00:00 GMT)",
    )  # fmt: skip
    (one,) = charged([launched("2026-10-01T00:00:00Z", "i-a"), looked])
    assert (one.ended, one.dollars) == (at("2026-10-01T02:00"), pytest.approx(2 * 1.006))


def test_an_instance_over_its_ttl_is_not_charged_on_because_nobody_looked():
    run = note("2026-10-01T00:00:00Z", experiment="speech", run={"experiment": {"ttl": "12h"}})
    began = [run, launched("2026-10-01T00:00:00Z", "i-a", mappings=[disk("/dev/sda1", 100)])]
    instance, volume = charged(began)
    assert instance.dollars == pytest.approx(12 * 1.006)
    assert (instance.hourly, volume.ended) == (0.0, at("2026-10-01T12:00"))
    gone = [*began, note("2026-10-20T00:00:00Z", deleted=["i-a"])]
    assert charged(gone)[0].dollars == pytest.approx(12 * 1.006)
    seen = [*began, described("2026-10-01T15:00:00Z", "i-a")]
    assert charged(seen)[0].dollars == pytest.approx(15 * 1.006), "it ran on, whatever its timer should have done"
    again = [*began, answer("2026-10-01T11:00:00Z", "CreateTags", {"Resources": ["i-a"], "Tags": [
        {"Key": "lab:expires-at", "Value": "2026-10-02T00:00:00Z"}]})]  # fmt: skip
    assert charged(again)[0].dollars == pytest.approx(24 * 1.006)


def test_an_instance_whose_answer_was_lost_costs_from_when_it_was_found_to_have_begun():
    lost = launched("2026-10-01T00:00:00Z", "i-a")
    intent = replace(lost, event=Event.INTENT, response=None, parent_id=None)
    found = {
        "resource_type": "instance",
        "id": "i-x",
        "region": "us-east-1",
        "since": "2026-10-01T00:00:03Z",
        "record": "i-ai-a",
    }
    told = note("2026-10-01T00:10:00Z", discovered=[found], deleted=[], resolved=[])
    end = acted("2026-10-01T10:00:03Z", "TerminateInstances", "i-x")
    (one,) = charged([intent, told, end])
    assert (one.what, one.experiment, one.dollars) == ("g5.xlarge", "speech", pytest.approx(10.06))


def test_what_a_rebuilt_registry_found_costs_by_what_it_is_described_as_and_a_group_costs_nothing():
    things = {"instance": "i-x", "volume": "vol-x", "security-group": "sg-x"}
    of = {"region": "us-east-1", "since": "2026-10-01T00:00:00Z", "record": "another registry's"}
    found = note(
        "2026-10-03T00:00:00Z",
        experiment="lost",
        discovered=[{"resource_type": k, "id": i, **of} for k, i in things.items()],
    )
    instance = described("2026-10-03T00:00:01Z", "i-x", volumes=[("/dev/sda1", "vol-x", True)])
    instance.response["Reservations"][0]["Instances"][0]["InstanceType"] = "g5.xlarge"
    volume = answer("2026-10-03T00:00:02Z", "DescribeVolumes", {"Filters": ["x"]}, {"Volumes": [
        {"VolumeId": "vol-x", "VolumeType": "gp3", "Size": 31}]})  # fmt: skip
    gone = note("2026-10-05T00:00:00Z", deleted=["i-x", "vol-x", "sg-x"])
    costs = {c.id: c.dollars for c in charged([found, instance, volume, gone])}
    assert costs == pytest.approx({"i-x": 96 * 1.006, "vol-x": 4 * 0.08})
    assert charged([found])[0].dollars is None, "what it is was never told"


def test_a_kept_volume_that_was_deleted_by_hand_ends_when_a_whole_listing_shows_it_no_more():
    def listing(time, *volumes, **request):
        return answer(time, "DescribeVolumes", request, {"Volumes": [{"VolumeId": v} for v in volumes]})

    known = a_month()
    other = [listing("2026-10-12T00:00:00Z", Filters=[{"Name": "tag-key", "Values": ["x"]}])]
    there = [listing("2026-10-13T00:00:00Z", "vol-data", Filters=[])]
    gone = [listing("2026-10-20T00:00:00Z", "vol-else", Filters=[])]
    (data,) = [c for c in charged([*known, *other, *there]) if c.id == "vol-data"]
    assert data.ended is None
    (data,) = [c for c in charged([*known, *other, *there, *gone]) if c.id == "vol-data"]
    assert data.ended == at("2026-10-20")


def test_an_initialization_rate_is_paid_once_by_what_the_snapshot_stores():
    data = disk("/dev/sdf", SnapshotId="snap-1", VolumeInitializationRate=200)
    known = {"SnapshotId": "snap-1", "VolumeSize": 500, "FullSnapshotSizeInBytes": 300 * GIB}
    records = [
        answer("2026-09-01T00:00:00Z", "DescribeSnapshots", {}, {"Snapshots": [known]}),
        launched("2026-10-01T00:00:00Z", "i-a", mappings=[data]),
        acted("2026-10-01T01:00:00Z", "TerminateInstances", "i-a"),
    ]
    prices = book(**{"initialization us-east-1": 0.01})
    found = {c.what: c.dollars for c in charged(records, prices=prices)}
    assert found["initialization at 200 MiB/s"] == pytest.approx(3.0)
    assert found["500 GiB gp3"] == pytest.approx(500 * 0.08 / 31 / 24), "a size not named is the snapshot's"
    assert spent("", charged(records)).unknown == 1, "without a price it is unknown"


def test_a_plugins_resource_type_takes_part_by_what_its_pricer_says_it_costs_a_month(tmp_path):
    (tmp_path / "plugin.py").write_text(PLUGIN)
    records = [
        answer("2026-10-01T00:00:00Z", "CreateNatGateway", {}, {"NatGateway": {"NatGatewayId": "nat-1"}}),
        answer("2026-10-01T10:00:00Z", "DeleteNatGateway", {"NatGatewayId": "nat-1"}),
    ]
    (one,) = priced(book(), Plugins(tmp_path)).charges(records, now=at("2026-11-01"))
    assert (one.resource_type, one.dollars, one.ended) == ("nat-gateway", pytest.approx(0.45), at("2026-10-01T10:00"))


PLUGIN = """
from ec2lab.costs.pricer import Pricer
from ec2lab.resource import ResourceType
from ec2lab.plugins import hookimpl


class NatGateway(ResourceType):
    name = tag_type = "nat-gateway"
    created_by, deleted_by, deleted_with = ("CreateNatGateway",), "DeleteNatGateway", "NatGatewayId"
    not_found_codes = ()
    created_in = lambda self, response: [response["NatGateway"]]
    id_in = lambda self, found: found["NatGatewayId"]
    find = delete = None


class NatGatewayPrice(Pricer):
    name = "nat-gateway"

    def monthly(self, found, region, book):
        return 0.045 * 730


@hookimpl
def lab_resource_types():
    return [NatGateway()]


@hookimpl
def lab_pricers():
    return [NatGatewayPrice()]
"""

MOMENTS = st.integers(0, 120 * 86400).map(lambda seconds: at("2026-09-01") + timedelta(seconds=seconds))
PRICES = st.floats(0.001, 100)
CHANGES = st.lists(st.tuples(MOMENTS, PRICES), min_size=1, max_size=6, unique_by=lambda change: change[0]).map(
    lambda changes: SpotRate(sorted(changes), at("2027-02-01"))
)
RATES = st.one_of(PRICES.map(HourlyRate), PRICES.map(Monthly), CHANGES)


@st.composite
def spans(draw):
    began, ended = draw(MOMENTS), draw(MOMENTS)
    lives = draw(st.booleans())
    return CostPeriod(
        resource_type=draw(st.sampled_from(["instance", "volume"])), id=draw(st.sampled_from("abc")), what="",
        region=draw(st.sampled_from(["us-east-1", "eu-west-1"])), experiment=draw(st.sampled_from([None, "x", "y"])),
        by=draw(st.sampled_from(["", "a@b"])), rate=draw(RATES), began=min(began, ended),
        ended=None if lives else max(began, ended), once=draw(st.sampled_from([0.0, 3.0])),
    )  # fmt: skip


NOW = at("2027-01-15")


def of(span, since, until):
    found = span.charge(since, until, NOW)
    return 0.0 if found is None else found.dollars


@given(spans(), MOMENTS)
def test_the_parts_on_both_sides_of_since_add_up_to_the_whole(span, cut):
    parts = [of(span, EPOCH, cut), of(span, cut, NOW)]
    whole = of(span, EPOCH, NOW)
    if whole is None:
        assert None in parts
    else:
        assert sum(parts) == pytest.approx(whole, rel=1e-9, abs=1e-9)


@given(spans())
def test_the_months_of_a_year_add_up_to_the_year(span):
    begins, parts = at("2026-09-01"), []
    while begins < NOW:
        _, ends = month_of(begins)
        parts.append(of(span, begins, min(ends, NOW)))
        begins = ends
    whole = of(span, at("2026-09-01"), NOW)
    assert whole is None or sum(parts) == pytest.approx(whole, rel=1e-9, abs=1e-9)


@given(st.lists(spans(), max_size=12))
def test_the_sum_is_the_same_by_whatever_it_is_summed(some):
    found = [charge for span in some if (charge := span.charge(EPOCH, NOW, NOW))]
    total = spent("", found)
    for by in GROUPS:
        groups = grouped(found, by)
        assert sum(group.dollars for group in groups) == pytest.approx(total.dollars)
        assert sum(group.unknown for group in groups) == total.unknown


@given(PRICES, MOMENTS, st.integers(0, 10**7))
def test_a_whole_month_costs_its_price_whatever_its_length(price, moment, seconds):
    begins, ends = month_of(moment)
    assert Monthly(price).dollars(begins, ends) == pytest.approx(price)
    assert Monthly(price).dollars(begins, begins + timedelta(seconds=seconds)) >= 0


def many_runs():
    """Records of launch after launch, with what is described and read on the way."""
    made = {"VolumeType": "gp3", "Size": 100}
    for number in range(10_000):
        begins, name = at("2026-03-01") + timedelta(hours=1, minutes=20) * number, f"run-{number % 90}"

        def after(minutes, begins=begins):
            return (begins + timedelta(minutes=minutes)).isoformat()

        identity, volume = f"i-{number:017x}", f"vol-{number:017x}"
        yield note(after(0), experiment=name, run={"experiment": {"ttl": "12h"}})
        yield launched(after(1), identity, experiment=name, mappings=[disk("/dev/sda1", 100)])
        yield described(after(2), identity, address="203.0.113.7", volumes=[("/dev/sda1", volume, True)])
        yield answer(after(50), "DescribeVolumes", {}, {"Volumes": [made | {"VolumeId": volume}]})
        yield acted(after(51), "TerminateInstances", identity)
        yield note(after(52), experiment=name, deleted=[identity], resolved=[], discovered=[])


def test_ten_thousand_records_take_well_under_five_seconds():
    records = list(islice(many_runs(), 10_000))
    began = time.process_time()
    found = charged(records, now="2026-12-01")
    assert time.process_time() - began < 2.5
    assert len(found) > 4_900
    assert spent("", found).unknown == 0
