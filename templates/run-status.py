"""Print, as one JSON object, the state of an instance and its experiment's command. Python 3.9 or later.

Runs as the user who logs in. What only root may read is read by sudo, and left out if that requires a password.
"""

from __future__ import annotations

import http.client
import json
import pathlib
import re
import subprocess
import sys
import urllib.error
import urllib.request

LOG = "/var/lib/ec2-lab/instance/log"
ENDED = pathlib.Path("/var/lib/ec2-lab/instance/ended.json")
CONTAINER = pathlib.Path("/var/lib/ec2-lab/instance/container")
DEADLINE = pathlib.Path("/etc/systemd/system/ec2-lab-time-to-live.timer.d/deadline.conf")
METADATA = "http://169.254.169.254/latest"
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""The metadata service is never behind a proxy, whatever the environment says."""
PATIENCE = 2
"""Seconds for each of its responses."""
NOTICES = {"interruption": "meta-data/spot/instance-action", "rebalance": "meta-data/events/recommendations/rebalance"}
"""https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html,
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html"""
NOTHING_ANNOUNCED = 404


def last_line() -> str:
    """Return the last line of the command's log; empty where there is none yet, or it may not be read."""
    command = ["sudo", "-n", "tail", "--bytes=4096", LOG]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    text = done.stdout.decode(errors="replace")
    return next((line.strip() for line in reversed(re.split(r"[\r\n]", text)) if line.strip()), "")[-500:]


def metadata(path: str, method: str = "GET", **headers: str) -> bytes:
    """Return the metadata service's response. Raises OSError, http.client.HTTPException."""
    named = {f"X-aws-ec2-metadata-{name.replace('_', '-')}": value for name, value in headers.items()}
    asking = urllib.request.Request(f"{METADATA}/{path}", method=method, headers=named)
    return DIRECT.open(asking, timeout=PATIENCE).read(1 << 16)


def notices() -> dict[str, object]:
    """Return AWS's notices to a spot instance, usually none; `unseen` is why they are unknown."""
    found: dict[str, object] = {}
    try:
        token = metadata("api/token", "PUT", token_ttl_seconds="60").decode()
        for name, path in NOTICES.items():
            try:
                found[name] = json.loads(metadata(path, token=token))
            except urllib.error.HTTPError as refused:
                if refused.code != NOTHING_ANNOUNCED:
                    raise
    except (OSError, ValueError, http.client.HTTPException) as problem:
        found["unseen"] = str(problem) or repr(problem)
    return found


def deadline() -> int | None:
    """Return when the instance ends itself, in seconds since 1970; None where it does not."""
    found = re.search(r"OnCalendar=@(\d+)", DEADLINE.read_text()) if DEADLINE.exists() else None
    return int(found[1]) if found else None


def main() -> int:
    """Print everything once."""
    ended = json.loads(ENDED.read_text()) if ENDED.exists() else None
    container = CONTAINER.read_text() if CONTAINER.exists() else ""
    print(json.dumps({"container": container, "line": last_line(), "ended": ended, "ends_at": deadline(), **notices()}))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError, LookupError, subprocess.SubprocessError) as problem:
        sys.exit(f"ec2-lab: run-status: {problem}")
