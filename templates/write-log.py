#!/usr/bin/python3 -I
"""Write the output of an experiment's command to its log. Standard input is the pipe that the command writes to.

systemd owns the pipe, which outlives this program: it exits when no output comes, and is started again for more. A full
disk neither ends nor blocks the command: missing output is counted, and the log says so once there is space. Offsets in
the log never change: if it becomes too large, the oldest part is released to the file system as a hole in the file.
Python 3.9 or later.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import pathlib
import select
import sys
import time

LOG = pathlib.Path("/var/lib/ec2-lab/instance/log")
RUNTIME = pathlib.Path("/run/ec2-lab")
MISSING = RUNTIME / "log-missing"
"""What is missing at the end of the log, in words; in memory, which cannot be full."""
LARGEST = 4 << 30
"""Bytes of log that are kept, at most a tenth of the file system, like journald's."""
RESERVED = 16 << 20
"""Bytes that are reserved ahead: when the disk is full, the command's message about it still fits."""
PIECE = 1 << 20
SYNC = 1.0
"""Seconds after which written data survives a power cut."""
IDLE = 60
KEEP_SIZE, PUNCH_HOLE = 1, 2
"""fallocate(2)"""


def allocate(file: int, mode: int, place: int, length: int) -> None:
    """Call fallocate(2), where the file system supports it. Raises OSError."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.fallocate(file, mode, ctypes.c_long(place), ctypes.c_long(length)):
        number = ctypes.get_errno()
        if number != errno.EOPNOTSUPP:
            raise OSError(number, os.strerror(number))


class Log:
    """The log's file, from when it could first be opened."""

    file = -1
    size = begins = reserved = missing = lines = 0
    """Its size, its beginning, the end of its blocks; and the bytes and lines missing at its end."""

    def open(self) -> None:
        """Open it at its end. Raises OSError."""
        LOG.parent.mkdir(parents=True, exist_ok=True)
        self.file = os.open(LOG, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self.size = os.fstat(self.file).st_size
        with contextlib.suppress(OSError):  # it is empty
            self.begins = os.lseek(self.file, 0, os.SEEK_DATA)

    def take(self, data: bytes) -> None:
        """Write a piece at the end, or count what could not be written."""
        try:
            if self.file < 0:
                self.open()
            if self.missing:
                self.reserve()
                self.write(f"\nec2-lab: missing here: {MISSING.read_text()}\n".encode())
                self.missing = self.lines = 0
                MISSING.unlink()
            while data:
                data = data[self.write(data) :]
        except OSError as problem:
            self.missing += len(data)
            self.lines += data.count(b"\n")
            MISSING.write_text(f"{self.missing:,} bytes ({self.lines:,} lines) of the log: {problem.strerror}")
        with contextlib.suppress(OSError):  # the disk is full
            self.give_back()
            self.reserve()

    def write(self, data: bytes) -> int:
        """Write as much as fits, and return how much that was. Raises OSError."""
        written = os.write(self.file, data)
        self.size += written
        return written

    def reserve(self) -> None:
        """Reserve space for what comes next. Raises OSError."""
        if self.reserved < self.size + RESERVED // 2:
            allocate(self.file, KEEP_SIZE, self.size, RESERVED)
            self.reserved = self.size + RESERVED

    def give_back(self) -> None:
        """Discard the oldest quarter of a log that is too large. Raises OSError."""
        room = os.fstatvfs(self.file)
        largest = min(LARGEST, room.f_blocks * room.f_frsize // 10)
        if self.size - self.begins > largest:
            begins = (self.size - largest * 3 // 4) >> 16 << 16
            if begins > self.begins:
                allocate(self.file, KEEP_SIZE | PUNCH_HOLE, 0, begins)
                self.begins = begins


def main() -> int:
    """Write until nothing has come for a while."""
    log, since = Log(), 0.0
    with (RUNTIME / "log-lock").open("w") as lock:
        while True:
            ready = select.select([0], [], [], SYNC if since else IDLE)[0]
            if ready:
                # Whoever holds the lock and finds the pipe empty knows that everything is in the log.
                fcntl.flock(lock, fcntl.LOCK_EX)
                log.take(os.read(0, PIECE))
                fcntl.flock(lock, fcntl.LOCK_UN)
                since = since or time.monotonic()
            elif not since:
                return 0
            if not ready or time.monotonic() - since > SYNC:
                with contextlib.suppress(OSError):
                    os.fdatasync(log.file)
                since = 0.0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError, LookupError) as problem:
        sys.exit(f"ec2-lab: write-log: {problem}")
