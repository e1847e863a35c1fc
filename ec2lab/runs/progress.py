"""Polls the progress of commands, over ssh or in a bucket, each in a thread."""

from __future__ import annotations

import re
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from threading import Lock, Thread

from ec2lab.aws.errors import AWS_ERRORS, reason
from ec2lab.errors import UserError
from ec2lab.hosts.program_packer import program
from ec2lab.hosts.protocol import LAST_MOMENT, parse_json
from ec2lab.hosts.ssh import Host
from ec2lab.registry.shapes import IMAGE_DIGEST, LINE, TEXT, members, nullable, optional, whole
from ec2lab.runs.exit_status import ENDING, Ending, ending_of
from ec2lab.runs.run import Run

LONGEST_LINE = 500
TAIL = 4096  # bytes of a log that are searched for its last line


@dataclass(frozen=True, slots=True)
class Progress:
    """The last state of an instance."""

    line: str = ""  # the last line of the command's log
    ending: Ending | None = None
    container: str = ""  # the digest of the image of its container, once it is pulled
    ends_at: float | None = None  # when it expires, in seconds since 1970
    interruption: str = ""  # AWS's notice to it, if any: `terminate at 2026-11-24T10:02:00Z`
    rebalance: str = ""  # since when AWS recommends to replace it
    problem: str = ""  # why its progress is unknown


PROGRESS = members(
    line=optional(TEXT), ended=optional(nullable(ENDING)), ends_at=optional(nullable(whole(0, LAST_MOMENT))),
    interruption=optional(nullable(members(action=optional(LINE), time=optional(LINE)))),
    rebalance=optional(nullable(members(noticeTime=optional(LINE)))), unseen=optional(TEXT),
    container=optional(IMAGE_DIGEST),
)  # fmt: skip


def parse_progress(text: str, who: str) -> Progress:
    """Parse the output of templates/run-status.py. Raises UserError, which names `who` printed it."""
    fields = parse_json(text, PROGRESS, who)
    ended, coming = fields.get("ended"), fields.get("interruption") or {}
    return Progress(
        line=fields.get("line", "")[-LONGEST_LINE:],
        ending=ending_of(ended) if ended else None,
        container=fields.get("container", ""),
        ends_at=fields.get("ends_at"),
        interruption=f"{coming.get('action')} at {coming.get('time')}" if coming else "",
        rebalance=(fields.get("rebalance") or {}).get("noticeTime", ""),
        problem=_unseen(fields.get("unseen", ""), who),
    )


def _unseen(why: str, who: str) -> str:
    where = "the instance metadata service does not answer there"
    return f"{who}: spot notices can't be seen: {where} ({' '.join(why.split())[:200]})" if why else ""


@dataclass
class ProgressPoller:
    """Polls one instance of a run, at most once at a time."""

    run: Run
    last: Progress = field(default_factory=Progress)
    _host: Host | None = None
    _place: int = 0  # how many bytes of the log in the bucket were read
    _lock: Lock = field(default_factory=Lock)

    def ask(self) -> None:
        """Start a poll unless one is running; the result will be in `last`."""
        if self._lock.acquire(blocking=False):
            # A daemon: an instance that does not answer must not delay Ctrl-C.
            Thread(target=copy_context().run, args=(self._ask,), name=f"ask {self.run.name}", daemon=True).start()

    def _ask(self) -> None:
        try:
            self.last = self._answer()
        except UserError as problem:
            self._host = None  # it may have another address by now
            self.last = replace(self.last, problem=str(problem))
        except (*AWS_ERRORS, ValueError) as problem:
            self.last = replace(self.last, problem=" ".join(reason(problem).split()))
        finally:
            self._lock.release()

    def _answer(self) -> Progress:
        self._host = self._host or self.run.host()
        if self._host:
            return parse_progress(self._host.run_program(program("run-status.py")), self._host.name)
        return self.from_bucket() if self.run.bucket else self.last

    def from_bucket(self) -> Progress:
        """Return the progress in the bucket, also of an instance that is gone. Raises UserError."""
        bucket, line = self.run.bucket, self.last.line
        if bucket is None:
            return self.last
        if piece := bucket.last_piece(self._place):
            self._place = piece.place + len(piece.data)
            drawn = re.split(r"[\r\n]", piece.data[-TAIL:].decode(errors="replace"))
            line = next((shown for shown in reversed(drawn) if shown.strip()), line)[-LONGEST_LINE:]
        ending = bucket.ending() or self.last.ending
        container = ending.container if ending else self.last.container
        return replace(self.last, line=line, ending=ending, container=container, problem="")
