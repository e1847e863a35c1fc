"""A registry moves between a file and a table, both ways, without loss and without doubling."""

import json
import re

import pytest

from tests.live_resources import living_in

TABLE = "dynamodb://us-east-1/team?lease=2s"


def ids(lab, **variables):
    return [e["record"]["id"] for e in lab.run("history", EXP="demo", JSON="1", **variables).events]


@pytest.fixture
def launched(lab):
    assert lab.launch().code == 0
    return lab


def test_a_team_goes_on_in_a_table_where_one_began_in_a_file(launched, cloud):
    pushed = launched.run("registry_push", DEST=TABLE, JSON="1")
    assert pushed.code == 0, pushed.err
    assert pushed.events[-1]["written"] == len(launched.records())
    assert ids(launched, REGISTRY=TABLE) == ids(launched)
    again = launched.run("registry_push", DEST=TABLE, JSON="1")
    assert again.events[-1]["written"] <= 1, "nothing but what the first push itself wrote"
    ended = launched.run("teardown", EXP="demo", REGISTRY=TABLE)
    assert ended.code == 0, ended.err
    assert living_in(cloud, "us-east-1", "instance") == []


def test_a_table_is_taken_home_into_a_file(lab, cloud):
    assert lab.launch(REGISTRY=TABLE).code == 0
    assert not lab.registry.exists()
    for _ in range(2):
        pulled = lab.run("registry_pull", SOURCE=TABLE)
        assert pulled.code == 0, pulled.err
    assert ids(lab) == ids(lab, REGISTRY=TABLE)
    assert lab.teardown().code == 0
    assert living_in(cloud, "us-east-1", "instance") == []


def test_one_that_was_cut_off_is_gone_on_with(launched, cloud):
    cloud.scenario(faults=[{"action": "PutItem", "skip": 4, "code": "AccessDeniedException", "message": "no"}])
    cut = launched.run("registry_push", DEST=TABLE)
    assert cut.code == 1
    assert "AccessDeniedException" in cut.error
    cloud.scenario()
    assert launched.run("registry_push", DEST=TABLE).code == 0
    assert sorted(ids(launched, REGISTRY=TABLE)) == sorted(ids(launched))


@pytest.mark.parametrize(
    ("script", "variables", "said"),
    [
        ("registry_push", {}, "error: DEST: where to? (DEST=dynamodb://us-east-1/lab)"),
        ("registry_pull", {}, "error: SOURCE: where from? (SOURCE=dynamodb://us-east-1/lab)"),
        ("registry_push", {"DEST": "registry.json"}, "error: registry.json: is this lab's own registry"),
        (
            "registry_push",
            {"DEST": "experiments/../registry.json"},
            "error: registry.json: is this lab's own registry",
        ),
        ("registry_pull", {"SOURCE": "nothing.json"}, "error: nothing.json: there is no registry"),
        ("registry_pull", {"SOURCE": "registry.json"}, "error: registry.json: is this lab's own registry"),
        (
            "registry_pull",
            {"SOURCE": "dynamodb:/us-east-1/lab"},
            "error: SOURCE: 'dynamodb:/us-east-1/lab' is not an address",
        ),
        (
            "registry_push",
            {"DEST": "dynamodb://us-east-1/l/b"},
            "error: DEST: 'dynamodb://us-east-1/l/b' is not the address",
        ),
        ("registry_push", {"DEST": "nowhere/registry.json"}, "error: DEST: /"),
        ("registry_push", {"DEST": "dynamodb://x"}, "error: DEST: 'dynamodb://x' is not the address of a table"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(lab, script, variables, said):
    ended = lab.run(script, **variables)
    assert ended.code == 1
    assert ended.error.startswith(said)


def test_two_files_of_one_name_are_two_registries(launched):
    other = launched.write("backup/notes.txt", "").parent / "registry.json"
    assert launched.run("registry_push", DEST=str(other)).code == 0
    assert ids(launched, REGISTRY=str(other)) == ids(launched)


def test_a_table_is_itself_however_long_its_leases_are_to_be(lab):
    ended = lab.run("registry_push", DEST="dynamodb://us-east-1/team?lease=5m", REGISTRY=TABLE)
    assert "is this lab's own registry" in ended.error


def test_history_shows_an_experiment_that_is_over_and_long_put_away(lab):
    assert lab.launch().code == 0
    assert lab.teardown().code == 0
    before = ids(lab)
    padding = {
        "event": "annotation",
        "id": "f" * 32,
        "time": "2026-01-01T00:00:00.000Z",
        "annotation": {"text": "x" * 2_000_000},
    }
    lab.registry.write_text(json.dumps([*lab.records(), padding]))
    assert lab.run("status").code == 0, "whoever comes by puts away what is over"
    assert lab.registry.stat().st_size < 20_000
    assert min(path.name for path in (lab.path / "registry-archive").iterdir()) == "2026-01.jsonl.gz"
    assert ids(lab) == before
    shown = lab.run("history", EXP="demo")
    assert "RunInstances" in shown.out
    assert "TerminateInstances" in shown.out
    assert "DescribeInstances" not in shown.out
    assert re.search(r"launch +launch succeeded +i-[0-9a-f]{17}\n", shown.out), shown.out
    assert re.search(r"teardown +deletion confirmed.* +i-[0-9a-f]{17}", shown.out), shown.out
    assert "provenance" not in shown.out
    assert lab.teardown().code == 0, "a second teardown knows that it was launched"
    (lab.path / "experiments" / "demo.toml").unlink()
    assert lab.run("status", EXP="demo").out == "demo: no live resources\n", "archived, but not unknown"


def test_history_knows_a_sweep_by_its_variations_put_away_or_not(lab):
    lab.write("experiments/speech.toml", 'instance_types = ["g5.xlarge"]\nmatrix.seed = [1, 2]\n')
    assert lab.run("sweep", EXP="speech").code == 0
    assert lab.run("history", EXP="speech").error == "error: speech: nothing is recorded (but of speech-seed1)"
