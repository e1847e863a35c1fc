"""Files are copied to and from instances whatever they are called, and come back as they were."""

import os
import signal

import pytest

from tests.test_file_stream import content, write
from tests.waiting import wait_until

NAMED = {
    "-rf": b"dash", "a b\n'c\"$(id)*[?].txt": bytes(range(256)), os.fsdecode(b"\xff\xfe"): b"no text", "--": {"~": b""},
    "big": b"0123456789abcdef" * (1 << 18), "run.sh": b"#!/bin/sh\n",
}  # fmt: skip


@pytest.mark.parametrize("instances", [2], indirect=True)
def test_what_is_pushed_to_all_instances_comes_back_a_directory_for_each(instances, tmp_path):
    lab, host, variables = instances
    here, there = tmp_path / "it's here", "/home/alice/it's -there\n"
    write(NAMED, here)
    (here / "run.sh").chmod(0o755)
    (here / "latest").symlink_to("--")
    (here / "out").symlink_to("/etc")
    one = {**variables, "HOST": "demo-1"}
    pushed = lab.run("push", SOURCE=str(here), DEST=there, **one)
    assert pushed.code == 0, pushed.err
    (here / "out").unlink()
    assert content(host.path(there)) == content(here)
    assert host.run("stat", "-c", "%U", f"{there}/-rf").stdout == "alice\n"
    again = lab.run("push", SOURCE=str(here), DEST=there, JSON="1", **variables).events  # both are one host
    assert sorted(event["host"] for event in again) == ["demo-1", "demo-2"]
    assert {(event["event"], event["files"], event["bytes"], event["unchanged"]) for event in again} == {
        ("files-copied", 0, 0, 6)
    }
    pulled = lab.run("pull", SOURCE=there, DEST="./out", **variables)
    assert pulled.code == 0, pulled.err
    assert sorted(path.name for path in (lab.path / "out").iterdir()) == ["demo-1", "demo-2"]
    for name in ("demo-1", "demo-2"):
        assert content(lab.path / "out" / name) == content(here)
    assert os.access(lab.path / "out/demo-1/run.sh", os.X_OK)
    assert lab.run("pull", SOURCE=f"{there}/big", DEST="model.pt", **one).code == 0
    assert (lab.path / "model.pt").stat().st_size == len(NAMED["big"])


@pytest.mark.parametrize("instances", [1], indirect=True)
def test_a_copy_that_is_interrupted_continues_and_what_cannot_be_copied_is_one_line(instances, tmp_path):
    lab, host, variables = instances
    here, there = tmp_path / "big", host.path("/home/alice/data/big")
    here.write_bytes(os.urandom(64 << 20))
    pushing = lab.start("push", SOURCE=str(here), DEST="data/big", **variables)
    partial = wait_until(lambda: [p for p in there.parent.glob(".ec2-lab-*") if p.stat().st_size > 1 << 20])
    pushing.send_signal(signal.SIGINT)
    pushing.communicate(timeout=60)
    assert pushing.returncode == 130
    assert not there.exists()
    part = partial[0].stat().st_size
    (pushed,) = lab.run("push", SOURCE=str(here), DEST="data/big", JSON="1", **variables).events
    assert 0 < part <= 64 << 20
    assert pushed["files"] == 1
    assert there.read_bytes() == here.read_bytes()
    assert list(there.parent.iterdir()) == [there]
    for script, source, dest, words in (
        ("push", str(here), "/root/x", "error: demo: the copy exited with status 1: /root: Permission denied"),
        ("pull", "nowhere", "x", "error: demo: the copy exited with status 1: "),
        ("push", "nowhere", "x", f"error: SOURCE: {lab.path}/nowhere: No such file or directory"),
        ("pull", "data/big", "lab.toml/x", "error: demo: "),
    ):
        ended = lab.run(script, SOURCE=source, DEST=dest, **variables)
        assert ended.error.startswith(words)
        assert ended.code == 1
