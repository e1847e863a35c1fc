"""Whatever befalls the registry in the middle of a launch: a defined end, and no acknowledged record lost."""

import json
import signal
import threading

import pytest

from ec2lab.registry.file_registry import FileRegistry
from tests.lab_directory import REPOSITORY
from tests.live_resources import living_in

EXPERIMENT = 'instance_types = ["g5.xlarge"]\n[[data]]\ndataset = "speech"\nmount = "/data"\n'
SAID = {
    "ENOSPC": "no space left on the device, the record was not written; free some space",
    "EIO": "the disk reports an error; move the registry to a sound disk",
    "EROFS": "the file system is read-only",
    "ENOLCK": "its file system cannot lock files (flock); keep the registry on a local disk",
}


@pytest.fixture
def small(lab):
    """A lab with an experiment that one call launches."""
    lab.write("experiments/demo.toml", EXPERIMENT)
    return lab


def on_failing_disk(lab, script, fails):
    path = f"{REPOSITORY / 'tests/faulty_disk'}:{REPOSITORY}"
    return lab.run(script, EXP="demo", DISK_FAILS=fails, PYTHONPATH=path)


def alive(cloud):
    return [thing for kind in ("instance", "volume") for thing in living_in(cloud, "us-east-1", kind)]


@pytest.mark.parametrize("first", [2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize(("call", "code"), [("pwrite", "ENOSPC"), ("fdatasync", "EIO")])
def test_a_disk_that_fails_in_the_midst_of_a_launch_loses_nothing_that_was_written(small, cloud, call, code, first):
    ended = on_failing_disk(small, "launch", f"{call} {code} {first}")
    assert ended.code == 1
    assert SAID[code] in ended.err
    before = acknowledged(small)
    asked = [call for call in cloud.calls("RunInstances") if call["code"] is None]
    intents = [r for r in before if r.operation == "RunInstances" and r.event == "intent"]
    assert len(asked) <= len(intents), "no call left before its intent was on disk"
    if intents:
        assert small.teardown().code == 0
        assert acknowledged(small)[: len(before)] == before
        assert isinstance(small.records(), list), "one JSON document again"
    assert alive(cloud) == []


def acknowledged(lab):
    """The whole records; a disk that failed may have left no end behind them, which the next record fixes."""
    return list(FileRegistry(lab.registry).records())


@pytest.mark.parametrize("code", ["EROFS", "EIO"])
def test_where_the_registry_can_not_be_opened_nothing_is_asked_of_aws(small, cloud, code):
    ended = on_failing_disk(small, "launch", f"pwrite {code} 1")
    assert ended.code == 1
    assert SAID[code] in ended.error
    assert cloud.calls("RunInstances") == []


def test_where_the_file_system_has_no_locks_nothing_is_begun(small, cloud):
    ended = on_failing_disk(small, "launch", "flock ENOLCK 1")
    assert ended.code == 1
    assert SAID["ENOLCK"] in ended.error
    assert cloud.calls() == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("garbage", "is not a registry (a JSON array of records); nothing was changed"),
        ('{"a": 1}', "is not a registry"),
        (
            '[\n{"event":"annotation","format":99,"id":"1"}\n]\n',
            "has format 99, this ec2-lab reads up to 1; upgrade ec2-lab",
        ),
        (
            '[\n{"event":"annotation","id":"1"},\n{"event":"ann\n{"event":"annotation","id":"2"}\n]\n',
            "is damaged; nothing was ch",
        ),
    ],
)
@pytest.mark.parametrize("script", ["launch", "teardown", "status"])
def test_a_registry_that_can_not_be_read_is_named_and_never_written_over(small, cloud, content, said, script):
    small.registry.write_text(content)
    ended = small.run(script, EXP="demo") if script != "status" else small.run(script)
    assert ended.code == 1
    assert said in ended.error
    assert small.registry.read_text() == content
    assert cloud.calls("RunInstances") == []


def launching(lab, cloud):
    """A launch whose instance is pending until the cloud hurries, its RunInstances answered and recorded."""
    cloud.scenario(pending=600)
    process = lab.start("launch", EXP="demo", JSON="1")
    while '"instance-pending"' not in process.stdout.readline():
        assert process.poll() is None
    return process


def test_a_registry_that_is_removed_meanwhile_begins_again_and_is_given_back_what_it_forgot(small, cloud):
    process = launching(small, cloud)
    small.registry.unlink()
    cloud.advance(600)
    process.communicate(timeout=60)
    assert process.returncode == 0
    cloud.scenario()
    if small.run("teardown", EXP="demo").code:
        shown = small.run("audit", REGIONS="us-east-1 us-west-2", JSON="1")
        (lost,) = {event["registry"] for event in shown.events if event.get("finding") == "another registry's"}
        given = small.run("registry_rebuild", REGIONS="us-east-1 us-west-2", ONLY=lost, YES="1")
        assert given.code == 0, given.err
        assert small.run("teardown", EXP="demo").code == 0
    assert alive(cloud) == []


def test_one_that_is_replaced_by_garbage_meanwhile_is_left_as_it_is_and_its_copy_put_back_ends_all(small, cloud):
    process = launching(small, cloud)
    copy = small.registry.read_text()
    small.registry.write_text("garbage\n")
    cloud.advance(600)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "is not a registry" in err
    assert small.registry.read_text() == "garbage\n"
    cloud.scenario()
    small.registry.write_text(copy)
    assert small.teardown().code == 0
    assert alive(cloud) == []


def test_one_that_was_laid_out_by_hand_is_read_and_goes_on(small, cloud):
    assert small.launch().code == 0
    before = small.records()
    small.registry.write_text(json.dumps(before, indent=4))
    assert small.teardown().code == 0
    assert small.records()[: len(before)] == before
    assert alive(cloud) == []


def test_eight_launches_at_once_lose_no_record_of_each_other(lab, cloud):
    for number in range(8):
        lab.write(f"experiments/e{number}.toml", EXPERIMENT)
    ended = [None] * 8

    def launch(number):
        ended[number] = lab.run("launch", EXP=f"e{number}")

    threads = [threading.Thread(target=launch, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.code for one in ended] == [0] * 8, [one.err for one in ended]
    lived = {line["experiment"] for line in lab.status()}
    assert lived == {f"e{number}" for number in range(8)}
    records = lab.records()
    for event in ("intent", "response"):
        asked = [r for r in records if r.get("operation") == "RunInstances" and r["event"] == event]
        assert {r["experiment"] for r in asked} == lived


def test_a_second_actor_is_told_who_acts_where_and_since_when(small, cloud):
    process = launching(small, cloud)
    refused = small.run("teardown", EXP="demo")
    assert refused.code == 1
    holder = rf"{process.pid}, since 20"
    assert "demo is locked by launch (" in refused.error
    assert holder in refused.error
    assert "@" in refused.error
    cloud.advance(600)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_who_died_holds_nothing(small, cloud):
    process = launching(small, cloud)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert "launch (" in (small.path / "registry.json.locks/demo").read_text(), "he left his name"
    cloud.scenario()
    ended = small.teardown()
    assert ended.code == 0, ended.err
    assert alive(cloud) == []
