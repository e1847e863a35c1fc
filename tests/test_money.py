"""Each rule by which money is reckoned, at its bounds: unknown is never zero, and nothing is counted twice."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest

from ec2lab.aws.account import Account
from ec2lab.config.models import Experiment, Lab
from ec2lab.costs.budget import Budget, Forecast, forecast, promised
from ec2lab.costs.charges import EPOCH, Charge, CostPeriod
from ec2lab.costs.current_costs import NOT_KNOWN, costs_of, hourly_cost_text, shared_out, total_of
from ec2lab.costs.money import in_dollars, sum_known, times, total
from ec2lab.costs.price_book import HOURS, PriceBook
from ec2lab.costs.pricer import Life, Pricer
from ec2lab.costs.pricing import Pricing, charges_by_account
from ec2lab.costs.rates import HourlyRate, Monthly, SpotRate, month_of
from ec2lab.costs.summary import NOBODY, THE_LAB, CostSummary, grouped, moment, parse_group_by, spent
from ec2lab.errors import PluginFailed, UserError
from ec2lab.registry.history import History
from ec2lab.registry.record import Event, Record
from ec2lab.resource import UNKNOWN_ID, Resource, ResourceType
from ec2lab.units import amount
from tests.recorded import Prices, answer, note
from tests.small_aws import small_lab

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NOON, NOW = at("2026-11-10T12:00"), at("2026-11-20")


def test_unknown_stays_unknown_and_is_counted():
    assert (times(None, 3), times(2.0, 3), times(0.0, 3)) == (None, 6.0, 0.0)
    assert (total([1.0, 2.0]), total([1.0, None]), total([])) == (3.0, None, 0)
    assert (sum_known([1.0, None, 2.0, None]), sum_known([])) == ((3.0, 2), (0, 0))
    assert (in_dollars(None), in_dollars(0.0), in_dollars(1234.567)) == ("unknown", "0.00", "1,234.57")


def test_an_hourly_price_is_paid_by_the_second():
    assert HourlyRate(3600.0).dollars(NOON, NOON + timedelta(seconds=1)) == pytest.approx(1.0)
    assert (HourlyRate(2.0).hourly(NOON), HourlyRate(None).dollars(NOON, NOW)) == (2.0, None)


def test_a_monthly_price_is_of_the_month_that_it_falls_into():
    price = Monthly(720.0)
    assert price.hourly(NOON) == pytest.approx(1.0), "November has 720 hours"
    assert price.hourly(at("2026-12-31T23:59")) == pytest.approx(720 / 744)
    assert price.dollars(at("2026-11-30T23:00"), at("2026-12-01T01:00")) == pytest.approx(1.0 + 720 / 744)
    assert price.dollars(NOON, NOON) == 0
    assert (Monthly(None).dollars(NOON, NOW), Monthly(None).hourly(NOON)) == (None, None)


@pytest.mark.parametrize(
    ("moment", "begins", "ends"),
    [
        ("2026-11-01T00:00", "2026-11-01", "2026-12-01"),
        ("2026-12-31T23:59:59.999999", "2026-12-01", "2027-01-01"),
        ("2028-02-29T12:30:15", "2028-02-01", "2028-03-01"),
        ("2026-01-31T00:00", "2026-01-01", "2026-02-01"),
    ],
)
def test_a_month_begins_at_midnight_of_its_first_day(moment, begins, ends):
    assert month_of(at(moment)) == (at(begins), at(ends))


CHANGED = SpotRate(((NOON, 1.0), (NOON + 2 * HOUR, 4.0)), NOON + 10 * HOUR)


@pytest.mark.parametrize(
    ("began", "ended", "dollars"),
    [
        (0, 1, 1.0), (0, 2, 2.0), (1, 3, 5.0), (2, 3, 4.0), (0, 10, 34.0), (3, 3, 0.0), (4, 3, 0.0), (-1, -1, 0.0),
        (-1, 1, None), (9, 11, None), (-2, -1, None),
    ],
)  # fmt: skip
def test_a_changing_price_holds_until_the_next_and_is_unknown_outside(began, ended, dollars):
    assert CHANGED.dollars(NOON + began * HOUR, NOON + ended * HOUR) == dollars


def test_the_price_of_a_moment_is_the_last_that_began():
    found = [CHANGED.hourly(NOON + hours * HOUR) for hours in (-1, 0, 1, 2, 99)]
    assert found == [None, 1.0, 1.0, 4.0, 4.0]
    assert SpotRate((), NOW).dollars(NOON, NOON + HOUR) is None
    assert SpotRate((), NOW).hourly(NOON) is None


def span(began=NOON, ended=None, **more):
    given = {"rate": HourlyRate(1.0), "resource_type": "instance", "id": "i-1", "region": "r", "experiment": None,
        "by": "",
             "what": "", **more}  # fmt: skip
    return CostPeriod(began=began, ended=ended, **given)


def test_what_falls_into_a_time_is_charged_and_what_does_not_is_not():
    one = span(ended=NOON + 4 * HOUR)
    assert one.charge(NOON + HOUR, NOON + 3 * HOUR, NOW).dollars == pytest.approx(2.0)
    whole = one.charge(EPOCH, NOW, NOW)
    assert (whole.began, whole.ended, whole.dollars, whole.hourly) == (NOON, NOON + 4 * HOUR, pytest.approx(4.0), 0.0)
    assert one.charge(NOON + 4 * HOUR, NOW, NOW) is None
    assert one.charge(EPOCH, NOON, NOW) is None
    assert one.charge(NOON - HOUR, NOON + HOUR, NOW).dollars == pytest.approx(1.0)


def test_a_minute_is_paid_at_the_least_but_not_in_the_future_of_its_time():
    short = span(ended=NOON + timedelta(seconds=6))
    found = short.charge(EPOCH, NOW, NOW)
    assert found.dollars == pytest.approx(1 / 60)
    assert found.ended == NOON + timedelta(seconds=6), "it ended when it ended"
    assert span(ended=NOON + HOUR, least=2 * HOUR).charge(EPOCH, NOW, NOW).dollars == pytest.approx(2.0)
    assert short.charge(NOON + timedelta(seconds=30), NOW, NOW).dollars == pytest.approx(0.5 / 60)


def test_what_lives_costs_until_now_and_on():
    lives = span().charge(EPOCH, NOON + 3 * HOUR, NOON + 3 * HOUR)
    assert (lives.ended, lives.hourly, lives.dollars) == (None, 1.0, pytest.approx(3.0))
    past = span().charge(EPOCH, NOON + 3 * HOUR, NOON + 4 * HOUR)
    assert (past.ended, past.hourly, past.dollars) == (NOON + 3 * HOUR, 0.0, pytest.approx(3.0))
    later = span().charge(EPOCH, NOON + 9 * HOUR, NOON + 4 * HOUR)
    assert (later.ended, later.dollars) == (None, pytest.approx(4.0))


def test_what_is_paid_once_is_paid_where_it_begins():
    one = span(ended=NOON + 2 * HOUR, once=5.0)
    assert one.charge(NOON, NOON + HOUR, NOW).dollars == pytest.approx(6.0)
    assert one.charge(NOON + HOUR, NOW, NOW).dollars == pytest.approx(1.0)
    assert one.charge(EPOCH, NOON, NOW) is None, "it begins with the next time"
    assert span(ended=NOON, least=timedelta(0), once=5.0).charge(NOON, NOW, NOW).dollars == 5.0
    nothing = span(ended=NOON, least=timedelta(0), once=5.0, rate=HourlyRate(None))
    assert nothing.charge(NOON, NOW, NOW).dollars == 5.0, "no time costs nothing, whatever its price"
    assert span(ended=NOON + HOUR, once=None).charge(EPOCH, NOW, NOW).dollars is None
    assert span(began=NOON, ended=NOON + HOUR, rate=HourlyRate(None)).charge(EPOCH, NOW, NOW).dollars is None


class Disk(ResourceType):
    """A plugin's resource type."""

    name = tag_type = "disk"
    created_by, deleted_by, deleted_with = ("CreateDisk",), "DeleteDisk", "DiskId"
    not_found_codes = ()
    find = delete = None

    def created_in(self, response):
        return [response]

    def id_in(self, found):
        return found["DiskId"]

    def since_in(self, found):
        return found.get("Since", "")


class DiskPricer(Pricer):
    """730 dollars a month, or what is said of it."""

    name = "disk"

    def monthly(self, found, region, book):
        return found.get("Monthly", HOURS)


DISK, DISK_PRICER = Disk(), DiskPricer()


def pricing_by(*pricers, resource_types=(DISK,)):
    return Pricing(
        {resource_type.name: resource_type for resource_type in resource_types},
        {one.name: one for one in pricers},
        PriceBook(Prices({})),
    )


TAGS = {"TagSpecifications": [{"ResourceType": "disk", "Tags": [{"Key": "lab:experiment", "Value": "foo"}]}]}


def made(time="2026-11-10T12:00:00Z", identity="d-1", **found):
    return answer(time, "CreateDisk", TAGS, {"DiskId": identity, **found})


def deleted(time, identity="d-1"):
    return answer(time, "DeleteDisk", {"DiskId": identity})


def metered(*records, by=(DISK_PRICER,), now=NOW):
    return pricing_by(*by).spans(History(records), now)


def test_a_thing_costs_from_its_making_to_its_end():
    (one,) = metered(made(), deleted("2026-11-10T15:00:00Z"))
    assert (one.resource_type, one.id, one.region, one.experiment, one.by) == (
        "disk",
        "d-1",
        "us-east-1",
        "foo",
        "alice@desk",
    )
    assert (one.began, one.ended, one.rate) == (NOON, NOON + 3 * HOUR, HourlyRate(pytest.approx(1.0)))
    (one,) = metered(made(Since="2026-11-10T11:00:00Z"), deleted("2026-11-10T15:00:00Z", "d-2"))
    assert (one.began, one.ended) == (NOON - HOUR, None), "by AWS's clock where that is told"


def test_only_a_response_to_its_making_begins_one():
    intent = Record(event=Event.INTENT, operation="CreateDisk", request={}, response={"DiskId": "d-1"})
    error = Record(event=Event.ERROR, operation="CreateDisk", request={}, response={"DiskId": "d-1"})
    other = answer("2026-11-10T12:00:00Z", "DescribeDisks", {}, {"DiskId": "d-1"})
    assert metered(intent, error, other) == []
    assert metered(Record(event=Event.RESPONSE, operation="CreateDisk", request={})) == []


def found(resource_type="disk", **more):
    told = {"resource_type": resource_type, "id": "d-1", "region": "us-east-1", "since": "2026-11-10T12:00:00Z", **more}
    return note("2026-11-11T12:00:00Z", experiment="bar", discovered=[told])


def test_what_was_found_costs_what_nobody_knows_until_it_is_noted_as_gone():
    (one,) = metered(found(), note("2026-11-12T12:00:00Z", deleted=["d-1", "d-2"]))
    assert (one.experiment, one.by, one.began, one.ended) == ("bar", "alice@desk", NOON, NOON + 2 * DAY)
    assert one.rate == HourlyRate(None)
    assert metered(found(experiment=None))[0].experiment is None
    assert metered(found(since=""))[0].began == NOON + DAY
    assert metered(found("instance")) == []


def test_one_that_is_told_of_twice_is_one_and_one_that_ended_can_begin_again():
    assert len(metered(made(), found())) == 1
    assert metered(made(), found())[0].rate == HourlyRate(pytest.approx(1.0)), "what was described is not forgotten"
    (one,) = metered(made(), deleted("2026-11-10T15:00:00Z"), made("2026-11-10T18:00:00Z"))
    assert (one.began, one.ended) == (NOON + 6 * HOUR, None)


def test_the_first_end_that_is_heard_of_is_the_true_one_and_is_not_before_the_beginning():
    (one,) = metered(made(), deleted("2026-11-10T15:00:00Z"), note("2026-11-12T12:00:00Z", deleted=["d-1"]))
    assert one.ended == NOON + 3 * HOUR
    one = Life("d-1", "r", None, "", NOON, None)
    one.end(NOON - HOUR)
    assert one.ended == NOON


def test_what_costs_nothing_is_no_charge_and_what_is_unknown_is():
    assert metered(made(Monthly=0.0)) == []
    assert [one.id for one in metered(made(Monthly=0.0), made(identity="d-2"))] == ["d-2"]
    assert metered(made(Monthly=None))[0].rate == HourlyRate(None)
    assert not metered(made())[0].vague
    assert not charge().vague
    assert metered(made(), by=()) == []
    assert metered(found(), by=()) == [], "not even of what is unknown"


def test_charges_are_of_the_time_that_is_asked_for_oldest_first_and_never_of_the_future():
    records = [made("2026-11-10T13:00:00Z", "d-2"), made(), deleted("2026-11-10T15:00:00Z")]

    def of(**asked):
        charged = pricing_by(DiskPricer()).charges(records, **asked)
        return [(charge.id, round(charge.dollars, 6)) for charge in charged]

    assert of(now=NOON + 5 * HOUR) == [("d-1", 3.0), ("d-2", 4.0)]
    assert of(since=NOON + 4 * HOUR, now=NOON + 5 * HOUR) == [("d-2", 1.0)]
    assert of(until=NOON + 2 * HOUR, now=NOON + 5 * HOUR) == [("d-1", 2.0), ("d-2", 1.0)]
    assert of(until=NOON + 9 * HOUR, now=NOON + 5 * HOUR) == [("d-1", 3.0), ("d-2", 4.0)]


def charge(dollars=1.0, **more):
    given = {"resource_type": "instance", "id": "i-1", "region": "us-east-1", "experiment": "foo", "by": "a@b",
        "what": "",
             "market": "", "began": NOON, "ended": NOW, **more}  # fmt: skip
    return Charge(dollars=dollars, **given)


def test_sums_count_what_they_leave_out_and_each_thing_once():
    some = [
        charge(1.0),
        charge(2.0),
        charge(None, id="i-2", hourly=None),
        charge(4.0, resource_type="volume", hourly=0.5),
    ]
    found = spent("all", some)
    assert (found.dollars, found.unknown, found.hourly, found.hourly_unknown, found.things) == (7.0, 1, 0.5, 1, 3)
    both = total_of([found, spent("", [charge(0.25)])])
    assert (both.dollars, both.unknown, both.hourly, both.hourly_unknown, both.things) == (7.25, 1, 0.5, 1, 4)


def test_groups_come_dearest_first_then_those_that_leave_most_out_then_by_name():
    some = [charge(1.0, experiment="b"), charge(2.0, experiment=None), charge(1.0, experiment="a"),
            charge(1.0, experiment="c"), charge(None, experiment="c")]  # fmt: skip
    assert [one.name for one in grouped(some, "experiment")] == [THE_LAB, "c", "a", "b"]
    assert [one.name for one in grouped([charge(by=""), charge(by="x@y")], "member")] == [NOBODY, "x@y"]
    assert [one.name for one in grouped([charge(), charge(region="x")], "region")] == ["us-east-1", "x"]
    assert [one.name for one in grouped([charge(resource_type="z"), charge(3.0)], "resource-type")] == ["instance", "z"]


def test_what_is_no_group_and_no_time_is_named():
    assert parse_group_by("member") == "member"
    with pytest.raises(UserError, match="GROUP_BY: 'membr' is none of member, experiment, region, resource-type"):
        parse_group_by("membr")
    assert moment("", "SINCE") is None
    assert moment("2026-11-10T12:00", "SINCE") == moment("2026-11-10T13:00+01:00", "SINCE") == NOON
    with pytest.raises(UserError, match="SINCE: 'soon' is neither a day"):
        moment("soon", "SINCE")


def test_a_sum_for_people_says_how_many_it_leaves_out():
    assert [amount(*one) for one in ((0, 0), (0, 2), (1234.5, 0), (1.0, 2))] == [
        "0.00", "unknown", "1,234.50", "1.00 + 2 unknown",
    ]  # fmt: skip


def test_what_came_with_a_resource_is_its_own_unless_it_is_a_row_of_its_own():
    rows = [Resource(resource_type="instance", id="i-1", region="r", experiment="foo"),
            Resource(resource_type="volume", id="vol-1", region="r", experiment="foo"),
            Resource(resource_type="volume", id="vol-9", region="r", experiment="foo")]  # fmt: skip
    some = [
        charge(1.0),
        charge(2.0, id="vol-1", parent_id="i-1"),
        charge(4.0, id="vol-2", parent_id="i-1"),
        charge(8.0, id="x", parent_id=""),
    ]
    found = shared_out(some, rows)
    assert {name: one.dollars for name, one in found.items()} == {"i-1": 5.0, "vol-1": 2.0, "vol-9": 0.0}


def test_what_was_perhaps_made_is_counted_and_of_unknown_price_as_often_as_it_may_have_been():
    perhaps = Resource(resource_type="instance", id=UNKNOWN_ID, region="us-east-1", experiment="e")
    found = shared_out([], [perhaps, perhaps])
    assert found == {UNKNOWN_ID: CostSummary(UNKNOWN_ID, 0.0, 2, 0.0, 2, 2, NOT_KNOWN)}


class VaguePricer(DiskPricer):
    """One for which the records tell too little until AWS is asked."""

    def __init__(self):
        self.looked = []

    def spans(self, *given):
        for one in super().spans(*given):
            yield one if self.looked else replace(one, rate=HourlyRate(None), vague=True)

    def describe(self, resource_type, cloud, region, ids):
        self.looked.append((region, ids))


@pytest.fixture
def lab():
    with small_lab() as made:
        made.aws.time = NOON + 2 * HOUR
        made.pricer = VaguePricer()
        with patch("ec2lab.costs.pricing._pricing", lambda _: pricing_by(made.pricer)):
            yield made


class Broken(Disk):
    name = "broken"


class BrokenPricer(DiskPricer):
    """A plugin's, which fails."""

    name = "broken"

    def monthly(self, *_):
        raise PluginFailed("plugins/broken.py:7: BrokenPricer.monthly: KeyError")


def test_a_resource_type_whose_price_fails_is_named_and_hides_no_other(capsys):
    found = pricing_by(BrokenPricer(), DiskPricer(), resource_types=(Broken(), Disk())).charges(
        [made()], now=NOON + HOUR
    )
    assert [one.resource_type for one in found] == ["disk"]
    assert "what each broken costs is unknown: plugins/broken.py:7: BrokenPricer.monthly" in capsys.readouterr().err


ROWS = [Resource(resource_type="disk", id="d-1", region="us-east-1", experiment="foo")]


def test_what_lives_and_is_not_wholly_on_record_is_asked_for_once(lab):
    lab.registry.append(made())
    lab.registry.append(made(identity="d-0"))
    lab.registry.append(made(identity="d-2"))
    lab.registry.append(deleted("2026-11-10T13:00:00Z", "d-2"))
    found = costs_of(lab.session, ROWS).spent
    assert (found["d-1"].dollars, found["d-1"].hourly, found["d-1"].unknown) == (pytest.approx(2), pytest.approx(1), 0)
    assert lab.pricer.looked == [("us-east-1", ["d-0", "d-1"])]
    costs_of(lab.session, ROWS)
    assert len(lab.pricer.looked) == 1


def test_what_an_experiment_still_costs_is_an_hours_price_of_its_own(lab):
    lab.pricer.looked.append("before")
    lab.registry.append(made())
    for number in (2, 3):
        lab.registry.append(replace(made(identity=f"d-{number}"), request={}))
    assert hourly_cost_text(lab.session, "foo") == "1.00", "and two that are no experiment's cost as much each"
    assert costs_of(lab.session, ROWS).spent["d-1"].hourly == pytest.approx(1)
    assert lab.pricer.looked == ["before"]


def test_each_account_in_which_something_cost_is_told_by_itself(lab):
    first, second = Account("local", "1"), Account("local", "2")
    lab.pricer.looked.append("before")
    for account, record in ((first, made()), (second, note("2026-11-10T12:00:00Z", deleted=[]))):
        lab.registry.append(replace(record, partition=account.partition, account=account.id))
    found = charges_by_account(lab.session)
    assert {account: [one.id for one in some] for account, some in found.items()} == {first: ["d-1"]}
    assert found[first][0].dollars == pytest.approx(2.0)


PRICED = PriceBook(Prices({"instance us-east-1 g5.xlarge": 1.0, "instance us-east-1 g5.2xlarge": 2.0,
                           "size us-east-1 gp3": 0.73, "size us-east-1 io2": 0.73, "address us-east-1": 0.005,
                           "spot g5.xlarge": 0.4}))  # fmt: skip
LAB = Lab(regions=["us-east-1"], root_volume={"size_gib": 1000})
DISKS = 1.005
"""Dollars an hour of the root volume, which costs 730 a month, and the address."""


def ahead(count=1, lab=LAB, **written):
    return forecast(PRICED, lab, Experiment(**{"instance_types": ["g5.xlarge"], "ttl": "10h", **written}), count)


@pytest.mark.parametrize(
    ("written", "hourly", "unknown"),
    [
        ({}, 1.0 + DISKS, 0),
        ({"instance_types": ["g5.2xlarge", "g5.xlarge"]}, 2.0 + DISKS, 0),
        ({"instance_types": ["g5.xlarge", "x9.huge"]}, 1.0 + DISKS, 1),
        ({"instance_types": ["x9.huge"]}, DISKS, 1),
        ({"markets": ["spot"]}, 0.4 + DISKS, 0),
        ({"markets": ["spot", "on-demand"]}, 1.0 + DISKS, 0),
        ({"markets": ["spot"], "instance_types": ["g5.2xlarge"]}, DISKS, 1),
        ({"markets": ["reservation:cr-0123456789abcdef0"]}, DISKS, 0),
        ({"root_volume": {"size_gib": 2000}}, 2.0 + DISKS, 0),
        ({"root_volume": {"size_gib": 100}, "markets": ["spot"]}, 0.4 + 0.105, 0),
        ({"scratch": [{"size_gib": 1000, "mount": "/s"}]}, 2.0 + DISKS, 0),
        ({"data": [{"dataset": "speech", "mount": "/data"}]}, 1.0 + DISKS, 1),
        ({"regions": ["us-east-1", "eu-west-1"]}, 1.0 + DISKS, 3),
        ({"regions": ["eu-west-1", "us-east-1"]}, 1.0 + DISKS, 3),
    ],
)
def test_a_launch_is_reckoned_by_its_dearest_pool_and_what_has_no_price_is_counted(written, hourly, unknown):
    assert ahead(**written).dollars == pytest.approx(10 * hourly)
    assert ahead(**written).unknown == unknown
    assert ahead(3, **written).dollars == pytest.approx(30 * hourly)
    assert ahead(3, **written).unknown == 3 * unknown


def test_without_a_ttl_a_day_is_assumed():
    assert (ahead().hours, ahead().is_assumed) == (10.0, False)
    assert (ahead(ttl=None).hours, ahead(ttl=None).is_assumed) == (24.0, True)
    assert ahead(ttl=None).dollars == pytest.approx(24 * (1.0 + DISKS))
    assert str(Forecast(1.5, 0, 10.0, is_assumed=False)) == "up to $1.50 over its ttl of 10 h"
    assert str(Forecast(1.5, 3, 24.0, is_assumed=True, unpriced=("root volume", "/data", "/scratch"))) == (
        "up to $1.50 per day (no ttl), plus root volume, /data and /scratch (price unknown)"
    )


def test_promised_is_what_lives_until_it_ends_by_itself_or_for_a_day():
    def lives(**more):
        return charge(**{"ended": None, "hourly": 2.0, "began": NOON, **more})

    now = NOON + 10 * HOUR
    assert promised([lives(due=now + 3 * HOUR)], now) == (pytest.approx(6.0), 0)
    assert promised([lives()], now) == (pytest.approx(28.0), 0)
    assert promised([lives(due=now), lives(due=now - HOUR), lives(began=now - DAY)], now) == (0, 0)
    assert promised([lives(hourly=None, due=now)], now) == (0, 0), "what is over costs nothing, whatever its price"
    assert promised([lives(ended=NOON + HOUR, due=now + 3 * HOUR)], now) == (0, 0)
    assert promised([lives(hourly=None), lives(hourly=1.0, due=now + HOUR)], now) == (pytest.approx(1.0), 1)


def test_a_budget_says_by_how_much_it_would_be_passed_and_what_is_used():
    budget = Budget("lab.toml: budget", 10.0, "a month", 4.0, 3.0, 0)
    assert budget.over(Forecast(3.0, 0, 1.0, is_assumed=False)) == 0
    assert budget.over(Forecast(5.0, 0, 1.0, is_assumed=False)) == pytest.approx(2.0)
    assert budget.used == "$4.00 spent, $3.00 promised to live resources"
    unknown = Budget("lab.toml: budget", 10.0, "a month", 4.0, 3.0, 2)
    assert unknown.used == "$4.00 spent, plus 2 items without a price, $3.00 promised to live resources"
    assert budget.over_budget_message("foo", Forecast(5.0, 0, 1.0, is_assumed=False)) == (
        "lab.toml: budget: foo would be over budget by $2.00: limit $10.00 a month, $4.00 spent, $3.00 promised to "
        "live resources, this launch up to $5.00 over its ttl of 1 h"
    )
