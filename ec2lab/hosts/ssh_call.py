"""One ssh process: frames come out of it, bytes go into it, and it ends whatever the host does."""

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

TICK = 0.25
"""Seconds after which a thread sees that the command was interrupted."""
PIECE = 64 * 1024
MOST_SAID = 16 * 1024
"""Bytes of standard error that are remembered, the last ones."""
FIRST_REPEAT = 1.0
"""Seconds after which the opening is sent once more, at first: a start-up file may have read it."""
SILENCE = 60.0
"""Seconds without a sign of life, once our program has begun: it gives one every 15."""
GOODBYE = 1.0
"""Seconds that ssh has to end, when all is said: a job that a start-up file left behind keeps it open."""


class LateError(Exception):
    """Something did not come in time: `what` of "login", "life", "end"."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class InterruptedCallError(Exception):
    """The command was interrupted while this went on in a thread."""


class SshCall:
    """An ssh process that is told an opening until it answers."""

    def __init__(self, command: Sequence[str], opening: bytes, marker: str, timeout: float) -> None:
        """Start it; it has `timeout` seconds until our program answers."""
        self.stderr_tail = b""
        """The end of its standard error."""
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
        """Use it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let it end, or end it."""
        self._close_input()
        try:
            if kind is not None or not self._ends():
                self._process.terminate()  # which ends its ProxyCommand too
            if not self._ends():
                self._process.kill()
        finally:
            self._process.wait()
            self._selector.close()
            self._stdout.close()
            self._stderr.close()

    def _ends(self) -> bool:
        """Say whether ssh ends in time."""
        try:
            self._process.wait(GOODBYE)
        except subprocess.TimeoutExpired:
            return False
        return True

    @property
    def noise(self) -> bytes:
        """What was printed that is not ours, the end of it."""
        return self._frames.noise

    @property
    def status(self) -> int:
        """Ssh's exit status, once it has ended."""
        return self._process.wait()

    def send(self, content: bytes) -> None:
        """Have something sent, in its turn."""
        self._pending.append(memoryview(content))
        self._heard = clock.monotonic()
        if not self._stdin.closed and self._stdin not in self._selector.get_map():
            self._selector.register(self._stdin, selectors.EVENT_WRITE)

    def feed(self, pieces: Iterator[bytes]) -> None:
        """Send pieces as fast as they are accepted, while `frames` is iterated, and then end the standard input."""
        self._source = pieces
        self.send(b"")

    def close_input(self) -> None:
        """End the program's standard input, once all has been sent."""
        self._is_closing = True
        if not self._pending:
            self._close_input()

    def answered(self, within: float | None) -> None:
        """Take note that our program answers; it has so many seconds to end, or none are counted."""
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
        """Take what ssh still has to say of its end, for as long as that may take."""
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
        """Send what is pending, as far as it goes."""
        try:
            while self._pending or self._refill():
                written = os.write(self._stdin.fileno(), self._pending[0][:PIECE])
                self._pending[0] = self._pending[0][written:]
                if not self._pending[0]:
                    del self._pending[0]
        except BlockingIOError:
            return
        except BrokenPipeError:  # ssh says why on its standard error
            self._close_input()
            return
        self._selector.unregister(self._stdin)
        if self._is_closing:
            self._close_input()

    def _refill(self) -> bool:
        """Take the next piece of what is fed. Return whether there was one."""
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
        """Signals interrupt the main thread alone: others see for themselves. Raises InterruptedCallError.

        What is taken back because of a signal is taken back by the main thread, or without ssh.
        """
        if INTERRUPTS.interrupted and threading.current_thread() is not threading.main_thread():
            raise InterruptedCallError

    def _expect_life(self) -> None:
        """Raise LateError where something is overdue; say the opening again while nothing answers."""
        now = clock.monotonic()
        if self._deadline is not None and now > self._deadline:
            raise LateError("end" if self._has_answered else "login")
        if self._has_answered and now - self._heard > SILENCE:
            raise LateError("life")
        if not self._has_answered and now - self._repeated > self._repeat and not self._stdin.closed:
            self._repeated, self._repeat = now, self._repeat * 2
            self.send(self._opening)
