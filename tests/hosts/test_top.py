"""What instances are busy with is read over ssh, from programs that they have."""

import socket

import pytest

from tests.hosts.instance import LOG, reach_elsewhere
from tests.nvidia_smi import AT_REST, AT_WORK, NOT_AVAILABLE
from tests.terminal_screen import run_on_terminal

NVIDIA_SMI = f"#!/bin/sh\nprintf '{AT_WORK}\\n{AT_REST.replace('0', NOT_AVAILABLE, 1)}\\n'\n"
LAST_LINE = "epoch 2: 41%\x1b]0;a title\x07"
"""With a sequence that a terminal obeys, as anything on an instance may print it."""


@pytest.mark.parametrize("instances", [2], indirect=True)
def test_top_shows_each_instance_and_why_nothing_is_known_of_one(instances):
    lab, host, variables = instances
    host.write("/usr/local/bin/nvidia-smi", NVIDIA_SMI, mode=0o755)
    host.write(LOG, f"epoch 1\n\repoch 2: 40%\r{LAST_LINE}")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        reach_elsewhere(lab, "demo-2", silent.getsockname()[1])
        shown = lab.run("top", JSON="1", **variables)
    assert shown.code == 0, shown.err
    first, second = shown.events
    assert (first["host"], first["line"], first["problem"]) == ("demo-1", LAST_LINE, "")
    assert (first["gpu"], first["gpu_memory_used"]) == ([99, None], [4979, 0])
    assert first["gpu_memory_total"] == [143771, 143771]
    assert 0 <= first["cpu"] <= 100
    assert 0 < first["memory_used"] < first["memory_total"]
    assert second["problem"].startswith("demo-2: no program could be started there within 3 s")
    left = run_on_terminal(lab, "top", interrupted_at="epoch 2: 41%", **{**variables, "HOST": "demo-1"})
    assert left.code == 0
    screen = "\n".join(left.lines)
    assert "99% of 2" in screen
    assert "5/281 GiB" in screen
    assert "error" not in screen
    assert r"\x1b]0;a" in screen
