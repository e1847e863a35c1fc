"""The order of asking, and what each refusal rules out."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ec2lab.aws.error_codes import REGION_OUT, ApiError, ErrorCategory, classify
from ec2lab.capacity_pools import ON_DEMAND, SPOT, Pool
from ec2lab.launch.search import PlacementPreferences, Search
from ec2lab.quota_names import quota_key
from tests.test_error_table import ROWS

REGIONS = ("us-east-1", "us-west-2", "eu-west-1")
TYPES = ("p4d.24xlarge", "g5.12xlarge", "g4dn.xlarge")
MARKETS = (SPOT, ON_DEMAND)
ZONES = {region: [f"{region}{letter}" for letter in "abc"] for region in REGIONS}

EMPTY = ApiError("InsufficientInstanceCapacity", "none", 500)
QUOTA = ApiError("VcpuLimitExceeded", "your limit is 0", 400)
NOT_HERE = ApiError("Unsupported", "not supported", 400)
CLOSED = ApiError("OptInRequired", "opt in", 401)


def offering(region, _):
    return ZONES[region]


def search(regions=REGIONS, types=TYPES, markets=(ON_DEMAND,), **more):
    return Search(PlacementPreferences(regions, types, markets, **more), offering)


def asked(search, answers):
    """Run one round; `answers(pool)` is a refusal, or None for an instance. Returns the pools asked."""
    pools = []
    for pool in search.round():
        pools.append(pool)
        if (refusal := answers(pool)) is None:
            break
        search.record_failure(pool, refusal)
    return pools


def test_every_region_is_asked_by_preference_without_a_zone_before_any_zone_is_named():
    pools = asked(search(types=TYPES[:2]), lambda _: EMPTY)
    assert [(p.region, p.instance_type, p.zone) for p in pools[:6]] == [
        (region, instance_type, None) for region in REGIONS for instance_type in TYPES[:2]
    ]
    assert all(pool.zone for pool in pools[6:])
    assert len(pools) == 6 + 6 * 3


def test_the_zones_that_a_refusal_names_are_asked_first_and_the_others_are_not_skipped():
    hint = ApiError(
        "InsufficientInstanceCapacity",
        "We do not have sufficient capacity in the Availability Zone you requested (us-east-1a). You can currently get "
        "capacity by not specifying an Availability Zone in your request or choosing us-east-1c.",
        500,
    )
    pools = asked(search(REGIONS[:1], TYPES[:1]), lambda pool: EMPTY if pool.zone else hint)
    assert [pool.zone for pool in pools] == [None, "us-east-1c", "us-east-1a", "us-east-1b"]


@pytest.mark.parametrize("code", ["VolumeLimitExceeded", "Client.VolumeLimitExceeded", "AddressLimitExceeded"])
def test_a_quota_of_the_regions_storage_or_network_rules_the_region_out_whatever_the_type(code):
    looking = search(markets=MARKETS)
    pools = asked(looking, lambda _: ApiError(code, "", None if "." in code else 400, late="." in code))
    assert [pool.region for pool in pools] == list(REGIONS), "each region once"


def test_one_spot_quota_says_nothing_of_another_though_the_family_is_one():
    looking = search(types=["p5.48xlarge", "p4d.24xlarge"], markets=[SPOT])
    looking.record_failure(Pool("us-east-1", "p5.48xlarge", SPOT), QUOTA)
    assert looking.exclusion_reason(Pool("us-east-1", "p5en.48xlarge", SPOT))
    assert not looking.exclusion_reason(Pool("us-east-1", "p4d.24xlarge", SPOT))


def test_what_is_not_supported_on_spot_may_be_on_demand():
    looking = search(markets=MARKETS)
    looking.record_failure(Pool("us-east-1", "g5.12xlarge", SPOT), NOT_HERE)
    assert looking.exclusion_reason(Pool("us-east-1", "g5.12xlarge", SPOT))
    assert not looking.exclusion_reason(Pool("us-east-1", "g5.12xlarge", ON_DEMAND))


def test_a_zone_without_a_default_subnet_is_out_for_all_types_and_markets():
    looking = search(markets=MARKETS)
    message = "No default subnet for availability zone: 'us-east-1b'."
    looking.record_failure(Pool("us-east-1", "g5.12xlarge", SPOT, "us-east-1b"), ApiError("InvalidInput", message, 400))
    assert looking.exclusion_reason(Pool("us-east-1", "p4d.24xlarge", ON_DEMAND, "us-east-1b"))
    assert not looking.exclusion_reason(Pool("us-east-1", "p4d.24xlarge", ON_DEMAND, "us-east-1a"))


def test_a_named_subnet_that_is_gone_leaves_the_others_of_the_region():
    looking = search(REGIONS[:1], TYPES[:1], subnets={"us-east-1": ["subnet-1", "subnet-2"]})
    gone = ApiError("InvalidSubnetID.NotFound", "The subnet ID 'subnet-1' does not exist", 400)
    pools = asked(looking, lambda pool: gone if pool.subnet == "subnet-1" else EMPTY)
    assert [pool.subnet for pool in pools] == ["subnet-1", "subnet-2"]
    assert not looking.exhausted()


def test_an_error_is_everywhere_s_only_when_every_region_says_so():
    looking = search(REGIONS[:2])
    looking.record_failure(Pool("us-east-1", "g5.12xlarge", ON_DEMAND), ApiError("AuthFailure", "", 401))
    assert looking.global_error() is None
    looking.exclude_region("us-west-2", "denied", ApiError("UnauthorizedOperation", "", 403))
    assert looking.global_error().region == "us-east-1"


def test_a_quota_rules_out_the_whole_family_in_that_region_and_market_and_nothing_else():
    looking = search(markets=MARKETS)
    looking.record_failure(Pool("us-east-1", "g5.12xlarge", SPOT), QUOTA)
    assert looking.exclusion_reason(Pool("us-east-1", "g4dn.xlarge", SPOT, "us-east-1a"))
    assert not looking.exclusion_reason(Pool("us-east-1", "g5.12xlarge", ON_DEMAND))
    assert not looking.exclusion_reason(Pool("us-east-1", "p4d.24xlarge", SPOT))
    assert not looking.exclusion_reason(Pool("us-west-2", "g5.12xlarge", SPOT))


def test_a_type_not_offered_in_a_zone_is_out_there_alone():
    looking = search()
    looking.record_failure(
        Pool("us-east-1", "g5.12xlarge", ON_DEMAND), ApiError("Unsupported", "not supported in (us-east-1b)", 400)
    )
    assert looking.exclusion_reason(Pool("us-east-1", "g5.12xlarge", ON_DEMAND, "us-east-1b"))
    assert not looking.exclusion_reason(Pool("us-east-1", "g5.12xlarge", SPOT, "us-east-1b")), "another market"
    assert not looking.exclusion_reason(Pool("us-east-1", "g5.12xlarge", ON_DEMAND, "us-east-1a"))
    assert not looking.exclusion_reason(Pool("us-east-1", "g5.12xlarge", ON_DEMAND))


def test_named_zones_and_subnets_are_the_only_places_asked():
    pools = asked(search(types=TYPES[:1], zones=["us-west-2b", "us-east-1a"]), lambda _: EMPTY)
    assert [pool.zone for pool in pools] == ["us-east-1a", "us-west-2b"]
    pools = asked(search(REGIONS[:1], TYPES[:1], subnets={"us-east-1": ["subnet-1", "subnet-2"]}), lambda _: EMPTY)
    assert [(pool.zone, pool.subnet) for pool in pools] == [(None, "subnet-1"), (None, "subnet-2")]


def test_the_next_round_leaves_out_what_is_out_for_good_and_asks_the_rest_again():
    looking = search(REGIONS[:2], TYPES[:2])
    asked(looking, lambda pool: {"us-east-1": EMPTY, "us-west-2": CLOSED}[pool.region])
    again = asked(looking, lambda _: EMPTY)
    assert {pool.region for pool in again} == {"us-east-1"}
    asked(looking, lambda _: CLOSED)
    assert looking.exhausted()
    assert asked(looking, lambda _: EMPTY) == []


def errors(category):
    return [row for row in ROWS[category] if not row.kind]


def error_of(row, pool):
    message = row.message.replace("{region}", pool.region).replace(f"{pool.region}b", pool.zone or f"{pool.region}b")
    return ApiError(row.code, message, row.status or 400)


C = ErrorCategory
CROWDED = [*errors(C.INSUFFICIENT_CAPACITY), *errors(C.ZONE_UNAVAILABLE)[2:], *errors(C.THROTTLED),
           *errors(C.TOO_MANY_AT_ONCE), *errors(C.AMBIGUOUS)]  # fmt: skip
"""What one pool may answer now, and another not."""
CLOSED_ROWS = [row for category in REGION_OUT for row in errors(category)]
TYPES_ASKED = (*TYPES, "p5.48xlarge")
PLACES = [(region, zone) for region in REGIONS for zone in ZONES[region]]
POOLS = [Pool(r, t, m, z) for r, z in PLACES for t in TYPES_ASKED for m in MARKETS]


@st.composite
def worlds(draw):
    """An AWS that answers each pool in its own way, from the whole table; consistent as the real one is."""
    few = st.sampled_from
    quotas = sorted({(p.region, quota_key(p.instance_type, p.market.type)) for p in POOLS})
    return {
        "closed": draw(st.dictionaries(few(REGIONS), few(CLOSED_ROWS), max_size=2)),
        "no subnet": draw(st.sets(few(PLACES), max_size=6)),
        "quotas": draw(st.sets(few(quotas), max_size=10)),
        "not offered": draw(st.sets(few(POOLS), max_size=40)),
        "has": draw(st.sets(few(POOLS), max_size=3)),
        "crowded": draw(few(CROWDED)),
        "overlooks": draw(st.booleans()),
    }


def answer(world, pool):
    """Answer as EC2 does, in its order of looking: None is an instance."""
    place, quota = (pool.region, pool.zone), (pool.region, quota_key(pool.instance_type, pool.market.type))
    here = [replace(pool, zone=zone) for zone in ZONES[pool.region]]
    there_is = has(world, pool) if pool.zone else not world["overlooks"] and any(has(world, one) for one in here)
    rows = {
        world["closed"].get(pool.region): pool.region in world["closed"],
        errors(C.COMPUTE_QUOTA)[0]: quota in world["quotas"],
        errors(C.NOT_OFFERED)[0]: world["not offered"].issuperset(here),
        errors(C.ZONE_UNAVAILABLE)[0]: place in world["no subnet"],
        errors(C.NOT_OFFERED_IN_ZONE)[0]: pool in world["not offered"],
        world["crowded"]: not there_is,
    }
    return next((error_of(row, pool) for row, holds in rows.items() if holds), None)


def has(world, pool):
    """Say whether there is an instance to be had in a zone."""
    shut = pool.region in world["closed"] or (pool.region, pool.zone) in world["no subnet"]
    used_up = (pool.region, quota_key(pool.instance_type, pool.market.type)) in world["quotas"]
    return pool in world["has"] and not shut and not used_up and pool not in world["not offered"]


@given(worlds())
def test_if_any_pool_anywhere_has_an_instance_it_is_found_and_no_pool_is_asked_twice(world):
    looking = search(types=TYPES_ASKED, markets=MARKETS)
    pools = asked(looking, lambda pool: answer(world, pool))
    assert len(set(pools)) == len(pools)
    assert (bool(pools) and answer(world, pools[-1]) is None) == any(has(world, pool) for pool in POOLS)
    for _ in range(2):
        out_before = set(looking.ruled_out)
        assert not any(out.covers(pool) for pool in asked(looking, lambda _: EMPTY) for out in out_before)


@given(st.text(max_size=40), st.text(max_size=80), st.one_of(st.none(), st.integers(100, 599)))
def test_an_unknown_code_never_rules_anything_out(code, message, status):
    category = classify(code, message, status)
    if category is ErrorCategory.FATAL:
        assert status is not None
        assert status < 500 or status == 501
    else:
        assert category in ErrorCategory
