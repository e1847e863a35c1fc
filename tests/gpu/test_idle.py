"""A real GPU at work keeps its instance; one that rests does not, nor does one of which nothing is known end it."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from tests.changed_constants import sent_with
from tests.nvidia_smi import NONE, NOT_AVAILABLE
from tests.waiting import wait_until

pytestmark = pytest.mark.gpu
SYSTEMCTL = '#!/bin/sh\necho "$*" >>"${0%/*}/asked"\necho inactive\n'
"""A systemd with no command of an experiment."""


class Watched:
    """An instance on which nothing is done but by its GPU, and the program that watches it."""

    def __init__(self, directory):
        self.directory, self.asked = directory, directory / "bin/asked"
        for name, text in (("proc/stat", "cpu  0 0 0 0 0 0 0 0 0 0\n"), ("proc/net/dev", ""), ("set-up", "{}"),
                           ("bin/systemctl", SYSTEMCTL), ("found", ""), ("bin/asked", "")):  # fmt: skip
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text)
        (directory / "bin/systemctl").chmod(0o755)

    @contextmanager
    def for_seconds(self, limit, **constants):
        """Watch it, with this idle_timeout."""
        path = f"{self.directory}/{{}}".format
        text = sent_with("idle-shutdown.py", **{
            "PROC, DEVICES": f'pathlib.Path("{path("proc")}"), pathlib.Path("/sys/bus/pci/devices")',
            "FOUND": f'pathlib.Path("{path("found")}")', "SET_UP": f'"{path("set-up")}"', **constants,
        })  # fmt: skip
        environment = {**os.environ, "PATH": f"{path('bin')}:{os.environ['PATH']}"}
        words = [sys.executable, "-I", "-c", text, str(limit), "0.2"]
        with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL) as watching:
            try:
                yield
            finally:
                watching.kill()

    def sees(self, what):
        """Return whether the last check soon finds this."""
        return wait_until(lambda: what in self.found, 20)

    @property
    def found(self):
        """What the last check found."""
        return (self.directory / "found").read_text()

    @property
    def ends(self):
        """Whether the instance is powered off."""
        return "start --no-block ec2-lab-power-off@idle.service" in self.asked.read_text()


@pytest.fixture
def instance(tmp_path):
    return Watched(tmp_path)


def test_a_gpu_at_work_keeps_the_instance_and_memory_that_is_only_held_does_not(instance, process):
    with process("hold"), instance.for_seconds(4):
        with process("multiply"):
            assert instance.sees("s: GPU "), instance.found
            time.sleep(6)
            assert instance.sees("s: GPU "), instance.found
            assert not instance.ends
        assert wait_until(lambda: instance.ends, 20), instance.found


def test_an_instance_whose_gpu_nobody_uses_ends(instance):
    with instance.for_seconds(3):
        assert wait_until(lambda: instance.ends, 20), instance.found


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ('exec "$real" "${@/utilization.gpu/driver_model.current}"', repr(NOT_AVAILABLE)),
        ('exec "$real" --id=99 "$@"', repr(NONE)),
        ("exec sleep 30", "hangs"),
    ],
    ids=["not-available", "fails", "hangs"],
)
def test_a_gpu_of_which_nothing_is_known_keeps_the_instance(instance, other_nvidia_smi, program, said):
    other_nvidia_smi(program)
    with instance.for_seconds(1, PATIENCE=2):
        assert instance.sees("PROBLEM: GPU can't be read, which counts as work"), instance.found
        assert instance.sees(said), instance.found
        time.sleep(3)
        assert not instance.ends
