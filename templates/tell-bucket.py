#!/usr/bin/python3 -I
"""Tell a bucket how an experiment's command gets on. Python 3.9 or later.

    tell-bucket          what the log has gained since the last time
    tell-bucket ended    the rest of it, then the exit code; then the machine ends, where the experiment says so

The log is put in parts, numbered in their order, since what is in S3 can't be added to.
"""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import subprocess
import sys
import time

SETTINGS = pathlib.Path("/opt/ec2-lab/run.json")
STATE = pathlib.Path("/var/lib/ec2-lab/instance")
"""Of this instance; a link to a directory that is named after it (templates/new-instance.py)."""
PUT = STATE / "put.json"
"""How far the log is in the bucket."""
UNIT = "experiment.service"
ROOT = {"HOME": "/root"}
"""systemd gives what it runs as root after a command the HOME of the command's account, whose AWS configuration could
name a program to be run (https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#%24USER)."""
METADATA = "169.254.169.254,fd00:ec2::254,[fd00:ec2::254]"
"""Whom the AWS CLI has its credentials from, with and without the brackets that some programs compare."""
METADATA_TRIES = {"AWS_METADATA_SERVICE_TIMEOUT": "5", "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "5"}
"""The CLI's own is one try of a second (https://docs.aws.amazon.com/cli/latest/topic/config-vars.html)."""
PART = 8 << 20
"""Bytes of log that a part has at most."""


def environment() -> dict[str, str]:
    """Return what the AWS CLI runs with: the proxy that is set, but for the metadata service."""
    given = os.environ.get("no_proxy", os.environ.get("NO_PROXY", ""))
    past = given if given == "*" else ",".join(filter(None, (METADATA, given)))
    return {**METADATA_TRIES, **os.environ, **ROOT, "no_proxy": past, "NO_PROXY": past}


def put(content: bytes, address: str) -> None:
    """Put an object; what fails is tried again for two minutes."""
    for pause in (2, 5, 10, 20, 40, 40, None):
        command = ["aws", "s3", "cp", "--only-show-errors", "-", address]
        done = subprocess.run(command, input=content, check=False, env=environment(), cwd="/")
        if done.returncode == 0:
            return
        if pause is None:
            raise subprocess.CalledProcessError(done.returncode, f"aws s3 cp - {address}")
        time.sleep(pause)


def gained(cursor: str) -> tuple[bytes, str]:
    """Return what the log has gained since a cursor, and the cursor of now."""
    subprocess.run(["journalctl", "--sync"], check=True)
    since = ["--after-cursor", cursor] if cursor else []
    command = ["journalctl", "--no-pager", "--quiet", "--output=cat", "--show-cursor", *since, f"_SYSTEMD_UNIT={UNIT}"]
    log, found, last = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.rpartition(b"-- cursor: ")
    return log, last.decode().strip() if found else cursor


def put_log(address: str) -> None:
    """Put what the log has gained; only when that has arrived it counts as put."""
    state = json.loads(PUT.read_text()) if PUT.exists() else {"cursor": "", "parts": 0}
    log, cursor = gained(state["cursor"])
    parts = state["parts"]
    while log:
        end = log.rfind(b"\n", 0, PART) + 1 if len(log) > PART else 0
        put(log[: end or PART], f"{address}/log/{parts:08}")
        log = log[end or PART :]
        parts += 1
    draft = PUT.with_suffix(".new")
    draft.write_text(json.dumps({"cursor": cursor, "parts": parts}))
    draft.replace(PUT)


def main(has_ended: bool) -> int:
    """Tell, one at a time."""
    settings = json.loads(SETTINGS.read_text())
    address = f"{settings['bucket'].rstrip('/')}/{settings['experiment']}/{STATE.readlink()}"
    with (STATE / "log-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        put_log(address)
        if has_ended:
            put((STATE / "ended.json").read_bytes(), f"{address}/ended.json")
            subprocess.run(["systemctl", "stop", "--no-block", "experiment-log.timer"], check=False)
    if has_ended and settings["then"] == "teardown":
        subprocess.run(["systemctl", "start", "--no-block", "ec2-lab-power-off@completion.service"], check=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:] == ["ended"]))
    except (OSError, ValueError, LookupError, subprocess.SubprocessError) as problem:
        sys.exit(f"ec2-lab: tell-bucket: {problem}")
