"""One ssh process: frames come out, bytes go in, and it ends whatever the host does."""

from __future__ import annotations

import os
import selectors
import subprocess
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from ec2lab import clock
from ec2lab.hosts.protocol import Frame, Frames
from ec2lab.interrupts import INTERRUPTS

TICK = 0.25  # seconds after which a thread notices that the command was interrupted
PIECE = 64 * 1024
MOST_SAID = 16 * 1024  # the last bytes of standard error that are kept
FIRST_REPEAT = 1.0  # seconds until the opening is first repeated: a start-up file may have read it
SILENCE = 60.0  # seconds without a heartbeat of our program, which sends one every 15
GOODBYE = 1.0  # seconds for ssh to exit at the end: a background job of a start-up file keeps it open


class LateError(Exception):
    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class InterruptedCallError(Exception):
    """The command was interrupted during a call in a thread."""


class SshCall:
    """An ssh process that is sent an opening until it answers."""

    def __init__(self, command: Sequence[str], opening: bytes, marker: str, timeout: float) -> None:
        """Start ssh; our program has `timeout` seconds to answer."""
        self.stderr_tail = b""  # the end of its standard error
        self._frames = Frames(marker)
        self._opening = opening
        self._pending = [memoryview(opening)]
        self._source: Iterator[bytes] | None = None
        self._is_closing = False
        now = clock.monotonic()
        self._deadline: float | None = now + timeout
        self._has_answered = False
        self._repeat = FIRST_REPEAT
        self._repeated = self._heard = now
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        assert self._process.stdin and self._process.stdout and self._process.stderr  # noqa: S101, PT018 - for mypy
        self._stdin, self._stdout, self._stderr = self._process.stdin, self._process.stdout, self._process.stderr
        os.set_blocking(self._stdin.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stdout, selectors.EVENT_READ)
        self._selector.register(self._stderr, selectors.EVENT_READ)
        self._selector.register(self._stdin, selectors.EVENT_WRITE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_input()
        try:
            if kind is not None or not self._ends():
                self._process.terminate()  # ends its ProxyCommand as well
            if not self._ends():
                self._process.kill()
        finally:
            self._process.wait()
            self._selector.close()
            self._stdout.close()
            self._stderr.close()

    def _ends(self) -> bool:
        try:
            self._process.wait(GOODBYE)
        except subprocess.TimeoutExpired:
            return False
        return True

    @property
    def noise(self) -> bytes:
        return self._frames.noise

    @property
    def status(self) -> int:
        return self._process.wait()

    def send(self, content: bytes) -> None:
        self._pending.append(memoryview(content))
        self._heard = clock.monotonic()
        if not self._stdin.closed and self._stdin not in self._selector.get_map():
            self._selector.register(self._stdin, selectors.EVENT_WRITE)

    def feed(self, pieces: Iterator[bytes]) -> None:
        """Send pieces as fast as they are accepted, while `frames` is iterated, and then end the standard input."""
        self._source = pieces
        self.send(b"")

    def close_input(self) -> None:
        self._is_closing = True
        if not self._pending:
            self._close_input()

    def answered(self, within: float | None) -> None:
        """Note that our program answered; it has that many seconds to end, or no limit."""
        now = clock.monotonic()
        self._has_answered, self._heard = True, now
        self._deadline = None if within is None else now + within

    def frames(self) -> Iterator[Frame]:
        """Yield frames until ssh closes its output. Raises LateError, InterruptedCallError."""
        while self._stdout in self._selector.get_map():
            self._expect_calm()
            for key, _ in self._selector.select(TICK):
                if key.fileobj is self._stdin:
                    self._write()
                elif key.fileobj is self._stderr:
                    self.stderr_tail = (self.stderr_tail + self._read(self._stderr))[-MOST_SAID:]
                else:
                    yield from self._frames.feed(self._read(self._stdout))
                    self._heard = clock.monotonic()  # the consumer may have paused (`| less`)
            self._expect_life()

    def hear_out(self) -> None:
        """Read the rest of ssh's standard error, within its time."""
        self.close_input()
        until = clock.monotonic() + GOODBYE
        while {self._stdout, self._stderr} & {key.fileobj for key in self._selector.get_map().values()}:
            if clock.monotonic() > until:
                return
            for key, _ in self._selector.select(TICK):
                if key.fileobj is self._stderr:
                    self.stderr_tail = (self.stderr_tail + self._read(self._stderr))[-MOST_SAID:]
                elif key.fileobj is self._stdout:
                    list(self._frames.feed(self._read(self._stdout)))

    def _read(self, file: object) -> bytes:
        piece = os.read(file.fileno(), PIECE)  # type: ignore[attr-defined]
        if not piece:
            self._selector.unregister(file)  # type: ignore[arg-type]
        return piece

    def _write(self) -> None:
        try:
            while self._pending or self._refill():
                written = os.write(self._stdin.fileno(), self._pending[0][:PIECE])
                self._pending[0] = self._pending[0][written:]
                if not self._pending[0]:
                    del self._pending[0]
        except BlockingIOError:
            return
        except BrokenPipeError:  # ssh gives the reason on its standard error
            self._close_input()
            return
        self._selector.unregister(self._stdin)
        if self._is_closing:
            self._close_input()

    def _refill(self) -> bool:
        if self._source is None:
            return False
        piece = next(self._source, None)
        if piece is None:
            self._source, self._is_closing = None, True
            return False
        self._pending.append(memoryview(piece))
        return True

    def _close_input(self) -> None:
        self._pending = []
        if not self._stdin.closed:
            if self._stdin in self._selector.get_map():
                self._selector.unregister(self._stdin)
            self._stdin.close()

    def _expect_calm(self) -> None:
        """Signals interrupt only the main thread, which cleans up; others check here. Raises InterruptedCallError."""
        if INTERRUPTS.interrupted and threading.current_thread() is not threading.main_thread():
            raise InterruptedCallError

    def _expect_life(self) -> None:
        """Raise LateError on a timeout; repeat the opening while nothing answers."""
        now = clock.monotonic()
        if self._deadline is not None and now > self._deadline:
            raise LateError("end" if self._has_answered else "login")
        if self._has_answered and now - self._heard > SILENCE:
            raise LateError("life")
        if not self._has_answered and now - self._repeated > self._repeat and not self._stdin.closed:
            self._repeated, self._repeat = now, self._repeat * 2
            self.send(self._opening)
