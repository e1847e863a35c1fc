"""What powers an instance off asks systemd itself, says so, and goes on until the instance is off."""

import os
import shlex
import subprocess

from ec2lab.templates import text_of

STAND_IN = '#!/bin/sh\necho "$(basename "$0") $*" >> "$LOG"\n'
UNIT = text_of("ec2-lab-power-off@.service")


def test_where_the_shutdown_does_not_begin_it_is_said_and_forced(tmp_path):
    for name in ("systemctl", "sleep"):
        (tmp_path / name).write_text(STAND_IN)
        (tmp_path / name).chmod(0o755)
    (line,) = [line for line in UNIT.splitlines() if line.startswith("ExecStart=")]
    command = shlex.split(line.removeprefix("ExecStart=").replace("%i", "ttl").replace("$$", "$"))
    variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LOG": str(tmp_path / "log")}
    said = subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stdout.splitlines()
    start = "start --no-block --job-mode=replace-irreversibly poweroff.target"
    asked = [start, "poweroff --force", "poweroff --force --force"]
    done = [line for how in asked for line in (f"systemctl {how}", "sleep 60")]
    assert (tmp_path / "log").read_text().splitlines() == done
    problems = [f"ec2-lab: PROBLEM: still running a minute after systemctl {how}" for how in asked]
    assert said == ["ec2-lab: powering off: ttl", *problems]
    assert {"Restart=always", "StandardOutput=journal+console"} <= set(UNIT.splitlines()), "and all over again"
