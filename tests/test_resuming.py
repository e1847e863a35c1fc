"""Which launch of an experiment was the last that ran, by what is on record."""

import pytest

from scripts.core.registry.record import Event, Record
from scripts.core.registry.resuming import last_run


def note(experiment="foo", **told):
    return Record(event=Event.NOTE, experiment=experiment, note=told)


def test_of_one_that_failed_since_nothing_is_taken():
    ran, failed = {"experiment": {"parameters": {"lr": 0.1}}}, {"experiment": {"parameters": {"lr": 0.9}}}
    records = [
        note(run=ran),
        note(launched=["i-1"], ran_on=[{"instance": "i-1"}]),
        note(gone=["i-1"]),
        note(run=failed),
    ]
    run, launched = last_run(records, "foo")
    assert run == ran
    assert launched["launched"] == ["i-1"]


def test_one_that_was_gone_on_with_is_what_it_was_gone_on_with_as():
    records = [note(run={"from": "a"}), note(run={"from": "b"}), note(launched=["i-1"])]
    assert last_run(records, "foo") == ({"from": "b"}, {"launched": ["i-1"]})


@pytest.mark.parametrize("records", [[], [note(run={})], [note("bar", run={}), note("bar", launched=["i-1"])]])
def test_where_none_ran_there_is_none(records):
    assert last_run(records, "foo") is None
