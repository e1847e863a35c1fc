"""An instance ends when nothing was done on it for long enough, and never because nobody could tell."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hosts.program import program
from tests.nvidia_smi import NONE, NOT_AVAILABLE

idle = program("idle-shutdown")
LIMIT, GAP = 600, 200
looks = st.lists(st.tuples(st.integers(1, 400), st.booleans()), max_size=60)
"""Seconds since the last look, and whether something was done."""


def over_at(told):
    """The moments at which an instance would end."""
    since, last, now, ends = None, 0, 0, []
    for pause, busy in told:
        now += pause
        since, last = idle.idle_since(since, last, now, busy, GAP), now
        if now - since >= LIMIT:
            ends.append(now)
    return ends


def seen(told):
    """(moment, whether busy) of each look."""
    now = 0
    for pause, busy in told:
        now += pause
        yield now, busy


@given(looks)
def test_it_ends_where_looks_without_a_gap_saw_nothing_for_the_whole_limit_and_nowhere_else(told):
    moments = list(seen(told))
    right = []
    for number, (end, busy) in enumerate(moments):
        start = number
        while start and not moments[start][1] and moments[start][0] - moments[start - 1][0] <= GAP:
            start -= 1
        if not busy and end - moments[start][0] >= LIMIT:
            right.append(end)
    assert over_at(told) == right


def test_a_first_look_ends_nothing():
    assert idle.idle_since(None, 0, 10_000, False, GAP) == 10_000


@pytest.mark.parametrize(
    ("title", "is_login"),
    [
        ("sshd: alice@pts/0", True),
        ("sshd: alice@notty", True),
        ("sshd-session: alice@notty", True),
        ("sshd: alice", True),
        ("/bin/login", True),
        ("/snap/amazon-ssm-agent/1/ssm-session-worker", True),
        ("sshd: alice [priv]", False),
        ("sshd-session: root [net]", False),
        ("sshd-auth: root [net]", False),
        ("sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups", False),
        ("/usr/sbin/sshd", False),
        ("/usr/bin/amazon-ssm-agent", False),
    ],
)
def test_who_is_logged_in_is_told_from_who_only_knocks(tmp_path, monkeypatch, title, is_login):
    monkeypatch.setattr(idle, "PROC", tmp_path)
    (tmp_path / "7").mkdir()
    (tmp_path / "7/cmdline").write_bytes(title.encode() + b"\0\0\0\xff")
    assert idle.logins() == 0, "what is no text is nobody"
    (tmp_path / "7/cmdline").write_bytes(title.encode() + b"\0\0\0")
    assert bool(idle.logins()) is is_login


def test_a_processor_that_waits_for_a_disk_works(tmp_path, monkeypatch):
    monkeypatch.setattr(idle, "PROC", tmp_path)
    (tmp_path / "stat").write_text("cpu  100 10 20 5000 70 3 2 5 9 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
    assert idle.processors() == pytest.approx(2.05)


def test_traffic_is_that_of_all_interfaces_but_loopback(tmp_path, monkeypatch):
    monkeypatch.setattr(idle, "PROC", tmp_path)
    (tmp_path / "net").mkdir()
    header = "Inter-|   Receive                            |  Transmit\n face |bytes    packets errs drop fifo frame\n"
    lines = "    lo: 900 1 0 0 0 0 0 0 900 1 0 0 0 0 0 0\n  ens5:100 2 0 0 0 0 0 0 20 2 0 0 0 0 0 0\n"
    (tmp_path / "net/dev").write_text(header + lines + "docker0: 3 0 0 0 0 0 0 0 4 0 0 0 0 0 0 0\n")
    assert idle.network() == 127


def test_the_instances_own_numbers_can_be_read():
    assert idle.processors() > 0
    assert idle.network() >= 0


def test_a_rate_is_the_growth_in_a_second_and_a_network_that_is_gone_is_change(monkeypatch):
    moments, totals = iter([10.0, 12.0, 13.0]), iter([100, 300, 50])
    monkeypatch.setattr(idle.time, "monotonic", lambda: next(moments))
    read = idle.rate(lambda: next(totals))
    assert [read(), read(), read()] == [0, 100, 250]


@pytest.mark.parametrize("problem", [OSError("gone"), ValueError("[N/A]"), KeyError("maintenance"), IndexError()])
def test_what_can_not_be_read_counts_as_work_and_is_said(problem):
    def read():
        raise problem

    found, problems = idle.look([("GPU", read, 5), ("cores", lambda: 0.1, 0.25)])
    assert found == []
    assert problems == [f"PROBLEM: GPU can't be read, which counts as work: {problem!r}"]


def test_a_command_that_hangs_is_not_asked_again_while_it_does(monkeypatch, tmp_path):
    monkeypatch.setattr(idle, "PATIENCE", 0.05)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = [("GPU", lambda: idle.told("cat", str(pipe)), 5)]
    _, problems = idle.look(reading)
    assert "TimeoutExpired" in problems[0]
    hanging = idle.asked[0]
    _, problems = idle.look(reading)
    assert "hangs" in problems[0]
    assert idle.asked == [hanging], "no second one hangs beside it"
    pipe.write_text("")
    hanging.communicate()
    monkeypatch.setattr(idle, "PATIENCE", 60)
    assert idle.told("echo", "well") == "well"


@pytest.mark.parametrize(
    ("said", "busiest"), [("0\n97\n3", 97), ("0", 0), (NOT_AVAILABLE, None), (NONE, None), ("", None)]
)
def test_the_busiest_gpu_counts_and_odd_words_are_no_number(monkeypatch, tmp_path, said, busiest):
    vendor = tmp_path / "0000:00:1e.0/vendor"
    vendor.parent.mkdir()
    monkeypatch.setattr(idle, "DEVICES", tmp_path)
    monkeypatch.setattr(idle, "told", lambda *_: said)
    monkeypatch.setattr(idle.shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    vendor.write_text("0x1d0f\n")
    assert idle.gpus() == 0, "an image for GPUs on an instance without one is not asked"
    vendor.write_text("0x10de\n")
    if busiest is None:
        with pytest.raises(ValueError, match="invalid literal"):
            idle.gpus()
    else:
        assert idle.gpus() == busiest
