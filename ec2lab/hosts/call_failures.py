"""What to say where a call to a host failed: what ssh or the program printed, put into words that help."""

from __future__ import annotations

from dataclasses import dataclass

from ec2lab.errors import UserError
from ec2lab.hosts.protocol import MISSING, SHELL, Opening
from ec2lab.hosts.ssh_call import SILENCE, SshCall
from ec2lab.printable import printable

CONNECTION_FAILED = 255
"""ssh's own exit code (ssh(1), EXIT STATUS)."""
MOST_SHOWN = 300
"""Characters of what others printed, where nothing of ours came."""


class Unreachable(UserError):
    """Ssh could not log in, or the connection broke off."""


class NotOurShell(Unreachable):
    """Somebody logged in, and the login shell ran something else than what it was told."""


class Failed(UserError):
    """The command ran on the host, and failed there."""


@dataclass(frozen=True, slots=True)
class CallFailures:
    """The failures of one call."""

    host: str
    program: str
    """What the program is called in messages."""

    def ended_with(self, status: int, errors: bytes) -> Failed:
        """Return what to say where the program failed, having printed `errors`."""
        last = _last_line(errors)
        return Failed(f"{self.host}: {self.program} ended with {status}{f': {last}' if last else ''}")

    def never_began(self, status: int, opening: Opening, parse_json: bytes) -> Failed:
        """Return what to say where Python or sudo ended before the program began."""
        _, _, after = parse_json.rpartition(f"{opening.marker} ready".encode())
        last = _last_line(after.partition(b"\n")[2])
        if status == MISSING and not opening.as_root:
            return Failed(f"{self.host}: python3 can't be run there: {last}")
        return Failed(f"{self.host}: {self.program} never began (exit status {status}){f': {last}' if last else ''}")

    def broken_off(self, ssh: SshCall) -> Unreachable:
        """Return what to say where ssh ended before the program did."""
        last = _last_line(ssh.parse_json)
        why = f": {last}" if ssh.status == CONNECTION_FAILED and last else ""
        return Unreachable(f"{self.host}: the connection broke off while {self.program} ran there{why}")

    def not_let_in(self, ssh: SshCall) -> Unreachable:
        """Return what to say where ssh ended before the program began."""
        if ssh.status == CONNECTION_FAILED:
            return Unreachable(f"{self.host}: {_in_words(self.host, ssh.parse_json)}")
        return NotOurShell(
            f"{self.host}: who logs in is let in, but the login shell runs no {SHELL} (it ended with {ssh.status}"
            f"{_printed(ssh)}); `getent passwd` there names the shell, and its start-up files may replace or end it"
        )

    def late(self, what: str, timeout: float, within: float | None, ssh: SshCall) -> UserError:
        """Return what to say where something did not come in time, as LateError names it."""
        if what == "end":
            return UserError(f"{self.host}: {self.program} has not ended there within {within:g} s; it was left alone")
        if what == "life":
            return Unreachable(f"{self.host}: no sign of life for {SILENCE:.0f} s while {self.program} ran there")
        return Unreachable(
            f"{self.host}: no program could be begun there within {timeout:g} s{_printed(ssh)}; the host does not "
            "respond, or its login shell's start-up files wait for something (ssh.timeout in lab.toml allows more)"
        )


def _printed(ssh: SshCall) -> str:
    """Return what others printed, as something that a person may make sense of."""
    text = " ".join((ssh.noise + b"\n" + ssh.parse_json).decode(errors="replace").split())
    shown = printable(text)
    return f"; it printed: {shown[:MOST_SHOWN]}{'…' if len(shown) > MOST_SHOWN else ''}" if shown else ""


def _last_line(parse_json: bytes) -> str:
    lines = [line.strip() for line in parse_json.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _in_words(host: str, parse_json: bytes) -> str:
    text, last = parse_json.decode(errors="replace"), _last_line(parse_json)
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in text:
        return (
            "its host key is not the one that was pinned, and nothing was sent: another instance answers at its "
            "address, or it has a new key since a `cloud-init clean` there; delete the old one from the lab's "
            ".ssh/known_hosts/, and the new one is read from its console"
        )
    if "Host key verification failed" in text:
        return (
            f"its host key is not known; log in once by hand (`ssh {host}`) and compare the fingerprint, "
            "or name an experiment, whose instances' keys are pinned"
        )
    if "Permission denied" in text:
        return (
            f"{last}; is your key in the agent (`ssh-add -l`), and are you a member there? MEMBER=name says who; "
            "nor is anybody let in whose login shell is not there (any more)"
        )
    return last or "ssh could not connect"
