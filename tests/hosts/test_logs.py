"""A command's log is followed over ssh, by as many as like to, and across connections that break off."""

import json

import pytest

from tests.hosts.instance import LOG

BUCKET = 'artifact_uri = "s3://lab-runs/of"\ninstance_profile = "writer"\n'
SESSIONS = "for session in $(pgrep -P $(cat /run/sshd.pid)); do kill $session $(pgrep -P $session); done"
"""Ends every connection."""


def test_two_read_at_once_each_line_once_though_their_connections_break_off(running):
    lab, host, variables, *_ = running
    running.prints("epoch 1\n")
    readers = [lab.start("logs", EXP="demo", JSON="1", **variables) for _ in range(2)]
    for reader in readers:
        assert json.loads(reader.stdout.readline())["text"] == "epoch 1"
    with host.path(LOG).open("a") as log:
        log.write("epoch 2\nepo")
        log.flush()
        for reader in readers:
            assert json.loads(reader.stdout.readline())["text"] == "epoch 2"
        host.run("bash", "-c", SESSIONS)
        log.write("ch 3\nepoch 4\n")
    running.ends(0)
    for reader in readers:
        out, err = reader.communicate(timeout=60)
        assert reader.returncode == 0, err
        assert [json.loads(line)["text"] for line in out.splitlines()] == ["epoch 3", "epoch 4"]
        assert "demo: " in err
        assert "the log continues from where it stopped" in err


def test_the_log_of_an_instance_that_cannot_be_logged_in_to_is_one_clear_error_at_once(running):
    lab, _, variables, *_ = running
    (lab.path.parent / "home/.ssh/config").write_text("Match host 127.0.0.1\n  Port 1\n")
    ended = lab.run("logs", EXP="demo", **variables)
    assert ended.code == 1
    assert "error: demo: " in ended.err


@pytest.mark.parametrize("running", [BUCKET], indirect=True, ids=["bucket"])
def test_what_the_instance_has_given_up_of_a_log_is_taken_from_the_bucket_and_what_neither_has_is_named(running, cloud):
    lab, host, variables, instance, _ = running
    lines = [f"epoch {number} {'=' * 4087}\n" for number in range(8)]
    place = len(lines[0])
    assert place % 4096 == 0, "of which holes are made"
    s3 = cloud.client("s3", "us-east-1")
    s3.create_bucket(Bucket="lab-runs")
    parts = {0: lines[0] + lines[1], 2 * place: lines[2], 3 * place: lines[3] + lines[4]}
    for begins, text in parts.items():
        s3.put_object(Bucket="lab-runs", Key=f"of/demo/{instance}/log/{begins:020}", Body=text.encode())
    running.prints("")
    with host.path(LOG).open("w") as log:
        log.seek(4 * place)
        log.write("".join(lines[4:]))
    running.ends(0)
    shown = lab.run("logs", EXP="demo", **variables)
    assert (shown.code, shown.out) == (0, "".join(lines)), shown.err
    s3.delete_object(Bucket="lab-runs", Key=f"of/demo/{instance}/log/{2 * place:020}")
    shown = lab.run("logs", EXP="demo", **variables)
    missing = f"\nec2-lab: {2 * place:,} bytes of the log are missing here: they were given up for newer ones\n"
    assert shown.out == "".join(lines[:2]) + missing + "".join(lines[4:])
