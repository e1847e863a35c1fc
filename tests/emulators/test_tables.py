"""A team's registry in a DynamoDB table, as each emulator has tables; the instances are always the first one's."""

import pytest

from tests.emulators.lab import EmulatedLab
from tests.emulators.test_life import SWEEP, instances

pytestmark = pytest.mark.emulator
TABLE = "dynamodb://us-east-1/lab"


@pytest.fixture(params=["ministack", "roto"])
def tables(request, lab, emulator):
    """The emulator that has the table. Each test finds it without one."""
    if request.param == emulator.emulator.name:
        return emulator
    roto = request.getfixturevalue("roto")
    dynamodb = roto.client("dynamodb", "us-east-1")
    for name in dynamodb.list_tables()["TableNames"]:
        dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
        dynamodb.delete_table(TableName=name)
    lab.serve(roto, "dynamodb")
    return roto


@pytest.fixture
def shared(lab, tables):
    """A lab whose registry is a table."""
    lab.write("lab.toml", f'registry = "{TABLE}"\n' + (lab.path / "lab.toml").read_text())
    return lab


@pytest.fixture
def teammate(shared, tmp_path):
    """The same lab in a clone of its own."""
    clone = EmulatedLab(tmp_path / "clone", waits=False, endpoints=shared.endpoints)
    for name in ("lab.toml", "experiments/demo.toml", ".local-cloud/clock"):
        clone.write(name, (shared.path / name).read_text())
    return clone


def test_a_team_works_on_one_table(shared, teammate, tables, emulator):
    (lives,) = shared.said("launch", "instance-running", EXP="demo")
    assert tables.client("dynamodb", "us-east-1").list_tables()["TableNames"] == ["lab"]
    assert "demo is already live" in teammate.run("launch", EXP="demo").error
    assert [one["id"] for one in teammate.status()] == [lives["id"]]
    shared.write("experiments/grid.toml", SWEEP)
    shared.well("sweep", EXP="grid")
    assert len(instances(emulator)) == len(teammate.status()) == 6
    teammate.well("teardown", EXP="grid-*", YES="1")
    teammate.well("teardown", EXP="demo")
    assert (shared.status(), instances(emulator)) == ([], {})
    done = {one["record"].get("operation") for one in shared.said("history", "history-record", EXP="demo")}
    assert {"RunInstances", "TerminateInstances"} <= done
    found = [event for event in shared.run("doctor", JSON="1").events if event.get("check") == "registry"]
    assert found
    assert {event["severity"] for event in found} <= {"ok", "warning"}


def test_two_launches_at_once_make_one_instance(shared, teammate, emulator):
    both = [one.start("launch", EXP="demo") for one in (shared, teammate)]
    codes = sorted((process.communicate(timeout=120), process.returncode)[1] for process in both)
    assert codes == [0, 1]
    assert list(instances(emulator)) == ["demo"]


def test_a_registry_goes_into_a_table_and_comes_back(lab, tables):
    lab.well("launch", EXP="demo")
    before = [event["record"] for event in lab.said("history", "history-record", EXP="demo")]
    lab.well("registry_push", DEST=TABLE)
    again = lab.well("registry_push", DEST=TABLE).out
    lab.registry.rename(lab.path / "pushed.json")
    lab.well("registry_pull", SOURCE=TABLE)
    assert again.startswith("0 records of")
    assert [event["record"] for event in lab.said("history", "history-record", EXP="demo")] == before
    assert [one["experiment"] for one in lab.status()] == ["demo"]
    lab.well("teardown", EXP="demo")
