"""Bringing a running host to the members' accounts, and its sshd to keys alone, without locking anybody out."""

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
"""Seconds after which the host takes its sshd settings back by itself, unless a fresh login has confirmed them."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that was changed, or would be."""

    host: str
    member: str
    """Or "accounts" for all of them, or "sshd"."""
    change: str
    detail: str

    @property
    def is_problem(self) -> bool:
        """Whether it is something that could not be done."""
        return self.change == "problem"


LINE_OF_OURS = members(
    change=optional(LINE), member=optional(nullable(LINE)), detail=optional(TEXT), changed=optional(whole(0, 10**6))
)
Heard = Callable[[Change], None]


def change_printer(console: Console) -> Heard:
    """Return what tells a person, or a program, of each change."""
    from ec2lab.events.lab import AccountChange  # launches need none of these

    def heard(change: Change) -> None:
        if change.change != "unchanged":
            console.emit(AccountChange(**asdict(change)))

    return heard


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What came of a program that ran to its end."""

    changed: int
    problems: Sequence[Change]

    def expect_no_problem(self, host: str) -> None:
        """Raise UserError with all problems, where there are any."""
        if self.problems:
            raise UserError(f"{host}: {'; '.join(f'{one.member}: {one.detail}' for one in self.problems)}")


@dataclass(frozen=True)
class HostAccounts:
    """The accounts of one host. `heard` is told of each change as it is made."""

    host: Host
    heard: Heard

    def apply(
        self, document: AccountsDocument, *, check: bool = False, purge: bool = False, adopt: bool = False
    ) -> int:
        """Bring the host to a document and return how many things changed, or would. Raises UserError on problems."""
        asked = {"--check": check, "--purge": purge, "--adopt": adopt}
        options = [option for option, is_asked in asked.items() if is_asked]
        return self._run("accounts", *options, "-", given=document.as_json().encode())

    def bring_to(
        self, document: AccountsDocument, *, check: bool, purge: bool, adopt: bool
    ) -> tuple[int, Sequence[str]]:
        """Bring the host to a document and its sshd to keys alone; return how many things changed, and the problems.

        One member's account keeps sshd from nothing.
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
        """Let sshd take keys alone: applied, tried with a fresh login, confirmed; else the host takes it back.

        Refused by the host where `account`, or else nobody, could log in then. Raises UserError also where it is done,
        and a member is kept out by other settings, or by PAM.
        """
        named = ["--account", account] if account else []
        outcome = self._outcome("sshd-hardening", "apply", "--confirm-within", str(ROLLBACK_AFTER), *named)
        if outcome.changed:
            self._log_in_again()
            self._outcome("sshd-hardening", "confirm").expect_no_problem(self.host.name)
        outcome.expect_no_problem(self.host.name)
        return outcome.changed

    def _log_in_again(self) -> None:
        """Log in over a fresh connection; sshd takes none for a moment while it reloads. Raises UserError."""
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
        """Say whether sshd takes keys alone already, changing nothing."""
        changes: list[Change] = []
        replace(self, heard=changes.append).status()
        return any(change.detail.startswith("in place") for change in changes)

    def status(self) -> None:
        """Have told how sshd's settings are."""
        self._run("sshd-hardening", "status")

    def _run(self, program: str, *arguments: str, given: bytes = b"") -> int:
        """Run a program of ours on the host and return how many things changed. Raises UserError on problems."""
        outcome = self._outcome(program, *arguments, given=given)
        outcome.expect_no_problem(self.host.name)
        return outcome.changed

    def _outcome(self, program: str, *arguments: str, given: bytes = b"") -> TrialResult:
        """Run a program of ours on the host; each of its lines is a change, the last one the sum.

        Raises UserError where it did not come to its end.
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
            # It stays there: sshd's settings are taken back by the host itself.
            self.host.run_as_root(text, *arguments, given=given, heard=line, left_at=path, within=LONGEST_CHANGE)
        except Failed:
            if changed is None or not problems:
                raise
        if unreadable:
            raise UserError(unreadable[0])
        return TrialResult(changed or 0, tuple(problems))
