"""A command that is ended in the midst takes down what it made, whatever comes after the first signal."""

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import sys
import termios
import time

import pytest

from tests.waiting import in_quick_motion, wait_until

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


def started(lab, cloud, **scenario):
    """A launch that waits for its instance."""
    cloud.scenario(pending=60, shutting_down=1, **scenario)
    process = lab.start("launch", EXP="demo", JSON="1")
    while '"instance-pending"' not in process.stdout.readline():
        assert process.poll() is None
    return process


def left(cloud):
    return [one["id"] for one in cloud.inventory() if one["kind"] == "instance" and one["state"] != "terminated"]


def until_taking_down(cloud, process):
    assert wait_until(lambda: cloud.calls("TerminateInstances") or process.poll())
    assert process.poll() is None


@pytest.mark.parametrize("signals", [[HUP, HUP], [TERM, TERM], [HUP, TERM, INT], [INT, INT, INT]])
def test_signals_after_the_first_do_not_end_the_rollback(lab, cloud, signals):
    process = started(lab, cloud)
    for number in signals:
        process.send_signal(number)
    until_taking_down(cloud, process)
    for number in signals:
        process.send_signal(number)
    with in_quick_motion(cloud):
        _, err = process.communicate(timeout=60)
    assert left(cloud) == []
    assert process.returncode == 130
    assert "still rolling back" in err
    assert err.splitlines()[-1] == "error: interrupted"


def test_readers_that_are_gone_do_not_end_it(lab, cloud):
    process = started(lab, cloud)
    process.stdout.close()
    process.stderr.close()
    process.stdout = process.stderr = None
    process.send_signal(TERM)
    with in_quick_motion(cloud):
        assert process.wait(60) == 130
    assert left(cloud) == []


def fill(stream):
    """Write into the pipe that a stream reads from, until no more goes in."""
    end = os.open(f"/proc/self/fd/{stream.fileno()}", os.O_WRONLY | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(end, b"\n")
    os.close(end)


@pytest.mark.skipif(sys.platform != "linux", reason="opens a pipe's other end by /proc")
def test_readers_that_have_stopped_do_not_hold_it_up(lab, cloud):
    process = started(lab, cloud)
    for stream in (process.stdout, process.stderr):
        fill(stream)
    process.send_signal(HUP)
    with in_quick_motion(cloud):
        assert process.wait(60) == 130
    assert left(cloud) == []


def test_with_output_closed_from_the_start_nothing_is_written_where_it_does_not_belong(lab, cloud):
    command = f"exec {sys.executable} -m scripts.launch <&- >&- 2>&-"
    subprocess.run(["sh", "-c", command], cwd=lab.path, env=lab.environment(EXP="demo"), check=True)
    assert len(left(cloud)) == 1
    assert lab.records()[-1]["event"] == "annotation", "it is one JSON document"


class Terminal:
    """A launch that is the first process of a session with a terminal of its own."""

    def __init__(self, lab):
        self.master, slave = os.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scripts.launch"],
            cwd=lab.path, env=lab.environment(EXP="demo"), stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(slave)
        self.said = ""
        """What was said since the text that was last waited for."""

    def until(self, *texts, seconds=60.0):
        """Read until one of some texts was said, and return it."""
        began = time.monotonic()
        while not (found := [text for text in texts if text in self.said]):
            assert time.monotonic() - began < seconds, self.said
            if select.select([self.master], [], [], 0.1)[0]:
                self.said += os.read(self.master, 4096).decode()
        self.said = self.said.partition(found[0])[2]
        return found[0]


def test_a_terminal_that_is_closed_leaves_nothing_running(lab, cloud):
    cloud.scenario(pending=60, shutting_down=1)
    terminal = Terminal(lab)
    terminal.until(" starts")
    os.close(terminal.master)
    until_taking_down(cloud, terminal.process)
    terminal.process.send_signal(HUP)
    with in_quick_motion(cloud):
        assert terminal.process.wait(60) == 130
    assert left(cloud) == []


def test_at_a_terminal_one_who_insists_is_asked_and_then_obeyed(lab, cloud):
    cloud.scenario(pending=60, shutting_down=60)
    terminal = Terminal(lab)
    terminal.until(" starts")
    os.write(terminal.master, b"\x03")
    terminal.until("deleting instance")
    asked = False
    while not asked:
        os.write(terminal.master, b"\x03")
        asked = terminal.until("once more stops", "still rolling back") == "once more stops"
    os.write(terminal.master, b"\x03")
    terminal.until("stopped: what was created may still exist; `make teardown EXP=demo` deletes it")
    terminal.until("error: interrupted; and the rollback failed (interrupted)")
    assert terminal.process.wait(10) == 1
    os.close(terminal.master)


def test_one_who_waits_for_a_region_that_does_not_respond_ends_it_with_ctrl_c_at_once(lab, cloud):
    lab.write("experiments/demo.toml", 'instance_types = ["g5.xlarge"]\n')
    assert lab.launch().code == 0
    cloud.scenario(faults=[{"action": "DescribeInstances", "kind": "hang-after"}])
    seen = len(cloud.calls("DescribeInstances"))
    process = lab.start("stop", EXP="demo", YES="1")
    assert wait_until(lambda: len(cloud.calls("DescribeInstances")) > seen)
    process.send_signal(INT)
    assert process.communicate(timeout=10)[1] == "error: interrupted\n"
    assert process.returncode == 130
