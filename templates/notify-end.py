#!/usr/bin/python3 -I
"""Publish to the lab's SNS topic that the command has ended, or that the instance ends. Python 3.9 or later.

notify-end command      after the command, whose exit status is recorded
notify-end REASON       before a power-off: ttl, idle; `completion` is already reported by the command
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

SETTINGS = pathlib.Path("/opt/ec2-lab/notify.json")
STATE = pathlib.Path("/var/lib/ec2-lab/instance")
"""Of this instance; a link to a directory that is named after it."""
ROOT = {"HOME": "/root"}
METADATA = "169.254.169.254,fd00:ec2::254,[fd00:ec2::254]"
METADATA_TRIES = {"AWS_METADATA_SERVICE_TIMEOUT": "5", "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "5"}
"""The same text as in upload-log, so that it compresses to nothing in user data."""
REASONS = {"ttl": "it terminates: its ttl is over", "idle": "it terminates: it was idle"}
TIMEOUT = 45


def environment() -> dict[str, str]:
    """Return the AWS CLI's environment: the configured proxy, but not for the metadata service."""
    given = os.environ.get("no_proxy", os.environ.get("NO_PROXY", ""))
    past = given if given == "*" else ",".join(filter(None, (METADATA, given)))
    return {**METADATA_TRIES, **os.environ, **ROOT, "no_proxy": past, "NO_PROXY": past}


def main(reason: str) -> int:
    """Publish, unless there is nothing to tell."""
    settings, instance = json.loads(SETTINGS.read_text()), str(STATE.readlink())
    event = {"event": "instance-ended", "experiment": settings["experiment"], "instance": instance}
    if reason == "command":
        code = json.loads((STATE / "ended.json").read_text())["exit_code"]
        event.update(event="command-exited", exit_code=code)
        text = f"its command exited with status {code}"
    elif reason in REASONS:
        event["reason"] = reason
        text = REASONS[reason]
    else:
        return 0
    subject = f"[{settings['lab']}] {settings['experiment']}: {text} ({instance})"
    command = ["aws", "sns", "publish", "--region", settings["topic"].split(":")[3], "--topic-arn", settings["topic"]]
    command += ["--subject", subject[:100], "--message", f"{subject}\n\n{json.dumps(event, indent=2)}\n"]
    done = subprocess.run(command, check=False, env=environment(), stdout=subprocess.DEVNULL, timeout=TIMEOUT)
    return done.returncode


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except (OSError, ValueError, LookupError, subprocess.SubprocessError) as problem:
        sys.exit(f"ec2-lab: notify-end: {problem}")
