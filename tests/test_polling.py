"""When a search asks again, and when somebody who waits looks again."""

from itertools import islice, pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ec2lab import clock
from ec2lab.polling import LONGEST, attempts, pauses, wait_until


@given(st.floats(0, 1e6), st.floats(0, 1))
def test_the_pauses_fill_the_time_exactly_and_none_is_longer_than_the_longest(capacity_timeout, luck):
    waited: list[float] = []
    rounds = pauses(capacity_timeout, lambda: sum(waited), lambda low, high: low + luck * (high - low))
    for pause in islice(rounds, 50):
        assert 0 <= pause <= LONGEST
        waited.append(pause)
    assert sum(waited) <= capacity_timeout * (1 + 1e-9)
    assert len(waited) == 50 or sum(waited) >= capacity_timeout * (1 - 1e-9)


def test_without_a_time_there_is_one_round():
    assert list(pauses(0, lambda: 0.0)) == []


def test_the_pauses_grow_until_they_are_long_enough():
    assert list(islice(pauses(1e9, lambda: 0.0, lambda _, high: high), 7)) == [10, 20, 40, 80, 160, 300, 300]


@pytest.fixture
def passing(monkeypatch):
    """Time that passes only while it is waited, or added to: how long each wait was."""
    waits = []
    monkeypatch.setattr(clock, "monotonic", lambda: sum(waits))
    return waits


@given(poll=st.tuples(st.floats(0.01, 5), st.floats(5, 60)), timeout=st.floats(0, 1e3), takes=st.floats(0, 30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_who_waits_looks_for_the_last_time_when_the_time_is_over_however_long_a_look_takes(
    passing, poll, timeout, takes
):
    passing.clear()
    looks = []
    for last in attempts(passing.append, poll, timeout):
        looks.append((sum(passing), last))
        passing.append(takes)
    assert [last for _, last in looks] == [False] * (len(looks) - 1) + [True]
    assert timeout * (1 - 1e-9) <= looks[-1][0] <= timeout + takes
    assert all(later - earlier <= poll[1] + takes + 1e-6 for (earlier, _), (later, _) in pairwise(looks))


def test_what_is_looked_for_is_returned_at_once_and_after_the_timeout_whatever_was_seen_last(passing):
    assert wait_until(iter([None, 0, "there"]).__next__, passing.append, (1, 8)) == "there"
    assert passing == [1, 1.25]
    assert wait_until(lambda: "", passing.append, (1, 8), timeout=4) == ""
    assert sum(passing) == 2.25 + 4
