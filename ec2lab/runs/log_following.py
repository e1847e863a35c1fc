"""Follows a command's log: on its instance while that runs, then in its bucket, across interruptions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ec2lab.hosts.call_failures import Unreachable
from ec2lab.hosts.program_packer import program
from ec2lab.polling import growing
from ec2lab.runs.logs import Piece, pieces_in
from ec2lab.runs.run import Run
from ec2lab.runs.s3_logs import S3RunLogs

POLL = 1.0, 30.0
ON_ITS_WAY = ("pending", "running", "stopping", "shutting-down")
"""States in which an instance may still write to the log."""


@dataclass
class LogFollowing:
    """Reads one instance's log, each byte once, wherever available."""

    run: Run
    heard: Callable[[bytes], None]  # called with each piece, and from time to time with nothing
    remark: Callable[[str], None]
    progress: Callable[[str], None]  # what is waited for, while there is no log
    place: int = 0  # how many bytes were read so far

    def follow(self) -> None:
        """Read until the command has ended. Raises UserError where the rest is not available."""
        pauses = growing(*POLL)
        while True:
            before, state = self.place, self.run.state()
            if not self.place:
                self.progress(f"{self.run.name}: waiting for its log")
            if self._read_host() or (self.run.bucket and self._read_bucket(self.run.bucket)):
                return
            if state not in ON_ITS_WAY:
                raise self.run.lost("the rest of its log" if self.place else "its log")
            if self.place > before:
                pauses = growing(*POLL)
            self.heard(b"")
            self.run.session.pause(next(pauses))

    def _read_host(self) -> bool:
        """Read from the instance as it comes; say whether that was all.

        Raises Unreachable where it was never available there.
        """
        try:
            if host := self.run.host():
                for piece in pieces_in(host.stream_as_root(program("follow-log.py"), str(self.place)), host.name):
                    self._take(piece)
                    if piece.state == "ended":
                        return True
        except Unreachable as problem:
            if not (self.run.bucket or self.place):
                raise
            self.remark(f"{problem}; the log continues from where it stopped")
        return False

    def _read_bucket(self, bucket: S3RunLogs) -> bool:
        """Read what the bucket has beyond that; say whether that was all."""
        ending = bucket.ending()  # before the log, which is complete once this exists
        for piece in bucket.log_from(self.place):
            self._take(piece)
        if ending and ending.log_missing:
            self._say(f"missing here: {ending.log_missing}")
        return ending is not None

    def _take(self, piece: Piece) -> None:
        if piece.place > self.place and self.run.bucket:
            self._fill(self.run.bucket, piece.place)
        if piece.place > self.place:
            self._say(
                f"{piece.place - self.place:,} bytes of the log are missing here: they were given up for newer ones"
            )
        self.heard(piece.after(self.place))
        if piece.state == "runs":
            self.place = max(self.place, piece.place + len(piece.data))

    def _fill(self, bucket: S3RunLogs, end: int) -> None:
        """Read from the bucket what the instance no longer has before an offset."""
        for piece in bucket.log_from(self.place):
            if piece.place > self.place or self.place >= end:
                return
            self._take(piece)

    def _say(self, text: str) -> None:
        self.heard(f"\nec2-lab: {text}\n".encode())
