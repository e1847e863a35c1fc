"""One host over ssh: run a command or a program of ours there, its host key always checked.

What is read from a host is what our own program printed, whatever the login shell, its start-up files, banners or PAM
print there too (protocol.py), and whatever the user's own ssh configuration says (ssh_config.py). No call lasts
forever.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ec2lab.errors import UserError
from ec2lab.hosts.call_failures import CallFailures, Failed
from ec2lab.hosts.protocol import COMMAND, FREE, MISSING, SHELL, STAND_IN, Frame, Opening
from ec2lab.hosts.ssh_call import InterruptedCallError, LateError, SshCall
from ec2lab.hosts.ssh_options import forced_options
from ec2lab.progress import LINE, working

MOST_PRINTED = 64 * 1024 * 1024  # bytes: no command of ours prints a thousandth of it
MOST_REMEMBERED = 16 * 1024  # the last bytes of a program's standard error that are kept
LONGEST_LINE = 1024 * 1024  # bytes after which an unfinished line is passed on in pieces
LOGIN = 60.0  # seconds until our program answers: for distant hosts and slow start-up files
LONGEST_RUN = 600.0  # the default limit of a call in seconds

OF_THE_PROGRAM = ("out", "err", "end")  # kinds of frames

Heard = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Host:
    """A host, by its name in ssh's configuration. Calls raise Unreachable, Failed, and UserError on a timeout."""

    name: str
    config: Path  # the file for `ssh -F`
    trust_on_first_use: bool = False  # whether an unknown host key is accepted and then pinned
    timeout: float = LOGIN  # seconds until our program has started there

    def run(
        self, *command: str, given: bytes = b"", heard: Heard | None = None, within: float | None = LONGEST_RUN
    ) -> str:
        """Run a command as the login user; return its output, or call `heard` for each line as it comes."""
        return self._run(Opening(COMMAND, command), command[0], given, heard, within)

    def run_program(self, program: str, *arguments: str) -> str:
        return self._run(Opening(program, arguments), "python3")

    def run_as_root(
        self,
        program: str,
        *arguments: str,
        given: bytes = b"",
        heard: Heard | None = None,
        left_at: str = "",
        within: float | None = LONGEST_RUN,
    ) -> str:
        """Run a Python program on the host as root, with `given` as its standard input.

        Nothing is left there, unless `left_at` names a path for the program. If sudo wants a password, it is asked for
        on the terminal and sent only through standard input.
        """
        opening = Opening(program, arguments, as_root=True, left_at=left_at)
        return self._run(opening, "python3", given, heard, within)

    def stream_as_root(self, program: str, *arguments: str) -> Iterator[bytes]:
        with self._call(Opening(program, arguments, as_root=True), "python3", None) as call:
            call.give(b"")
            yield from call.output()

    def run_streamed(self, program: str, *arguments: str, heard: Callable[[str, bytes], None]) -> int:
        """Run a program as the login user, without a timeout; `heard` gets its output, with "out" or "err"."""
        with self._call(Opening(program, arguments), "the command", None) as call:
            call.give(b"")
            for frame in call.frames():
                if frame.kind == "end":
                    return frame.number
                heard(frame.kind, frame.content)
        raise AssertionError("a call ends with a frame, or an error")

    @contextmanager
    def talking_to(self, program: str, *arguments: str) -> Iterator[Conversation]:
        """Run a program as the login user, without a timeout, and converse with it."""
        with self._call(Opening(program, arguments), "the copy", None, asking=False) as call:
            yield Conversation(call, call.output())

    @contextmanager
    def holding(self, program: str, *arguments: str) -> Iterator[str]:
        """Run a Python program on the host as root for the duration of the block, and yield its first line of output.

        The program must end when its standard input does: at the end of the block, and also if this process dies.
        """
        with self._call(Opening(program, arguments, as_root=True), "python3", LONGEST_RUN, asking=False) as call:
            lines = _lines(call.output())
            try:
                yield next(lines, "")
            except BaseException:
                with suppress(UserError):  # report the first error
                    call.end(lines)
                raise
            call.end(lines)

    def _run(
        self, opening: Opening, name: str, given: bytes = b"", heard: Heard | None = None,
        within: float | None = LONGEST_RUN,
    ) -> str:  # fmt: skip
        with self._call(opening, name, within) as call:
            call.give(given)
            with working(f"waiting for {self.name}"):
                if not heard:
                    return _whole(call.output(), self.name)
                for line in _lines(call.output()):
                    heard(line)
                return ""

    @contextmanager
    def _call(self, opening: Opening, name: str, within: float | None, *, asking: bool = True) -> Iterator[_Call]:
        try:
            called = SshCall(self._command, opening.line, opening.marker, self.timeout)
        except FileNotFoundError as missing:
            raise UserError("ssh is not installed here (Debian, Ubuntu: apt-get install openssh-client)") from missing
        with called as ssh:
            yield _Call(self, opening, name, within, ssh, asking)

    @property
    def _command(self) -> list[str]:
        options = forced_options("accept-new" if self.trust_on_first_use else "yes")
        return ["ssh", "-F", str(self.config), *options, "--", self.name, SHELL]


@dataclass
class _Call:
    host: Host
    opening: Opening
    name: str  # what messages call the program
    within: float | None
    ssh: SshCall
    asking: bool  # whether a password may be asked for
    _given: bytes = b""
    _ends_input: bool = False
    _has_begun: bool = False
    _errors: bytes = b""

    @property
    def _failures(self) -> CallFailures:
        return CallFailures(self.host.name, self.name)

    def send(self, content: bytes) -> None:
        if self._has_begun:
            self.ssh.send(content)
        else:
            self._given += content

    def give(self, given: bytes) -> None:
        self._given, self._ends_input = given, True

    def end(self, lines: Iterator[str]) -> None:
        """Close the program's standard input, and wait for its end. Raises Unreachable, Failed, UserError."""
        self.ssh.close_input()
        for _ in lines:
            pass

    def output(self) -> Iterator[bytes]:
        """Yield the program's output until it ends. Raises Unreachable, Failed, UserError."""
        for frame in self.frames():
            if frame.kind == "out":
                yield frame.content
            elif frame.kind == "err":
                self._errors = (self._errors + frame.content)[-MOST_REMEMBERED:]
            elif frame.number:
                raise self._failures.ended_with(frame.number, self._errors)

    def frames(self) -> Iterator[Frame]:
        """Yield what the program prints to either output, and its end. Raises Unreachable, Failed, UserError."""
        try:
            for frame in self.ssh.frames():
                if frame.kind in OF_THE_PROGRAM:
                    yield frame
                else:
                    self._take(frame)
                if frame.kind == "end":
                    return
        except LateError as late:
            raise self._failures.late(late.what, self.host.timeout, self.within, self.ssh) from late
        except InterruptedCallError as interrupted:
            raise UserError(f"{self.host.name}: interrupted") from interrupted
        self.ssh.hear_out()
        raise self._failures.broken_off(self.ssh) if self._has_begun else self._failures.not_let_in(self.ssh)

    def _take(self, frame: Frame) -> None:
        if frame.kind == "ready" and not self._has_begun:
            self._has_begun = True
            self.ssh.answered(self.within)
            self.ssh.send(b"".join((b"go\n", self._password(frame.number), self.opening.text, self._given)))
            if self._ends_input:
                self.ssh.close_input()
        elif frame.kind == "left":
            self.ssh.hear_out()
            raise self._failures.never_began(frame.number, self.opening, self.ssh.stderr_tail)

    def _password(self, sudo: int) -> bytes:
        name = self.host.name
        if sudo == FREE:
            return b""
        if sudo == STAND_IN:
            raise Failed(f"{name}: is a stand-in of the local cloud on this computer, where nothing runs as root")
        if sudo == MISSING:
            raise Failed(f"{name}: sudo is not installed there, and the login is not root")
        if not self.asking:
            raise Failed(f"{name}: sudo requires a password there; an administrator (lab.toml: accounts) can do this")
        return _password_of(name).encode() + b"\n"


@dataclass
class Conversation:
    """A program that reads from its standard input and writes to its standard output in turns."""

    _call: _Call
    _output: Iterator[bytes]
    _rest: bytes = b""

    def say(self, content: bytes) -> None:
        self._call.send(content)

    def feed(self, pieces: Iterator[bytes]) -> None:
        """Send pieces as fast as the program reads them, while its output is read, and then end its input."""
        self._call.ssh.feed(pieces)

    def line(self, limit: int) -> bytes:
        """Return the next line of output. Raises Unreachable, Failed, also for a line of more than `limit` bytes."""
        pieces, length = [self._rest], len(self._rest)
        while b"\n" not in pieces[-1]:
            if length > limit:
                raise Failed(f"{self._call.host.name}: a line of more than {limit:,} bytes")
            if (piece := next(self._output, None)) is None:
                raise Failed(f"{self._call.host.name}: ended without a response")
            pieces.append(piece)
            length += len(piece)
        line, _, self._rest = b"".join(pieces).partition(b"\n")
        return line

    def rest(self) -> Iterator[bytes]:
        if self._rest:
            yield self._rest
        yield from self._output


def _lines(pieces: Iterator[bytes]) -> Iterator[str]:
    """Yield lines as they come, including an unfinished last one."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line.decode(errors="replace") for line in lines)
        if len(rest) > LONGEST_LINE:
            yield rest.decode(errors="replace")
            rest = b""
    if rest:
        yield rest.decode(errors="replace")


def _whole(output: Iterable[bytes], host: str) -> str:
    printed, length = [], 0
    for piece in output:
        printed.append(piece)
        length += len(piece)
        if length > MOST_PRINTED:
            raise Failed(f"{host}: prints more than {MOST_PRINTED >> 20} MiB; it was cut off")
    return b"".join(printed).decode(errors="replace")


@cache
def _password_of(host: str) -> str:
    if not sys.stdin.isatty():
        raise UserError(f"{host}: sudo requires a password there, and there is no terminal to prompt on")
    with LINE.paused():
        return getpass.getpass(f"your password on {host}, for sudo: ")
