"""When a search asks again."""

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from ec2lab.polling import LONGEST, pauses


@given(st.floats(0, 1e6), st.floats(0, 1))
def test_the_pauses_fill_the_time_exactly_and_none_is_longer_than_the_longest(retry_for, luck):
    waited: list[float] = []
    rounds = pauses(retry_for, lambda: sum(waited), lambda low, high: low + luck * (high - low))
    for pause in islice(rounds, 50):
        assert 0 <= pause <= LONGEST
        waited.append(pause)
    assert sum(waited) <= retry_for * (1 + 1e-9)
    assert len(waited) == 50 or sum(waited) >= retry_for * (1 - 1e-9)


def test_without_a_time_there_is_one_round():
    assert list(pauses(0, lambda: 0.0)) == []


def test_the_pauses_grow_until_they_are_long_enough():
    assert list(islice(pauses(1e9, lambda: 0.0, lambda _, high: high), 7)) == [10, 20, 40, 80, 160, 300, 300]
