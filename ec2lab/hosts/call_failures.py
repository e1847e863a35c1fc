"""Error messages of failed calls to a host: what ssh or the program printed, in words that help."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ec2lab.errors import UserError
from ec2lab.hosts.protocol import MISSING, SHELL, Opening
from ec2lab.hosts.reachability import DENIED, explain
from ec2lab.hosts.ssh_call import SILENCE, SshCall
from ec2lab.printable import printable
from ec2lab.units import exited

CONNECTION_FAILED = 255  # ssh's own exit code (ssh(1), EXIT STATUS)
MOST_SHOWN = 300  # characters of others' output that are shown where our program printed nothing


class Unreachable(UserError):
    """ssh could not log in, or the connection was lost."""


class KeyRejected(Unreachable):
    """sshd accepts none of the user's keys."""


class NotOurShell(Unreachable):
    """Login worked, but the login shell did not run the given command."""


class Failed(UserError):
    """The command ran on the host, and failed."""


@dataclass(frozen=True, slots=True)
class CallFailures:
    host: str
    program: str  # what messages call the program

    def ended_with(self, status: int, errors: bytes) -> Failed:
        last = _last_line(errors)
        return Failed(f"{self.host}: {self.program} {exited(status, last)}")

    def never_began(self, status: int, opening: Opening, stderr: bytes) -> Failed:
        _, _, after = stderr.rpartition(f"{opening.marker} ready".encode())
        last = _last_line(after.partition(b"\n")[2])
        if status == MISSING and not opening.as_root:
            return Failed(f"{self.host}: python3 can't be run there: {last}")
        return Failed(f"{self.host}: {self.program} never started (exit status {status}){f': {last}' if last else ''}")

    def broken_off(self, ssh: SshCall) -> Unreachable:
        return _with_details(Unreachable(f"{self.host}: the connection broke off while {self.program} ran there"), ssh)

    def not_let_in(self, ssh: SshCall) -> Unreachable:
        if ssh.status == CONNECTION_FAILED:
            printed = ssh.stderr_tail.decode(errors="replace")
            error = KeyRejected if DENIED in printed else Unreachable
            return _with_details(error(f"{self.host}: {explain(self.host, printed)}"), ssh)
        return NotOurShell(
            f"{self.host}: the login works, but the login shell runs no {SHELL} (it ended with {ssh.status}"
            f"{_printed(ssh)}); `getent passwd` there names the shell, and its start-up files may replace or end it"
        )

    def late(self, what: str, timeout: float, within: float | None, ssh: SshCall) -> UserError:
        if what == "end":
            return UserError(
                f"{self.host}: {self.program} has not finished there within {within:g} s; it keeps running"
            )
        if what == "life":
            return Unreachable(f"{self.host}: no sign of life for {SILENCE:.0f} s while {self.program} ran there")
        return Unreachable(
            f"{self.host}: no program could be started there within {timeout:g} s{_printed(ssh)}; the host does not "
            "respond, or its login shell's start-up files wait for something (ssh.timeout in lab.toml allows more)"
        )


def _with_details(problem: Unreachable, ssh: SshCall) -> Unreachable:
    """Return an error with ssh's own last line as a note, with DEBUG=1."""
    if os.environ.get("DEBUG") == "1" and (last := _last_line(ssh.stderr_tail)):
        problem.add_note(f"ssh printed: {last}")
    return problem


def _printed(ssh: SshCall) -> str:
    text = " ".join((ssh.noise + b"\n" + ssh.stderr_tail).decode(errors="replace").split())
    shown = printable(text)
    return f"; it printed: {shown[:MOST_SHOWN]}{'…' if len(shown) > MOST_SHOWN else ''}" if shown else ""


def _last_line(stderr: bytes) -> str:
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""
