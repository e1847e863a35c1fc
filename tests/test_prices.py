"""Where a price comes from: the cache, then AWS, then what is older, and at last nobody; and what a cache outlives."""

import json
import multiprocessing
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from ec2lab.costs.price_book import Priced, Unit
from ec2lab.costs.price_cache import Known, PriceCache, SpotHistory
from ec2lab.costs.price_lookup import FAILURE, LIST, PriceLookup, bundled_date, bundled_price, regions

NOW = datetime.now(UTC)
G5 = Priced(Unit.INSTANCE, "us-east-1", "g5.xlarge")
DAY = timedelta(days=1)
ZONE = "us-east-1a"


class Aws:
    """An AWS with one list price and one spot history, which counts who asks."""

    def __init__(self, price=None, changes=(), *, allowed=True, currency="USD"):
        self.price, self.changes, self.allowed, self.asked = price, changes, allowed, []
        self.currency, self.regions = currency, []

    def expect_credentials(self):
        pass

    def client(self, _, region):
        self.regions.append(region)
        return self

    def ec2(self, _):
        return self

    def _ask(self, what):
        self.asked.append(what)
        if not self.allowed:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, what)

    def get_products(self, **_):
        self._ask("list")
        terms = {"T": {"priceDimensions": {"R": {"pricePerUnit": {self.currency: str(self.price)}}}}}
        product = {"product": {"attributes": {"usagetype": "BoxUsage"}}, "terms": {"OnDemand": terms}}
        return {"PriceList": [json.dumps(product)] if self.price else []}

    def get_paginator(self, _):
        return self

    def paginate(self, InstanceTypes, StartTime, **_):  # noqa: N803
        self._ask("spot")
        before = [c for c in self.changes if c[0] < StartTime][-1:]
        shown = [*before, *(c for c in self.changes if c[0] >= StartTime)]
        return [{"SpotPriceHistory": [
            {"InstanceType": InstanceTypes[0], "AvailabilityZone": ZONE, "Timestamp": t, "SpotPrice": str(p)}
            for t, p in shown]}]  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".cache" / "prices.json"


def sources(path, aws):
    return PriceLookup(lambda: aws, PriceCache(path))


def test_a_price_that_is_fresh_on_disk_is_asked_of_nobody(path):
    first, second = Aws(1.5), Aws(2.5)
    assert sources(path, first).listed(G5) == 1.5
    assert sources(path, second).listed(G5) == 1.5
    assert (first.asked, second.asked) == (["list"], [])


def test_a_price_of_last_week_is_asked_for_again_and_does_where_aws_cannot_be_asked(path):
    PriceCache(path).store({str(G5): Known(1.5, NOW - 8 * DAY)})
    refused = Aws(allowed=False)
    of_old = sources(path, refused)
    assert of_old.listed(G5) == 1.5
    assert [origin.at.date() for origin in of_old.origins()] == [(NOW - 8 * DAY).date()]
    assert sources(path, refused).listed(G5) == 1.5
    assert refused.asked == ["list"], "who may not ask is not made to wait for it each time"
    PriceCache(path).store({FAILURE.format(LIST): Known(None, NOW - timedelta(hours=2))})
    assert sources(path, Aws(2.5)).listed(G5) == 2.5


def test_without_aws_and_cache_the_shipped_file_does_with_its_date(path):
    found = sources(path, Aws(allowed=False))
    assert found.listed(G5) == 1.006
    assert [(o.at, "comes with the lab" in o.source) for o in found.origins()] == [(bundled_date(), True)]
    assert found.listed(Priced(Unit.INSTANCE, "us-east-1", "x9.huge")) is None


def test_what_aws_does_not_list_is_not_asked_for_at_every_step(path):
    huge, aws = Priced(Unit.INSTANCE, "us-east-1", "x9.huge"), Aws()
    assert [sources(path, aws).listed(huge) for _ in range(3)] == [None, None, None]
    assert aws.asked == ["list"]


def test_each_partition_is_asked_for_its_own_price_list_and_yuan_are_no_dollars(path):
    aws, china, gov = Aws(1.5), Aws(9.5, currency="CNY"), Aws(1.9)
    sources(path, aws).listed(Priced(Unit.INSTANCE, "eu-west-1", "x9.huge"))
    found = sources(path.with_name("china.json"), china)
    assert found.listed(Priced(Unit.INSTANCE, "cn-north-1", "g5.xlarge")) is None
    assert [one.reason for one in found.unknown()] == ["AWS lists it in CNY, not in dollars"]
    there = sources(path.with_name("gov.json"), gov)
    assert there.listed(Priced(Unit.INSTANCE, "us-gov-west-1", "x9.huge")) is None
    assert [one.reason for one in there.unknown()] == ["the partition aws-us-gov has no price list of its own"]
    assert (aws.regions, china.regions, gov.regions) == (["us-east-1"], ["cn-northwest-1"], [])


def test_the_shipped_prices_are_prices():
    assert {"us-east-1", "us-west-2"} <= set(regions())
    assert bundled_price(Priced(Unit.SIZE, "us-east-1", "gp3")) == 0.08
    assert bundled_price(Priced(Unit.FAST_RESTORE, "us-east-1")) == 0.75
    assert bundled_price(Priced(Unit.INITIALIZATION, "us-east-1")) is None, "not established: unknown"
    assert bundled_date() < NOW


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"format": 1, "listed": {"a": 3}, "spot": {}}', b"\xff\x00"])
def test_a_damaged_cache_is_made_again(path, damage):
    path.parent.mkdir()
    path.write_bytes(damage)
    assert sources(path, Aws(1.5)).listed(G5) == 1.5
    assert sources(path, Aws(allowed=False)).listed(G5) == 1.5


def test_a_cache_that_cannot_be_written_costs_no_price(tmp_path):
    (tmp_path / "file").write_text("")
    assert sources(tmp_path / "file" / "prices.json", Aws(1.5)).listed(G5) == 1.5


def keep_some(path, name):
    for number in range(40):
        PriceCache(path).store({f"{name} {number}": Known(1.0, NOW)})


def test_several_processes_lose_nothing_of_each_others(path):
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=keep_some, args=(path, name)) for name in "abc"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    kept = PriceCache(path)
    assert all(kept.listed(f"{name} {number}") for name in "abc" for number in range(40))
    assert {file.name for file in path.parent.iterdir()} == {"prices.json", "prices.lock"}


CHANGES = [(NOW - 40 * DAY, 1.0), (NOW - 10 * DAY, 2.0), (NOW - 2 * DAY, 4.0)]


def spot(found, began, ended):
    return found.spot("us-east-1", ZONE, "g5.xlarge", NOW - began, NOW - ended)


def test_a_spot_instance_costs_what_the_market_asked_hour_by_hour(path):
    aws = Aws(changes=CHANGES)
    rate = spot(sources(path, aws), 12 * DAY, 1 * DAY)
    assert rate.dollars(NOW - 12 * DAY, NOW - 1 * DAY) == pytest.approx(24 * (2 * 1.0 + 8 * 2.0 + 1 * 4.0))
    again = spot(sources(path, aws), 11 * DAY, 0 * DAY)
    assert again.dollars(NOW - DAY, NOW) == pytest.approx(24 * 4.0)
    assert aws.asked == ["spot"], "all of it is on disk"


def test_what_is_older_than_aws_keeps_is_unknown_unless_it_was_kept_here(path):
    aws = Aws(changes=CHANGES)
    began, ended = NOW - 100 * DAY, NOW - 95 * DAY
    assert spot(sources(path, aws), 100 * DAY, 95 * DAY).dollars(began, ended) is None
    assert aws.asked == []
    old = SpotHistory(NOW - 101 * DAY, NOW - 94 * DAY, {ZONE: ((NOW - 110 * DAY, 0.5),)})
    PriceCache(path).store(spot={"us-east-1 g5.xlarge": old})
    assert spot(sources(path, aws), 100 * DAY, 95 * DAY).dollars(began, ended) == pytest.approx(5 * 24 * 0.5)


def test_the_lowest_present_spot_price_is_asked_for_once_an_hour(path):
    aws = Aws(changes=CHANGES)
    assert sources(path, aws).spot_now("us-east-1", ["g5.xlarge"]) == {"g5.xlarge": 4.0}
    assert sources(path, aws).spot_now("us-east-1", ["g5.xlarge"]) == {"g5.xlarge": 4.0}
    assert aws.asked == ["spot"]
