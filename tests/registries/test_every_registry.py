"""What a registry promises, wherever it keeps its records."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from ec2lab.errors import UserError
from ec2lab.registry import file_io
from ec2lab.registry.compaction import needed_records
from ec2lab.registry.dynamodb_table import Table
from ec2lab.registry.record import Event, Record
from tests.lab_directory import REPOSITORY

OVER, LIVING = "over", "living"


def note(experiment=OVER, **words):
    return Record(event=Event.ANNOTATION, experiment=experiment, annotation=words)


def ids(records):
    return [record.id for record in records]


def of_the_living(records):
    return {record.id for record in records if record.experiment == LIVING}


def test_what_is_written_is_read_back_in_its_order(registry, opened):
    written = [note(number=number, text="größe \ud800 ☃") for number in range(30)]
    for record in written:
        registry.append(record)
    assert list(opened().records()) == written
    assert list(registry.records()) == written, "by who wrote it too"


def test_a_new_one_is_empty(registry):
    assert list(registry.records()) == []
    assert registry.history() == []
    assert registry.archive(of_the_living) == 0


def test_a_record_of_three_megabytes_is_kept_whole(registry, opened):
    huge = note(body=os.urandom(1_500_000).hex())
    registry.append(huge)
    assert list(opened().records()) == [huge]


def test_what_another_writes_is_read_the_next_time(registry, opened):
    other = opened()
    for number in range(5):
        registry.append(note(number=number))
        assert len(list(other.records())) == 2 * number + 1
        other.append(note(number=number))
        assert len(list(registry.records())) == 2 * number + 2


def test_twenty_at_once_lose_nothing_and_double_nothing(opened):
    def write(number):
        mine = opened()
        written = [note(by=number, turn=turn) for turn in range(4)]
        for record in written:
            mine.append(record)
        return written

    with ThreadPoolExecutor(20) as team:
        written = [record for some in team.map(write, range(20)) for record in some]
    found = ids(opened().records())
    assert len(found) == len(set(found))
    assert set(found) == set(ids(written))


def test_each_writers_records_stand_in_the_order_of_his_writing(opened):
    def write(number):
        mine = opened()
        for turn in range(6):
            mine.append(note(by=number, turn=turn))

    with ThreadPoolExecutor(5) as team:
        list(team.map(write, range(5)))
    for number in range(5):
        turns = [record.annotation["turn"] for record in opened().records() if record.annotation["by"] == number]
        assert turns == sorted(turns)


def test_whoever_has_read_writes_behind_that_whatever_his_clock_says(registry, opened, mocker):
    registry.append(note(turn=1))
    late = opened()
    list(late.records())
    mocker.patch("ec2lab.clock.now", return_value=datetime(2001, 1, 1, tzinfo=UTC))
    late.append(note(turn=2))
    assert [record.annotation["turn"] for record in opened().records()] == [1, 2]


def test_of_one_experiment_at_least_its_own_are_given(registry):
    written = [note(experiment) for experiment in (OVER, LIVING, None, LIVING)]
    for record in written:
        registry.append(record)
    own = [record for record in registry.records(LIVING) if record.experiment == LIVING]
    assert own == [written[1], written[3]]


def test_what_is_over_is_put_away_and_stays_in_the_history(registry, opened):
    written = [note(LIVING if number % 3 else OVER, number=number) for number in range(60)]
    for record in written:
        registry.append(record)
    assert registry.archive(of_the_living) == 20
    for reader in (registry, opened()):
        assert [r for r in reader.records() if r.experiment] == [r for r in written if r.experiment == LIVING]
        history = [record for record in reader.history() if record.experiment]
        assert sorted(ids(history)) == sorted(ids(written))
        for experiment in (OVER, LIVING):
            own = [record for record in reader.history(experiment) if record.experiment == experiment]
            assert reader.histories({experiment, "nothing"}) == own
            assert own == [record for record in written if record.experiment == experiment]


def test_it_is_added_to_after_something_was_put_away(registry, opened):
    first, second, third = note(OVER), note(LIVING), note(OVER)
    for record in (first, second):
        registry.append(record)
    registry.archive(of_the_living)
    other = opened()
    list(other.records())
    registry.append(third)
    assert [r for r in other.records() if r.experiment] == [second, third]
    assert registry.archive(of_the_living) == 1
    assert sorted(ids(r for r in other.history() if r.experiment)) == sorted(ids([first, second, third]))


def test_writers_and_archivers_at_once_lose_nothing(opened):
    def write(number):
        mine = opened()
        written = [note(LIVING if turn % 2 else OVER, by=number, turn=turn) for turn in range(12)]
        for record in written:
            mine.append(record)
            if record.annotation["turn"] % 4 == number % 4:
                mine.archive(of_the_living)
        return written

    with ThreadPoolExecutor(6) as team:
        written = [record for some in team.map(write, range(6)) for record in some]
    history = [record for record in opened().history() if record.experiment]
    assert sorted(ids(history)) == sorted(ids(written))
    assert {r.id for r in opened().records() if r.experiment == LIVING} == {
        r.id for r in written if r.experiment == LIVING
    }


@pytest.mark.parametrize("step", range(1, 5))
def test_putting_away_that_is_cut_off_at_any_step_loses_nothing(registry, opened, mocker, step):
    """Each thing that changes what others see (a renamed file, a transaction) is a step: there are three."""
    written = [note(LIVING if number % 2 else OVER, number=number) for number in range(240)]
    registry.append_all(written)
    steps = iter(range(1, 100))

    def cut_off_before(real):
        def call(*given, **named):
            if next(steps) == step:
                raise KeyboardInterrupt
            return real(*given, **named)

        return call

    mocker.patch.object(file_io, "replace_file", cut_off_before(file_io.replace_file))
    mocker.patch("ec2lab.registry.archive.replace_file", cut_off_before(file_io.replace_file))
    mocker.patch.object(Table, "transact", cut_off_before(Table.transact))
    cut_off = False
    try:
        registry.archive(of_the_living)
    except KeyboardInterrupt:
        cut_off = True
    mocker.stopall()
    assert cut_off is (step <= 3)
    fresh = opened()
    assert [r for r in fresh.records() if r.experiment == LIVING] == [r for r in written if r.experiment == LIVING]
    assert sorted(ids(r for r in fresh.history() if r.experiment)) == sorted(ids(written))
    fresh.archive(of_the_living)
    assert sorted(ids(r for r in fresh.history() if r.experiment)) == sorted(ids(written))
    assert not [r for r in fresh.records() if r.experiment == OVER]


def test_much_that_is_over_is_told_and_no_more_once_it_is_put_away(registry):
    assert not registry.needs_compaction()
    registry.append_all([note(OVER, body=os.urandom(50_000).hex()) for _ in range(30)])
    list(registry.records())
    assert registry.needs_compaction()
    registry.archive(of_the_living)
    list(registry.records())
    assert not registry.needs_compaction()


def test_much_that_lives_is_not_told_again_and_again(registry):
    registry.append_all([note(LIVING, body=os.urandom(50_000).hex()) for _ in range(30)] + [note(OVER)])
    registry.archive(of_the_living)
    list(registry.records())
    assert not registry.needs_compaction()


def test_a_second_actor_is_told_who_acts_where_and_since_when(registry, opened):
    with (
        registry.lock_experiment("demo", "launch"),
        pytest.raises(UserError, match=r"demo is locked by launch \(\w+@.*:\d+, since 20.*Z\); wait for it"),
        opened().lock_experiment("demo", "teardown"),
    ):
        pass
    with opened().lock_experiment("demo", "teardown"), opened().lock_experiment("other", "launch"):
        pass


def test_who_fails_lets_go(registry, opened):
    with pytest.raises(ZeroDivisionError), registry.lock_experiment("demo", "launch"):
        raise ZeroDivisionError
    with opened().lock_experiment("demo", "launch"):
        pass


HOLDER = """
import sys, time
from pathlib import Path
from ec2lab.config.models import Lab
from ec2lab.session import Session
session = Session(Path.cwd(), Lab(regions=["us-east-1"]), "test")
with session.registry_at(sys.argv[1], "test").lock_experiment("demo", "launch"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_who_holds_an_experiment_is_told_to_whoever_asks_and_asking_holds_nothing(registry, opened):
    assert opened().lock_owner("demo") == ""
    with registry.lock_experiment("demo", "launch"):
        assert opened().lock_owner("demo").startswith("launch (")
        assert opened().lock_owner("other") == ""
    assert opened().lock_owner("demo") == ""
    with opened().lock_experiment("demo", "teardown"):
        assert registry.lock_owner("demo").startswith("teardown (")


def test_who_was_killed_holds_nothing(opened, lab):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, opened.address],
        cwd=lab.path, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(UserError, match="is locked by"), opened().lock_experiment("demo", "launch"):
        pass
    holder.kill()
    holder.wait()
    with opened().lock_experiment("demo", "launch"):
        pass


def test_of_twenty_at_once_one_acts_at_a_time(opened):
    inside = []
    turns = []

    def act(number):
        mine = opened()
        try:
            with mine.lock_experiment("demo", f"launch-{number}"):
                inside.append(number)
                turns.append(tuple(inside))
                mine.append(note("demo", number=number))
                inside.remove(number)
        except UserError:
            return 0
        finally:
            mine.close()
        return 1

    with ThreadPoolExecutor(20) as team:
        acted = sum(team.map(act, range(40)))
    assert acted >= 1
    assert all(len(turn) == 1 for turn in turns)
    assert len(list(opened().records())) == acted


def test_time_goes_forward_in_what_is_read(registry):
    registry.append_all([note(number=number) for number in range(50)])
    assert all(
        earlier.annotation["number"] < later.annotation["number"] for earlier, later in pairwise(registry.records())
    )


def test_a_new_one_has_no_id_until_something_is_tagged_with_it_and_then_one_for_all_who_ask_at_once(registry, opened):
    assert list(registry.ids()) == []
    with ThreadPoolExecutor(8) as team:
        asked = set(team.map(lambda _: opened().id(), range(8)))
    assert len(asked) == 1
    assert {registry.id(), opened().ids()[0]} == asked


def test_it_answers_for_others_besides_and_keeps_its_own_id_when_all_else_is_put_away(registry, opened):
    own, other = registry.id(), "b" * 32
    registry.answer_for([other, own])
    registry.append(note())
    registry.archive(lambda records: needed_records(records, {}))
    assert opened().id() == own
    assert set(opened().ids()) >= {own, other}
