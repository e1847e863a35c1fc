"""What is over costs nothing: a status asks and reads as much with a long history as with none."""

from itertools import islice

import pytest
from botocore.exceptions import ClientError

from ec2lab.config.models import Lab
from ec2lab.registry import dynamodb_registry
from ec2lab.registry.base import identity_in
from ec2lab.registry.record import Event, Record
from ec2lab.registry.state import DELETED
from ec2lab.session import Session
from tests.registries.long_history import compact, runs_of

RECORDS = 1_000
WATCHING = """
import os, sys
log = os.open("opened.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
sys.addaudithook(lambda event, given: event == "open" and os.write(log, f"{given[0]}\\n".encode()))
"""
"""As `sitecustomize`, writes down every file that a process opens."""


@pytest.fixture
def one(lab):
    """The records of a launch and its teardown, in a region that has its security group already."""
    for registry in ("first.json", "one.json"):
        assert lab.launch(REGISTRY=registry).code == 0
        assert lab.teardown(REGISTRY=registry).code == 0
    session = Session(lab.path, Lab(regions=["us-east-1"]), "test")
    records = session.registry_at("one.json", "test").records()
    return [record for record in records if identity_in(record) is None]  # each registry has an id of its own


@pytest.fixture
def registry(lab, one):
    """Give an empty registry, or one with a long history, and close it in the end."""
    session = Session(lab.path, Lab(regions=["us-east-1"]), "test")
    made = []

    def at(address, records=0):
        made.append(session.registry_at(address, "test"))
        compact(made[-1], islice(runs_of(one, "over"), records))
        return made[-1]

    yield at
    for each in made:
        each.close()


def opened_by(lab, script, **variables):
    """Return the lab's files that a script opens, and the script's end."""
    log = lab.path / "opened.log"
    log.unlink(missing_ok=True)
    watch = lab.write("watch/sitecustomize.py", WATCHING).parent
    ended = lab.run(script, PYTHONPATH=f"{watch}:{lab.environment()['PYTHONPATH']}", **variables)
    assert ended.code == 0, ended.err
    return log.read_text(), ended


def test_of_a_file_a_status_opens_nothing_of_the_archive_and_reads_hardly_anything(lab, registry):
    long = registry("long.json", RECORDS)
    assert sum(path.stat().st_size for path in (lab.path / "long-archive").iterdir()) > 100_000
    opened, ended = opened_by(lab, "status", REGISTRY="long.json")
    assert ended.out == "no live resources\n"
    assert "long.json" in opened
    assert "long-archive" not in opened
    assert long.path.stat().st_size < 1_000
    opened, _ = opened_by(lab, "history", EXP="over-1", REGISTRY="long.json")
    assert "long-archive" in opened, "the watch sees it where it is opened"


@pytest.mark.parametrize("damage", [lambda whole: whole[:-9], lambda whole: b"x" * 100])
def test_a_damaged_archive_stops_no_status_is_named_and_is_not_added_to(lab, one, registry, damage):
    file = registry("registry.json", len(one))
    (month,) = (lab.path / "registry-archive").iterdir()
    sound = month.read_bytes()
    month.write_bytes(damage(sound))
    assert lab.run("status").out == "no live resources\n"
    ended = lab.run("history", EXP="over-1")
    assert ended.code == 1
    assert ended.error.startswith(f"error: {month}: is damaged (")
    assert ended.error.endswith("; restore a copy, or move it away")
    more = list(islice(runs_of(one, "more"), len(one)))
    file.append_all(more)
    file.archive(lambda _: set())
    assert month.read_bytes() == damage(sound)
    month.unlink()
    found = {record.id for record in file.history()}
    assert {record.id for record in more} <= found, "what came after the damage is whole"


def calls_of_a_status(lab, cloud, address):
    before = len(cloud.calls())
    ended = lab.run("status", REGISTRY=address)
    assert (ended.code, ended.out) == (0, "no live resources\n")
    return [call["action"] for call in cloud.calls()[before:]]


def read_by(registry):
    """Return how many bytes the answers have by which the records at hand are read."""
    answers = []
    events = registry.table.client.meta.events
    events.register("before-parse.dynamodb", lambda response_dict, **_: answers.append(len(response_dict["body"])))
    list(registry.records())
    return sum(answers)


def test_of_a_table_a_status_asks_and_reads_as_much_as_of_an_empty_one(lab, cloud, registry):
    empty, long = registry("dynamodb://us-east-1/empty"), registry("dynamodb://us-east-1/long", RECORDS)
    assert len(long.history()) > RECORDS
    calls = calls_of_a_status(lab, cloud, "dynamodb://us-east-1/long")
    assert calls == calls_of_a_status(lab, cloud, "dynamodb://us-east-1/empty") == ["Query"]
    assert read_by(long) == read_by(empty)


def test_a_teardown_puts_away_what_is_over_though_it_reads_its_own_experiment_only(lab, registry, one):
    """Where nobody ever asks for a status, a table must not grow until the first one reads for minutes."""
    table = registry("dynamodb://us-east-1/team")
    table.append_all(list(islice(runs_of(one, "over"), 20 * len(one))))
    assert len(list(table.records())) == 20 * len(one)
    assert lab.launch(REGISTRY="dynamodb://us-east-1/team").code == 0
    assert len({record.experiment for record in table.records()}) > 20, "a launch makes nothing that is over"
    assert lab.teardown(REGISTRY="dynamodb://us-east-1/team").code == 0
    assert {record.experiment for record in table.records()} <= {None}
    assert len({record.experiment for record in table.history()} - {"demo", None}) == 20


def test_a_launch_in_vain_is_over_too(lab, cloud):
    cloud.scenario(capacity=[{"available": 0}])
    assert lab.launch().code == 1
    session = Session(lab.path, Lab(regions=["us-east-1"]), "test")
    assert "demo" in {record.experiment for record in session.registry.records()}
    session.compact()
    told = {record.operation for record in session.registry.records() if record.experiment == "demo"}
    assert told <= {"CreateSecurityGroup", None}, "the lab's own group lives on, and a look that found nothing else"
    assert lab.teardown().code == 0, "it is remembered all the same"


def test_that_a_tables_size_is_not_to_be_had_fails_nothing(lab, registry, mocker):
    sound, table = (registry("dynamodb://us-east-1/team") for _ in range(2))
    mocker.patch.object(dynamodb_registry, "GROWTH", 0)
    for one in (sound, table):
        one.append(Record(event=Event.ANNOTATION, experiment="demo", annotation={DELETED: []}))
    assert sound.needs_compaction()
    refusal = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "Query")
    mocker.patch.object(table.table.client, "query", side_effect=refusal)
    assert not table.needs_compaction()
