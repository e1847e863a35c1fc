#!/usr/bin/python3 -I
"""Upload the log and the exit status of an experiment's command to its bucket. Python 3.9 or later.

    upload-log          the new part of the log
    upload-log ended    the rest, then the exit status; then the instance ends, if the experiment says so

S3 objects can't be appended to, so the log is uploaded in parts. Each is named by its offset in the log, so a repeated
upload changes nothing, and a missing part shows.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pathlib
import subprocess
import sys
import time

SETTINGS = pathlib.Path("/opt/ec2-lab/run.json")
STATE = pathlib.Path("/var/lib/ec2-lab/instance")
"""This instance's; a link to a directory named after it (templates/new-instance.py)."""
RUNTIME = pathlib.Path("/run/ec2-lab")
PUT = STATE / "put.json"
"""How much of the log is uploaded."""
LOG = STATE / "log"
ROOT = {"HOME": "/root"}
"""systemd runs root's programs after a command with the HOME of the command's account, whose AWS configuration could
name a program to run (https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#%24USER)."""
METADATA = "169.254.169.254,fd00:ec2::254,[fd00:ec2::254]"
"""Where the AWS CLI gets its credentials, with and without the brackets that some programs compare."""
METADATA_TRIES = {"AWS_METADATA_SERVICE_TIMEOUT": "5", "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "5"}
"""The CLI's default is one try of a second (https://docs.aws.amazon.com/cli/latest/topic/config-vars.html)."""
PART = 32 << 20
"""Maximum bytes of a part of the log."""


def environment() -> dict[str, str]:
    """Return the AWS CLI's environment: the configured proxy, but not for the metadata service."""
    given = os.environ.get("no_proxy", os.environ.get("NO_PROXY", ""))
    past = given if given == "*" else ",".join(filter(None, (METADATA, given)))
    return {**METADATA_TRIES, **os.environ, **ROOT, "no_proxy": past, "NO_PROXY": past}


def put(content: bytes, address: str) -> None:
    """Upload an object, retrying for two minutes."""
    command = ["aws", "s3", "cp", "--only-show-errors", "-", address]
    for pause in (2, 5, 10, 20, 40, 40, 0):
        done = subprocess.run(command, input=content, check=False, env=environment(), cwd="/")
        if done.returncode == 0:
            return
        time.sleep(pause)
    done.check_returncode()


def piece_from(place: int) -> tuple[int, bytes]:
    """Return the log from an offset on, to the end of a line if that is much; and its offset: there are gaps."""
    try:
        with LOG.open("rb", buffering=0) as log:
            begins = os.lseek(log.fileno(), place, os.SEEK_DATA)
            os.fsync(log.fileno())  # or more could be uploaded than a power cut leaves
            data = os.pread(log.fileno(), PART, begins)
            given_back = begins != os.lseek(log.fileno(), begins, os.SEEK_DATA)
    except OSError:  # nothing is there, or nothing any more
        return place, b""
    if given_back:
        return piece_from(begins)
    return begins, data if len(data) < PART else data[: data.rfind(b"\n") + 1 or PART]


def put_log(address: str) -> None:
    """Upload new log; it counts only once it has arrived."""
    place, data = piece_from(json.loads(PUT.read_text())["place"] if PUT.exists() else 0)
    while data:
        put(data, f"{address}/log/{place:020}")
        draft = PUT.with_suffix(".new")
        with contextlib.suppress(OSError):  # the disk is full: it is uploaded again
            draft.write_text(json.dumps({"place": place + len(data)}))
            draft.replace(PUT)
        place, data = piece_from(place + len(data))


def main(has_ended: bool) -> int:
    """Upload, one process at a time."""
    settings = json.loads(SETTINGS.read_text())
    address = "/".join((settings["artifact_uri"].rstrip("/"), settings["experiment"], str(STATE.readlink())))
    with (RUNTIME / "bucket-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        put_log(address)
        if has_ended:
            put((STATE / "ended.json").read_bytes(), f"{address}/ended.json")
            subprocess.run(["systemctl", "stop", "--no-block", "experiment-log.timer"], check=False)
    if has_ended and settings["on_completion"] == "teardown":
        subprocess.run(["systemctl", "start", "--no-block", "ec2-lab-power-off@completion.service"], check=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:] == ["ended"]))
    except (OSError, ValueError, LookupError, subprocess.SubprocessError) as problem:
        sys.exit(f"ec2-lab: upload-log: {problem}")
