"""One host over ssh: run a command or a program of ours there, its host key always checked.

What is read from a host is what our own program printed, whatever the login shell, its start-up files, banners or PAM
print there too (frames.py), and whatever the user's own ssh configuration says (ssh_options.py). No call lasts forever.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from scripts.core.errors import LabError
from scripts.core.hosts.frames import Frame
from scripts.core.hosts.opening import COMMAND, FREE, MISSING, SHELL, Opening
from scripts.core.hosts.ssh_call import SILENCE, InterruptedCallError, LateError, SshCall
from scripts.core.hosts.ssh_options import overriding
from scripts.core.printable import printable

CONNECTION_FAILED = 255
"""ssh's own exit code (ssh(1), EXIT STATUS)."""
MOST_PRINTED = 64 * 1024 * 1024
"""Bytes: none of our commands prints a thousandth of it."""
MOST_REMEMBERED = 16 * 1024
"""Bytes of a program's standard error, the last ones."""
MOST_SHOWN = 300
"""Characters of what others printed, where nothing of ours came."""
LONGEST_LINE = 1024 * 1024
"""Bytes after which a line that has no end is told in pieces."""
LOGIN = 60.0
"""Seconds until our program answers: a host that is far off, and start-up files that take their time."""
LONGEST_RUN = 600.0
"""Seconds that a call may take that says nothing else."""

Heard = Callable[[str], None]


class Unreachable(LabError):
    """Ssh could not log in, or the connection broke off."""


class NotOurShell(Unreachable):
    """Somebody logged in, and the login shell ran something else than what it was told."""


class Failed(LabError):
    """The command ran on the host, and failed there."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host, by the name that ssh knows it by."""

    name: str
    config: Path
    """What `ssh -F` is given."""
    trust_on_first_use: bool = False
    """Whether a host key that is not on file yet is accepted, and then put on file."""
    timeout: float = LOGIN
    """Seconds until a program of ours has begun there."""

    def run(
        self, *command: str, given: bytes = b"", heard: Heard | None = None, within: float | None = LONGEST_RUN
    ) -> str:
        """Run a command as whoever logs in, and return what it printed, or have `heard` told each line as it comes.

        `within` so many seconds, or else LabError is raised. Raises Unreachable and Failed.
        """
        return self._run(Opening(COMMAND, command), command[0], given, heard, within)

    def run_as_oneself(self, program: str, within: float | None = LONGEST_RUN) -> str:
        """Run a Python program on the host as whoever logs in, and return what it printed.

        Raises Unreachable, Failed, and LabError where it takes too long.
        """
        return self._run(Opening(program), "python3", within=within)

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

        Nothing is left there, unless `left_at` names a path for the program. Where sudo wants a password it is asked
        for on the terminal, and goes through standard input alone. Raises Unreachable, Failed, and LabError where it
        takes too long.
        """
        opening = Opening(program, arguments, as_root=True, left_at=left_at)
        return self._run(opening, "python3", given, heard, within)

    def stream_as_root(self, program: str, *arguments: str) -> Iterator[bytes]:
        """Run a Python program on the host as root, and yield what it prints as it comes, for as long as it runs.

        Raises Unreachable and Failed.
        """
        with self._call(Opening(program, arguments, as_root=True), "python3", None) as call:
            call.give(b"")
            yield from call.output()

    @contextmanager
    def holding(self, program: str, *arguments: str) -> Iterator[str]:
        """Run a Python program on the host as root for as long as the block lasts, and give its first line of output.

        The program is to end when its standard input does: at the end of the block, and also if this process dies.
        Raises Unreachable, Failed.
        """
        with self._call(Opening(program, arguments, as_root=True), "python3", LONGEST_RUN, asking=False) as call:
            lines = _lines(call.output())
            try:
                yield next(lines, "")
            except BaseException:
                with suppress(LabError):  # what went wrong first is the thing to say
                    call.end(lines)
                raise
            call.end(lines)

    def _run(
        self, opening: Opening, name: str, given: bytes = b"", heard: Heard | None = None,
        within: float | None = LONGEST_RUN,
    ) -> str:  # fmt: skip
        with self._call(opening, name, within) as call:
            call.give(given)
            if heard:
                for line in _lines(call.output()):
                    heard(line)
                return ""
            printed, length = [], 0
            for piece in call.output():
                printed.append(piece)
                length += len(piece)
                if length > MOST_PRINTED:
                    raise Failed(f"{self.name}: prints more than {MOST_PRINTED >> 20} MiB; it was cut off")
            return b"".join(printed).decode(errors="replace")

    @contextmanager
    def _call(self, opening: Opening, name: str, within: float | None, *, asking: bool = True) -> Iterator[_Call]:
        try:
            called = SshCall(self._command, opening.line, opening.marker, self.timeout)
        except FileNotFoundError as missing:
            raise LabError("ssh is not installed here (Debian, Ubuntu: apt-get install openssh-client)") from missing
        with called as ssh:
            yield _Call(self, opening, name, within, ssh, asking)

    @property
    def _command(self) -> list[str]:
        """What runs here; SHELL is all that the login shell over there gets to see."""
        options = overriding("accept-new" if self.trust_on_first_use else "yes")
        return ["ssh", "-F", str(self.config), *options, "--", self.name, SHELL]


@dataclass
class _Call:
    """One call, from the login to the end of the program."""

    host: Host
    opening: Opening
    name: str
    """What the program is called in messages."""
    within: float | None
    ssh: SshCall
    asking: bool
    """Whether a password may be asked for."""
    _given: bytes = b""
    _ends_input: bool = False
    _has_begun: bool = False
    _errors: bytes = field(default=b"")

    def give(self, given: bytes) -> None:
        """Have the program read this, and then the end of its standard input."""
        self._given, self._ends_input = given, True

    def end(self, lines: Iterator[str]) -> None:
        """End the program's standard input, and see it end. Raises Unreachable, Failed, LabError."""
        self.ssh.close_input()
        for _ in lines:
            pass

    def output(self) -> Iterator[bytes]:
        """Yield what the program prints until it has ended. Raises Unreachable, Failed, LabError."""
        try:
            for frame in self.ssh.frames():
                if frame.kind == "out":
                    yield frame.content
                elif frame.kind == "end":
                    self._expect_success(frame.number)
                    return
                else:
                    self._take(frame)
        except LateError as late:
            raise self._late(late.what) from late
        except InterruptedCallError as interrupted:
            raise LabError(f"{self.host.name}: interrupted") from interrupted
        self.ssh.hear_out()
        raise self._broken_off()

    def _take(self, frame: Frame) -> None:
        if frame.kind == "ready" and not self._has_begun:
            self._has_begun = True
            self.ssh.answered(self.within)
            self.ssh.send(b"".join((b"go\n", self._password(frame.number), self.opening.text, self._given)))
            if self._ends_input:
                self.ssh.close_input()
        elif frame.kind == "err":
            self._errors = (self._errors + frame.content)[-MOST_REMEMBERED:]
        elif frame.kind == "left":
            self.ssh.hear_out()
            raise self._never_begun(frame.number)

    def _password(self, sudo: int) -> bytes:
        """Return what sudo reads first, where it wants something. Raises LabError."""
        name = self.host.name
        if sudo == FREE:
            return b""
        if sudo == MISSING:
            raise Failed(f"{name}: sudo is not installed there, and whoever logs in is not root")
        if not self.asking:
            raise Failed(f"{name}: sudo wants a password there; an administrator (lab.toml: accounts) can do this")
        return _password_of(name).encode() + b"\n"

    def _expect_success(self, status: int) -> None:
        if status:
            last = _last_line(self._errors)
            raise Failed(f"{self.host.name}: {self.name} ended with {status}{f': {last}' if last else ''}")

    def _never_begun(self, status: int) -> LabError:
        """Return what to say where Python or sudo ended before the program began."""
        _, _, after = self.ssh.said.rpartition(f"{self.opening.marker} ready".encode())
        last = _last_line(after.partition(b"\n")[2])
        if status == MISSING and not self.opening.as_root:
            return Failed(f"{self.host.name}: python3 can't be run there: {last}")
        return Failed(f"{self.host.name}: {self.name} never began (exit status {status}){f': {last}' if last else ''}")

    def _broken_off(self) -> LabError:
        """Return what to say where ssh ended before the program did."""
        name, said = self.host.name, self.ssh.said.decode(errors="replace")
        status, last = self.ssh.status, _last_line(self.ssh.said)
        if self._has_begun:
            why = f": {last}" if status == CONNECTION_FAILED and last else ""
            return Unreachable(f"{name}: the connection broke off while {self.name} ran there{why}")
        if status == CONNECTION_FAILED:
            return Unreachable(f"{name}: {_in_words(name, said, last)}")
        return NotOurShell(
            f"{name}: who logs in is let in, but the login shell runs no {SHELL} (it ended with {status}"
            f"{self._printed()}); `getent passwd` there names the shell, and its start-up files may replace or end it"
        )

    def _late(self, what: str) -> LabError:
        name, timeout = self.host.name, self.host.timeout
        if what == "end":
            return LabError(f"{name}: {self.name} has not ended there within {self.within:g} s; it was left alone")
        if what == "life":
            return Unreachable(f"{name}: no sign of life for {SILENCE:.0f} s while {self.name} ran there")
        return Unreachable(
            f"{name}: no program could be begun there within {timeout:g} s{self._printed()}; the host does not "
            "respond, or its login shell's start-up files wait for something (ssh.timeout in lab.toml allows more)"
        )

    def _printed(self) -> str:
        """Return what others printed, as something that a person may make sense of."""
        text = " ".join((self.ssh.noise + b"\n" + self.ssh.said).decode(errors="replace").split())
        shown = printable(text)
        return f"; it printed: {shown[:MOST_SHOWN]}{'…' if len(shown) > MOST_SHOWN else ''}" if shown else ""


def _lines(pieces: Iterator[bytes]) -> Iterator[str]:
    """Yield lines as they come, the last one also without an end."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line.decode(errors="replace") for line in lines)
        if len(rest) > LONGEST_LINE:
            yield rest.decode(errors="replace")
            rest = b""
    if rest:
        yield rest.decode(errors="replace")


def _last_line(said: bytes) -> str:
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""


@cache
def _password_of(host: str) -> str:
    """Ask for the password once for each host, without an echo."""
    if not sys.stdin.isatty():
        raise LabError(f"{host}: sudo wants a password there, and there is no terminal to ask on")
    return getpass.getpass(f"your password on {host}, for sudo: ")


def _in_words(host: str, said: str, last: str) -> str:
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in said:
        return "its host key is not the one that was pinned: another machine answers at its address; nothing was sent"
    if "Host key verification failed" in said:
        return (
            f"its host key is not known; log in once by hand (`ssh {host}`) and compare the fingerprint, "
            "or name an experiment, whose machines' keys are pinned"
        )
    if "Permission denied" in said:
        return (
            f"{last}; is your key in the agent (`ssh-add -l`), and are you a member there? MEMBER=name says who; "
            "nor is anybody let in whose login shell is not there (any more)"
        )
    return last or "ssh could not connect"
