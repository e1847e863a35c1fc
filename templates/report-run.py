#!/usr/bin/python3
"""Tell how an experiment's command gets on: its log goes to a bucket, its exit code is written down.

    report-run          what the log has gained since the last time goes to the bucket
    report-run ended    the same, then the exit code; the machine ends itself where the experiment says so

systemd runs it, with SERVICE_RESULT, EXIT_CODE and EXIT_STATUS in the environment at the end (systemd.exec(5)). The
log is put in parts, numbered in their order, since what is in S3 can't be added to. Python 3.9 or later.
"""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.request

SETTINGS = pathlib.Path("/opt/ec2-lab/run.json")
STATE = pathlib.Path("/var/lib/ec2-lab")
ENDED = STATE / "ended.json"
PUT = STATE / "put.json"
"""How far the log is in the bucket."""
UNIT = "experiment.service"
METADATA = "http://169.254.169.254/latest"
PART = 8 << 20
"""Bytes of log that a part has at most."""


def exit_code(environment: dict[str, str]) -> int:
    """Return the exit code of the command, as a shell has it: 128 and the signal's number where it was killed."""
    status = environment.get("EXIT_STATUS", "")
    if environment.get("EXIT_CODE") == "exited":
        return int(status)
    number = getattr(signal, f"SIG{status}", None)
    return 128 + int(number) if number else 1


def instance() -> str:
    """Return this machine's own id."""
    lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    asking = urllib.request.Request(f"{METADATA}/api/token", method="PUT", headers=lifetime)
    token = urllib.request.urlopen(asking, timeout=10).read().decode()
    asking = urllib.request.Request(f"{METADATA}/meta-data/instance-id", headers={"X-aws-ec2-metadata-token": token})
    return urllib.request.urlopen(asking, timeout=10).read().decode()


def put(content: bytes, address: str) -> None:
    """Put an object; what fails is tried again for two minutes."""
    for pause in (2, 5, 10, 20, 40, 40, None):
        done = subprocess.run(["aws", "s3", "cp", "--only-show-errors", "-", address], input=content, check=False)
        if done.returncode == 0:
            return
        if pause is None:
            raise subprocess.CalledProcessError(done.returncode, f"aws s3 cp - {address}")
        time.sleep(pause)


def gained(cursor: str) -> tuple[bytes, str]:
    """Return what the log has gained since a cursor, and the cursor of now."""
    subprocess.run(["journalctl", "--sync"], check=True)
    since = ["--after-cursor", cursor] if cursor else []
    command = [
        "journalctl",
        f"_SYSTEMD_UNIT={UNIT}",
        "--no-pager",
        "--output",
        "cat",
        "--quiet",
        "--show-cursor",
        *since,
    ]
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
    write(PUT, {"cursor": cursor, "parts": parts})


def write(path: pathlib.Path, content: dict) -> None:
    """Write a file as a whole."""
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(content) + "\n")
    draft.chmod(0o644)
    draft.replace(path)


def main(what: str) -> int:
    """Tell, one at a time."""
    settings = json.loads(SETTINGS.read_text())
    STATE.mkdir(parents=True, exist_ok=True)
    ended = {"exit_code": exit_code(dict(os.environ)), "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    if what == "ended":
        then = "; this machine ends when that is told" if settings["then"] == "teardown" else ""
        print(f"ec2-lab: the command ended with {ended['exit_code']}{then}", flush=True)
        write(ENDED, ended)
    if settings["bucket"]:
        address = f"{settings['bucket'].rstrip('/')}/{settings['experiment']}/{instance()}"
        with (STATE / "log-lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            put_log(address)
            if what == "ended":
                put(json.dumps(ended).encode(), f"{address}/ended.json")
                subprocess.run(["systemctl", "stop", "--no-block", "experiment-log.timer"], check=False)
    if what == "ended" and settings["then"] == "teardown":
        subprocess.run(["systemctl", "poweroff", "--no-block"], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
