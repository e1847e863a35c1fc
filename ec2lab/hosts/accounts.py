"""Updates a running host's accounts to the members', and its sshd to keys only, without locking anybody out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

from ec2lab import clock
from ec2lab.console import Console
from ec2lab.errors import UserError
from ec2lab.hosts.accounts_document import AccountsDocument
from ec2lab.hosts.call_failures import Failed, Unreachable
from ec2lab.hosts.program_packer import program as program_text
from ec2lab.hosts.protocol import parse_json
from ec2lab.hosts.ssh import Host
from ec2lab.polling import attempts
from ec2lab.registry.shapes import LINE, TEXT, members, nullable, optional, whole

POLL = 0.5, 5.0
LONGEST_CHANGE = 3600.0
"""Seconds that a purge of large homes may take."""
ROLLBACK_AFTER = 60
"""Seconds after which the host reverts its sshd settings, unless a new login confirms them."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change that was made, or would be."""

    host: str
    member: str
    """Or "accounts" for all of them, or "sshd"."""
    change: str
    detail: str

    @property
    def is_problem(self) -> bool:
        """Whether it could not be made."""
        return self.change == "problem"


LINE_OF_OURS = members(
    change=optional(LINE), member=optional(nullable(LINE)), detail=optional(TEXT), changed=optional(whole(0, 10**6))
)
Heard = Callable[[Change], None]


def change_printer(console: Console) -> Heard:
    """Return what reports each change."""
    from ec2lab.events.lab import AccountChange  # launches need none of these

    def heard(change: Change) -> None:
        if change.change != "unchanged":
            console.emit(AccountChange(**asdict(change)))

    return heard


@dataclass(frozen=True, slots=True)
class TrialResult:
    """The result of a program that ran to its end."""

    changed: int
    problems: Sequence[Change]

    def expect_no_problem(self, host: str) -> None:
        """Raise UserError with all problems, if there are any."""
        if self.problems:
            raise UserError(f"{host}: {'; '.join(f'{one.member}: {one.detail}' for one in self.problems)}")


@dataclass(frozen=True)
class HostAccounts:
    """The accounts of one host. `heard` is called for each change as it is made."""

    host: Host
    heard: Heard

    def apply(
        self, document: AccountsDocument, *, check: bool = False, purge: bool = False, adopt: bool = False
    ) -> int:
        """Apply a document to the host; return the number of changes made, or needed. Raises UserError on problems."""
        asked = {"--check": check, "--purge": purge, "--adopt": adopt}
        options = [option for option, is_asked in asked.items() if is_asked]
        return self._run("accounts", *options, "-", given=document.as_json().encode())

    def bring_to(
        self, document: AccountsDocument, *, check: bool, purge: bool, adopt: bool
    ) -> tuple[int, Sequence[str]]:
        """Apply a document to the host and restrict sshd to keys; return the number of changes, and the problems.

        A problem with one member's account does not stop sshd from being restricted.
        """
        changed, problems = 0, []
        try:
            changed += self.apply(document, check=check, purge=purge, adopt=adopt)
        except Unreachable as failure:
            return 0, [str(failure)]
        except UserError as failure:
            problems.append(str(failure))
        try:
            changed += not self.is_hardened() if check else self.harden()
        except UserError as failure:
            problems.append(str(failure))
        return changed, problems

    def harden(self, account: str | None = None) -> int:
        """Restrict sshd to keys: applied, tested by a new login, confirmed; otherwise the host reverts it.

        The host refuses if `account`, or by default nobody, could log in afterwards. Raises UserError too if it is done
        but other settings, or PAM, keep a member out.
        """
        named = ["--account", account] if account else []
        outcome = self._outcome("sshd-hardening", "apply", "--confirm-within", str(ROLLBACK_AFTER), *named)
        if outcome.changed:
            self._log_in_again()
            self._outcome("sshd-hardening", "confirm").expect_no_problem(self.host.name)
        outcome.expect_no_problem(self.host.name)
        return outcome.changed

    def _log_in_again(self) -> None:
        """Log in over a new connection; sshd accepts none for a moment while it reloads. Raises UserError."""
        for last in attempts(clock.sleep, POLL, ROLLBACK_AFTER / 3):
            try:
                self.host.run("true")
            except Unreachable as locked_out:
                if last:
                    raise UserError(
                        f"{locked_out}; sshd's settings keep you out: the host takes them back in {ROLLBACK_AFTER} s"
                    ) from locked_out
            else:
                return

    def is_hardened(self) -> bool:
        """Say whether sshd accepts keys only already; changes nothing."""
        changes: list[Change] = []
        replace(self, heard=changes.append).status()
        return any(change.detail.startswith("in place") for change in changes)

    def status(self) -> None:
        """Report sshd's settings."""
        self._run("sshd-hardening", "status")

    def _run(self, program: str, *arguments: str, given: bytes = b"") -> int:
        """Run one of our programs on the host; return the number of changes. Raises UserError on problems."""
        outcome = self._outcome(program, *arguments, given=given)
        outcome.expect_no_problem(self.host.name)
        return outcome.changed

    def _outcome(self, program: str, *arguments: str, given: bytes = b"") -> TrialResult:
        """Run one of our programs on the host; each line of its output is a change, the last one the total.

        Raises UserError where it did not finish.
        """
        problems: list[Change] = []
        unreadable: list[str] = []
        changed: int | None = None

        def line(text: str) -> None:
            nonlocal changed
            try:
                fields = parse_json(text, LINE_OF_OURS, self.host.name) if text.startswith("{") else {}
            except UserError as problem:
                unreadable.append(str(problem))
                return
            if "change" in fields:
                member = fields.get("member") or ("sshd" if program == "sshd-hardening" else "accounts")
                change = Change(self.host.name, member, fields["change"], fields.get("detail", ""))
                problems.extend([change] if change.is_problem else [])
                self.heard(change)
            else:
                changed = fields.get("changed", changed)

        try:
            text, path = program_text(f"{program}.py"), f"/opt/ec2-lab/{program}"
            # The program stays on the host, which reverts sshd's settings itself.
            self.host.run_as_root(text, *arguments, given=given, heard=line, left_at=path, within=LONGEST_CHANGE)
        except Failed:
            if changed is None or not problems:
                raise
        if unreadable:
            raise UserError(unreadable[0])
        return TrialResult(changed or 0, tuple(problems))
