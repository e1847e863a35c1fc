"""The decision on capacity alone, for any scenario."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.placement import PlacementRequest, place
from local_cloud.responses import Problem
from local_cloud.scenario import Capacity, Scenario

ZONES = ["us-east-1a", "us-east-1b", "us-east-1c"]
RULE = st.builds(
    Capacity,
    region=st.sampled_from(["*", "us-*", "eu-*"]),
    zone=st.sampled_from(["*", *ZONES]),
    type=st.sampled_from(["*", "g5.*", "p4d.*"]),
    market=st.sampled_from(["*", "spot", "on-demand"]),
    available=st.integers(0, 6),
    calls=st.none() | st.integers(0, 3),
    late=st.booleans(),
)


@st.composite
def situations(draw):
    """A request, the rules, and how many instances live under each rule."""
    least = draw(st.integers(1, 4))
    wanted = PlacementRequest(
        "us-east-1",
        "g5.xlarge",
        draw(st.sampled_from(["spot", "on-demand"])),
        draw(st.none() | st.sampled_from(ZONES)),
        least,
        least + draw(st.integers(0, 4)),
    )
    rules = draw(st.lists(RULE, max_size=4))
    return wanted, rules, [draw(st.integers(0, 4)) for _ in rules]


class Decided:
    """What was decided, beside what each zone had before."""

    def __init__(self, wanted, rules, alive):
        self.rules = [rule.model_copy() for rule in rules]
        lives = {id(rule): count for rule, count in zip(self.rules, alive, strict=True)}
        pools = {zone: (wanted.region, zone, wanted.instance_type, wanted.market) for zone in ZONES}
        self.holds = {z: next((r for r in self.rules if r.covers(*pool)), None) for z, pool in pools.items()}
        self.room = {
            zone: wanted.most if rule is None or rule.late else max(0, rule.available - lives[id(rule)])
            for zone, rule in self.holds.items()
        }
        self.before = [rule.calls for rule in self.rules]
        self.placed = self.problem = None
        try:
            self.placed = place(wanted, ZONES, Scenario.model_construct(capacity=self.rules), lambda r: lives[id(r)])
        except Problem as problem:
            self.problem = problem


@given(situations())
def test_a_request_is_granted_in_the_first_zone_that_has_room_for_the_least_and_gets_no_more_than_the_most(situation):
    wanted = situation[0]
    decided = Decided(*situation)
    asked = [wanted.zone] if wanted.zone else ZONES
    would_do = [zone for zone in asked if decided.room[zone] >= wanted.least]
    if would_do:
        assert decided.placed.zone == would_do[0]
        assert decided.placed.count == min(wanted.most, decided.room[would_do[0]])
        assert decided.placed.rule is decided.holds[would_do[0]]
    else:
        assert decided.problem.code == "InsufficientInstanceCapacity"


@given(situations())
def test_a_refusal_names_the_zones_that_would_do_where_one_was_named_and_no_other(situation):
    wanted = situation[0]
    decided = Decided(*situation)
    if decided.problem:
        named = set(re.findall(r"us-east-1[a-c]", decided.problem.message))
        would_do = {zone for zone in ZONES if decided.room[zone] >= wanted.least}
        assert named == (would_do | {wanted.zone} if wanted.zone else set())


@given(situations())
def test_a_request_is_charged_once_to_each_rule_that_refused_it_and_to_a_late_one_that_granted_it(situation):
    wanted = situation[0]
    decided = Decided(*situation)
    asked = [wanted.zone] if wanted.zone else ZONES
    if decided.placed:
        due = [decided.placed.rule] if decided.placed.rule and decided.placed.rule.late else []
    else:
        due = [decided.holds[zone] for zone in asked]
    for rule, before in zip(decided.rules, decided.before, strict=True):
        charged = before is not None and any(rule is one for one in due)
        assert rule.calls == (before - 1 if charged else before)


@given(st.integers(0, 5), st.none() | st.sampled_from(ZONES))
def test_a_rule_for_some_calls_refuses_exactly_as_many(calls, zone):
    scenario = Scenario(capacity=[Capacity(calls=calls)])
    wanted = PlacementRequest("us-east-1", "g5.xlarge", "spot", zone)
    for _ in range(calls):
        with pytest.raises(Problem):
            place(wanted, ZONES, scenario, lambda _: 0)
    assert place(wanted, ZONES, scenario, lambda _: 0).rule is None
