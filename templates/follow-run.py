"""Print the log of an experiment's command as it comes, until the command has ended. Python 3.9 or later."""

from __future__ import annotations

import pathlib
import select
import subprocess
import sys
import time

UNIT = "experiment.service"
ENDED = pathlib.Path("/var/lib/ec2-lab/instance/ended.json")
POLL = 1.0


def gained(cursor: str) -> tuple[bytes, str]:
    """Return what the log has gained since a cursor, and the cursor of now."""
    subprocess.run(["journalctl", "--sync"], check=True)
    since = ["--after-cursor", cursor] if cursor else []
    command = ["journalctl", "--no-pager", "--quiet", "--output=cat", "--show-cursor", *since, f"_SYSTEMD_UNIT={UNIT}"]
    log, found, last = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.rpartition(b"-- cursor: ")
    return log, last.decode().strip() if found else cursor


def main() -> int:
    """Follow; nobody who listens any more is an end too."""
    listener = select.poll()
    listener.register(sys.stdout.fileno(), 0)
    cursor = ""
    while not listener.poll(0):
        ended = ENDED.exists()
        log, cursor = gained(cursor)
        sys.stdout.buffer.write(log)
        sys.stdout.buffer.flush()
        if ended:
            return 0
        time.sleep(POLL)
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError, LookupError, subprocess.SubprocessError) as problem:
        sys.exit(f"ec2-lab: follow-run: {problem}")
