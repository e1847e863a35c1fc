"""Print the log of an experiment's command from an offset on, as it grows, until the command has ended.

    follow-log OFFSET

Standard output is a sequence of pieces: `OFFSET LENGTH STATE` and a newline, then LENGTH bytes of the log from that
offset on. STATE is `runs`, or `ended` in the last piece, which holds a message about the log. Python 3.9 or later.
"""

from __future__ import annotations

import collections.abc
import json
import os
import pathlib
import select
import sys
import time

STATE = pathlib.Path("/var/lib/ec2-lab/instance")
LOG = STATE / "log"
ENDED = STATE / "ended.json"
OUTPUT = pathlib.Path("/run/ec2-lab/output")
"""Exists since the command began, until the instance is restarted."""
PIECE = 1 << 18
POLL = 0.25
SIGN_OF_LIFE = 20
"""Polls after which an empty piece is sent."""


def pieces(place: int, length: int) -> collections.abc.Iterator[tuple[int, bytes]]:
    """Yield the log from an offset on: each piece, of limited size, and its offset. There may be gaps."""
    if not LOG.exists():
        return
    with LOG.open("rb", buffering=0) as log:
        while True:
            try:
                place = os.lseek(log.fileno(), place, os.SEEK_DATA)
                data = os.pread(log.fileno(), length, place)
                if place != os.lseek(log.fileno(), place, os.SEEK_DATA):
                    continue  # it was discarded meanwhile
            except OSError:  # nothing is there any more
                return
            if not data:
                return
            yield place, data
            place += len(data)


def last_words() -> bytes | None:
    """Return the final message, if any; None while the command runs."""
    if ENDED.exists():
        missing = json.loads(ENDED.read_text()).get("log_missing")
        return f"\nec2-lab: missing here: {missing}\n".encode() if missing else b""
    if LOG.exists() and not OUTPUT.exists():
        return b"ec2-lab: the instance was started again while the command ran; the command does not run again\n"
    return None


def send(place: int, data: bytes, state: bytes) -> None:
    """Send a piece."""
    sys.stdout.buffer.write(b"%d %d %s\n%s" % (place, len(data), state, data))


def main(place: int) -> int:
    """Follow the log; a closed pipe ends it too."""
    listener = select.poll()
    listener.register(sys.stdout.fileno(), 0)
    quiet = 0
    while not listener.poll(0):
        last, quiet = last_words(), quiet + 1
        for begins, data in pieces(place, PIECE):
            send(begins, data, b"runs")
            place, quiet = begins + len(data), 0
        if last is not None:
            send(place, last, b"ended")
            return 0
        if quiet and quiet % SIGN_OF_LIFE == 0:
            send(place, b"", b"runs")
        sys.stdout.buffer.flush()
        time.sleep(POLL)
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main(int(sys.argv[1])))
    except (OSError, ValueError, LookupError) as problem:
        sys.exit(f"ec2-lab: follow-log: {problem}")
