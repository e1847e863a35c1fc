"""Set the expiry of this instance, and read it back from systemd. Runs as root, on Python 3.9 or later.

The argument is JSON: `timer`, `deadline` (the timer's drop-in), `seconds` from now (or `moment`, seconds since 1970),
`files` (text by path, for the timer), and `at_boot`, the units that run at each boot, if any. Prints the expiry, in
seconds since 1970.
"""

from __future__ import annotations

import calendar
import json
import os
import pathlib
import re
import subprocess
import sys
import time

TOLERANCE = 2
"""Seconds."""


def write(path: pathlib.Path, text: str) -> None:
    """Write a file atomically. A script is executable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text)
    draft.chmod(0o755 if text.startswith("#!") else 0o644)
    draft.replace(path)


def next_elapse(timer: str) -> float:
    """Return when systemd will trigger a timer; 0 where it will not."""
    told = subprocess.run(
        ["systemctl", "show", "--property=NextElapseUSecRealtime", timer],
        env={**os.environ, "TZ": "UTC", "LC_ALL": "C"}, stdout=subprocess.PIPE, text=True, check=True,
    ).stdout  # fmt: skip
    found = re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", told)
    if not found:
        return 0
    return calendar.timegm(time.strptime(found[0], "%Y-%m-%d %H:%M:%S"))


def main(given: dict) -> int:
    """Set the expiry, and print it."""
    ends = given.get("moment") or int(time.time()) + given["seconds"]
    for path, text in given["files"].items():
        write(pathlib.Path(path), text)
    length = f"# {given['seconds']}\n" if given.get("seconds") else ""
    write(pathlib.Path(given["deadline"]), f"[Timer]\nOnCalendar=@{ends}\n{length}")
    enabled = [given["timer"], *given.get("at_boot", ())]
    for command in (["daemon-reload"], ["enable", "--quiet", *enabled], ["restart", given["timer"]]):
        subprocess.run(["systemctl", *command], check=True)
    if abs(next_elapse(given["timer"]) - ends) > TOLERANCE:
        print(f"systemd did not accept the new expiry: {given['timer']} elapses at another time", file=sys.stderr)
        return 1
    print(ends)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(json.loads(sys.argv[1])))
    except (OSError, ValueError, LookupError, subprocess.SubprocessError) as problem:
        sys.exit(f"ec2-lab: set-ttl: {problem}")
