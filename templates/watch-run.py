"""Print, as one JSON object, how a machine and its experiment's command get on. Python 3.9 or later.

Runs as whoever logs in: what only root may see is asked of sudo, and left out where that wants a password.
"""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
import urllib.error
import urllib.request

UNIT = "experiment.service"
ENDED = pathlib.Path("/var/lib/ec2-lab/ended.json")
DEADLINE = pathlib.Path("/etc/systemd/system/ec2-lab-time-to-live.timer.d/deadline.conf")
METADATA = "http://169.254.169.254/latest"
NOTICES = {"interruption": "meta-data/spot/instance-action", "rebalance": "meta-data/events/recommendations/rebalance"}
"""https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html,
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html"""


def last_line() -> str:
    """Return the last line of the command's log; nothing where there is none yet, or it may not be read."""
    command = [
        "sudo",
        "-n",
        "journalctl",
        "--no-pager",
        "--quiet",
        "--output=cat",
        "--lines=1",
        f"_SYSTEMD_UNIT={UNIT}",
    ]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout.decode(errors="replace").strip()[-500:]


def notices() -> dict[str, object]:
    """Return what AWS announces to a spot machine: nothing, mostly."""
    lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    found: dict[str, object] = {}
    try:
        asking = urllib.request.Request(f"{METADATA}/api/token", method="PUT", headers=lifetime)
        token = urllib.request.urlopen(asking, timeout=2).read().decode()
    except OSError:
        return found
    for name, path in NOTICES.items():
        asking = urllib.request.Request(f"{METADATA}/{path}", headers={"X-aws-ec2-metadata-token": token})
        try:
            found[name] = json.loads(urllib.request.urlopen(asking, timeout=2).read())
        except (OSError, ValueError):  # 404 while there is nothing to announce
            continue
    return found


def deadline() -> int | None:
    """Return when the machine ends itself, in seconds since 1970; None where it does not."""
    found = re.search(r"OnCalendar=@(\d+)", DEADLINE.read_text()) if DEADLINE.exists() else None
    return int(found[1]) if found else None


def main() -> int:
    """Tell all of it once."""
    ended = json.loads(ENDED.read_text()) if ENDED.exists() else None
    print(json.dumps({"line": last_line(), "ended": ended, "ends_at": deadline(), **notices()}))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError, LookupError, subprocess.SubprocessError) as problem:
        sys.exit(f"ec2-lab: watch-run: {problem}")
