"""Ctrl-C, SIGTERM and a closed terminal: the first one ends a command, and later ones do not end its rollback.

A closed terminal sends SIGHUP more than once (the kernel's, and the multiplexer's own), and a service manager follows
SIGTERM with more. Resources cost money until they are deleted, so after the first signal the others only report that
the rollback is under way. A person at a terminal can insist: a second Ctrl-C soon after another asks, a third gives up.

Python runs signal handlers only in the main thread, so work in other threads is never interrupted. It drops exceptions
raised within a finalizer, so a first interrupt is repeated until it is noticed. And the kernel may deliver a signal to
any thread, such as one that has just started an ssh process: the main thread is woken up for it.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import FrameType
from typing import NoReturn

from ec2lab import clock

SOON = 2.0  # seconds within which a second Ctrl-C counts as insisting
AGAIN = 1.0  # seconds after which an unnoticed interrupt is repeated
WAKE_UP = signal.SIGURG  # a signal that nobody else sends, ignored where it is not handled
STDERR = 2


class Interrupts:
    """The signals that this process received, and its rollbacks."""

    def __init__(self) -> None:
        self.interrupted = False
        self.given_up = False
        self._heeded = False  # whether the main thread has noticed, and is on its way out
        self._ways: list[tuple[str, str]] = []  # for each possible rollback: how to do it later, and what it is
        self._here = 0  # the number of rollbacks that the main thread is in
        self._anywhere = 0
        self._left = 0  # how many rollbacks the main thread was in when somebody gave up the innermost one
        self._owed = False  # whether a signal came during a rollback that no signal had started
        self._asked = False
        self._last_ctrl_c = -SOON
        self._lock = threading.Lock()

    @property
    def is_ending(self) -> bool:
        """Whether the command is ending, so that nothing cosmetic may delay it."""
        return self.interrupted or self._anywhere > 0

    def install(self) -> None:
        """Handle signals from now on; ignored ones (nohup) stay ignored."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._heard)
        signal.signal(signal.SIGALRM, self._once_more)
        _wake_main_thread_for_signals()

    @contextmanager
    def undone_on_failure(
        self, undo: Callable[[BaseException], None], way: str, what: str = "rolling back"
    ) -> Iterator[None]:
        """Call `undo`, uninterrupted by signals, if anything ends the block early. `way` is how to do it later."""
        ways = self._ways if _is_main() else []  # signals interrupt only the main thread's work
        ways.append((way, what))
        begun = False
        try:
            try:
                yield
            except BaseException:
                begun = self._begin()  # from here on no signal raises
                raise
        except BaseException as problem:
            # The first signal may have come just before; then no other one raises.
            begun = begun or self._begin()
            try:
                undo(problem)
            finally:
                self._end()
            raise
        finally:
            ways.remove((way, what))

    def heed(self) -> None:
        """From now on, if a signal came, others only report that the command is ending."""
        self._heeded = self._heeded or (self.interrupted and _is_main())

    def _begin(self) -> bool:
        with self._lock:
            self._anywhere += 1
            self._here += _is_main()
        self.heed()
        return True

    def _end(self) -> None:
        with self._lock:
            self._anywhere -= 1
            self._here -= _is_main()
        if self._owed and _is_main() and not self._here:
            self._owed = False
            raise KeyboardInterrupt

    def _heard(self, number: int, _: FrameType | None) -> None:
        insists = number == signal.SIGINT and _is_terminal() and self._insists()
        if self.given_up:
            self._leave_rollback()
        if not self.interrupted and not self._here:
            self.interrupted = True
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
            raise KeyboardInterrupt
        self._owed = self._owed or not self.interrupted
        self.interrupted = True
        way, what = self._ways[-1] if self._ways else ("`make status` shows what exists", "coming to an end")
        if insists and self._asked:
            self.given_up = True
            say(f"stopped: what was created may still exist; {way}")
            self._leave_rollback()
        self._asked = insists
        say(f"Ctrl-C once more stops the rollback and leaves what was created; {way}" if insists else _going_on(what))

    def _leave_rollback(self) -> NoReturn:
        self._left, self._heeded = self._here, True
        signal.setitimer(signal.ITIMER_REAL, AGAIN)
        raise KeyboardInterrupt

    def _once_more(self, *_: object) -> None:
        if self._here and self._here == self._left:
            self._leave_rollback()
        if not self._heeded and not self._here:
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
            raise KeyboardInterrupt

    def _insists(self) -> bool:
        """Say whether a Ctrl-C came soon after another, or after the question."""
        now = clock.monotonic()
        soon, self._last_ctrl_c = self._asked or now - self._last_ctrl_c < SOON, now
        return soon


@cache
def _wake_main_thread_for_signals() -> None:
    """End this thread's wait when any thread gets a signal; once per process, from its main thread."""
    main = threading.get_ident()
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def wake() -> None:
        while numbers := reader.recv(64):
            if set(numbers) != {WAKE_UP}:
                signal.pthread_kill(main, WAKE_UP)

    signal.signal(WAKE_UP, lambda *_: None)
    signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
    threading.Thread(target=wake, daemon=True).start()


INTERRUPTS = Interrupts()  # signals belong to the whole process


def say(text: str) -> None:
    """Write a line to standard error from a signal handler: past the buffers, and only if that does not block."""
    try:
        if select.select([], [STDERR], [], 0)[1]:
            os.write(STDERR, f"\n{text}\n".encode()[: select.PIPE_BUF])
    except (OSError, ValueError):
        pass  # the terminal is gone


def _going_on(what: str) -> str:
    return f"still {what}; Ctrl-C twice gives up" if _is_terminal() else f"still {what}"


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def _is_terminal() -> bool:
    try:
        return os.isatty(STDERR)
    except OSError:
        return False
