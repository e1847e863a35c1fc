"""One host over ssh: run a command or a program of ours there, its host key always checked."""

from __future__ import annotations

import getpass
import queue
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.core.errors import LabError

if TYPE_CHECKING:
    import sh

CONNECTION_FAILED = 255
"""ssh's own exit code (ssh(1), EXIT STATUS); any other is that of the command."""
MOST_PRINTED = 64 * 1024 * 1024
"""Characters: none of our commands prints a thousandth of it."""
PROGRAM = """
import os, sys
size, __file__ = int(sys.argv.pop(1)), sys.argv.pop(1)
text = sys.stdin.buffer.read(size)
if __file__:
    os.makedirs(os.path.dirname(__file__), exist_ok=True)
    with open(__file__ + ".new", "wb") as file:
        file.write(text)
    os.chmod(__file__ + ".new", 0o755)
    os.replace(__file__ + ".new", __file__)
exec(compile(text, __file__ or "ec2-lab", "exec"))
"""
"""What python3 runs on the host: a program comes first on its standard input, and then what the program reads."""


class Unreachable(LabError):
    """ssh could not log in."""


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
    fresh: bool = False
    """Whether to log in anew, and not over a connection that the user's configuration shares."""

    def run(self, *command: str, given: bytes = b"", heard: Callable[[str], None] | None = None) -> str:
        """Run a command as whoever logs in, and return what it printed, or have `heard` told each line as it comes.

        Raises Unreachable and Failed.
        """
        import sh  # a tenth of a second, and most commands log in nowhere

        printed: list[str] = []
        length = 0

        def line(text: str, _: object, process: sh.OProc) -> None:
            nonlocal length
            if heard:
                heard(text.rstrip("\n"))
                return
            length += len(text)
            if length <= MOST_PRINTED:
                printed.append(text)
            else:
                process.kill()

        try:
            _ssh()(*self.arguments(command), _in=given, _out=line, _tty_out=False, _decode_errors="replace")
        except sh.ErrorReturnCode as failure:
            if length > MOST_PRINTED:
                raise Failed(f"{self.name}: prints more than {MOST_PRINTED >> 20} MiB; it was cut off") from failure
            raise self._failure(failure, command) from failure
        return "".join(printed)

    def run_as_oneself(self, program: str) -> str:
        """Run a Python program on the host as whoever logs in, and return what it printed.

        Raises Unreachable and Failed.
        """
        text = program.encode()
        return self.run("python3", "-I", "-c", PROGRAM, str(len(text)), "", given=text)

    def run_as_root(
        self,
        program: str,
        *arguments: str,
        given: bytes = b"",
        heard: Callable[[str], None] | None = None,
        left_at: str = "",
    ) -> str:
        """Run a Python program on the host as root, with `given` as its standard input.

        Nothing is left there, unless `left_at` names a path for the program. Where sudo wants a password it is asked
        for on the terminal, and goes through standard input alone. Raises Unreachable and Failed.
        """
        text = program.encode()
        command = ("python3", "-I", "-c", PROGRAM, str(len(text)), left_at, *arguments)
        if self._sudo_is_free():
            return self.run("sudo", "-n", "--", *command, given=text + given, heard=heard)
        password = _password_of(self.name).encode() + b"\n"
        return self.run("sudo", "-k", "-S", "-p", "", "--", *command, given=password + text + given, heard=heard)

    @contextmanager
    def holding(self, program: str, *arguments: str) -> Iterator[str]:
        """Run a Python program on the host as root for as long as the block lasts, and give its first line of output.

        The program is to end when its standard input does: at the end of the block, and also if this process dies.
        """
        import sh

        if not self._sudo_is_free():
            raise Failed(f"{self.name}: sudo wants a password there; an administrator (lab.toml: accounts) can do this")
        given: queue.Queue[bytes | None] = queue.Queue()
        heard: queue.Queue[str] = queue.Queue()
        text = program.encode()
        given.put(text)
        command = ("sudo", "-n", "--", "python3", "-I", "-u", "-c", PROGRAM, str(len(text)), "", *arguments)
        process = _ssh()(
            *self.arguments(command), _in=given, _out=heard.put, _tty_out=False, _bg=True, _bg_exc=False,
            _done=lambda *_: heard.put(""),
        )  # fmt: skip
        try:
            yield heard.get().rstrip("\n")
        finally:
            given.put(None)
            try:
                process.wait()
            except sh.ErrorReturnCode as failure:
                raise self._failure(failure, command) from failure

    def arguments(self, command: Sequence[str]) -> list[str]:
        """Return ssh's arguments for a command on the host."""
        options = ["BatchMode=yes", "ConnectTimeout=10"]
        options.append(f"StrictHostKeyChecking={'accept-new' if self.trust_on_first_use else 'yes'}")
        options += ["ControlPath=none"] if self.fresh else []
        named = [word for option in options for word in ("-o", option)]
        # The login shell over there takes the command apart again.
        return ["-F", str(self.config), *named, "--", self.name, *([shlex.join(command)] if command else [])]

    def _sudo_is_free(self) -> bool:
        try:
            self.run("sudo", "-n", "true")
        except Failed:
            return False
        return True

    def _failure(self, failure: sh.ErrorReturnCode, command: Sequence[str]) -> LabError:
        lines = [line for line in failure.stderr.decode(errors="replace").splitlines() if line.strip()]
        last = lines[-1].strip() if lines else ""
        if failure.exit_code == CONNECTION_FAILED:
            return Unreachable(f"{self.name}: {_in_words(self.name, failure.stderr.decode(errors='replace'), last)}")
        ran = next((word for word in command if word not in ("sudo", "-n", "-k", "-S", "-p", "", "--")), "")
        return Failed(f"{self.name}: {ran} ended with {failure.exit_code}{f': {last}' if last else ''}")


@cache
def _ssh() -> sh.Command:
    import sh

    try:
        return sh.Command("ssh")
    except sh.CommandNotFound as missing:
        raise LabError("ssh is not installed here (Debian, Ubuntu: apt-get install openssh-client)") from missing


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
        return f"{last}; is your key in the agent (`ssh-add -l`), and are you a member there? MEMBER=name says who"
    return last or "ssh could not connect"
