#!/usr/bin/python3 -I
"""Publish to the lab's SNS topic that the command has ended, or that the instance ends. Python 3.9 or later.

notify-end command      after the command, whose exit status is on file
notify-end REASON       before a power-off: ttl, idle; of `completion` the command has told
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
METADATA = "169.254.169.254,fd00:ec2::254,[fd00:ec2::254]"
"""Where the AWS CLI gets its credentials: not through a proxy."""
REASONS = {"ttl": "it ends, as its ttl is over", "idle": "it ends, as it was idle"}
TIMEOUT = 45


def main(reason: str) -> int:
    """Publish, unless there is nothing to tell."""
    settings, instance = json.loads(SETTINGS.read_text()), str(STATE.readlink())
    event = {"event": "instance-ended", "experiment": settings["experiment"], "instance": instance, "reason": reason}
    if reason == "command":
        code = json.loads((STATE / "ended.json").read_text())["exit_code"]
        event.update(event="command-exited", exit_code=code)
        del event["reason"]
        text = f"its command exited with status {code}"
    elif reason in REASONS:
        text = REASONS[reason]
    else:
        return 0
    subject = f"[{settings['lab']}] {settings['experiment']}: {text} ({instance})"
    topic = settings["topic"]
    proxies = {"no_proxy": METADATA, "NO_PROXY": METADATA}
    for name in proxies:
        proxies[name] = ",".join(filter(None, (METADATA, os.environ.get(name))))
    return subprocess.run(
        ["aws", "sns", "publish", "--region", topic.split(":")[3], "--topic-arn", topic, "--subject", subject[:100],
         "--message", f"{subject}\n\n{json.dumps(event, indent=2)}\n", "--cli-connect-timeout=5"],
        env={**os.environ, "HOME": "/root", **proxies}, stdout=subprocess.DEVNULL, timeout=TIMEOUT, check=False,
    ).returncode  # fmt: skip


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except (OSError, ValueError, LookupError, subprocess.SubprocessError) as problem:
        sys.exit(f"ec2-lab: notify-end: {problem}")
