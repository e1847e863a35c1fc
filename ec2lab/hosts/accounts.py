"""Updates a running host's accounts to the members', and its sshd to keys only, without locking anybody out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from ec2lab.events.lab import AccountChange

POLL = 0.5, 5.0
LONGEST_CHANGE = 3600.0  # seconds that a purge of large homes may take
ROLLBACK_AFTER = 60  # seconds after which the host reverts its sshd settings, unless a new login confirms them


LINE_OF_OURS = members(
    change=optional(LINE), member=optional(nullable(LINE)), detail=optional(TEXT), changed=optional(whole(0, 10**6))
)
PROBLEM = "problem"
Heard = Callable[["AccountChange"], None]


def change_printer(console: Console) -> Heard:
    return lambda change: console.emit(*([] if change.change == "unchanged" else [change]))


@dataclass(frozen=True, slots=True)
class Outcome:
    changed: int
    problems: Sequence[AccountChange]

    def expect_no_problem(self, host: str) -> None:
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
                        f"{locked_out}; sshd's new settings lock you out: the host reverts them in {ROLLBACK_AFTER} s"
                    ) from locked_out
            else:
                return

    def is_hardened(self) -> bool:
        changes: list[AccountChange] = []
        replace(self, heard=changes.append).status()
        return any(change.detail.startswith("in place") for change in changes)

    def status(self) -> None:
        self._run("sshd-hardening", "status")

    def _run(self, program: str, *arguments: str, given: bytes = b"") -> int:
        outcome = self._outcome(program, *arguments, given=given)
        outcome.expect_no_problem(self.host.name)
        return outcome.changed

    def _outcome(self, program: str, *arguments: str, given: bytes = b"") -> Outcome:
        """Run one of our programs; each line of its output is a change, the last one the total. Raises UserError."""
        from ec2lab.events.lab import AccountChange  # launches need it only where accounts are left to create

        problems: list[AccountChange] = []
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
                how, detail = fields["change"], fields.get("detail", "")
                change = AccountChange(host=self.host.name, member=member, change=how, detail=detail)
                problems.extend([change] if how == PROBLEM else [])
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
        return Outcome(changed or 0, tuple(problems))
