"""Bringing a running host to the members' accounts, and its sshd to keys alone, without locking anybody out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from scripts.core import clock
from scripts.core.console import Console
from scripts.core.errors import LabError
from scripts.core.hosts.call_failures import Failed, Unreachable
from scripts.core.hosts.host_program import program as program_text
from scripts.core.hosts.member_accounts import AccountsDocument
from scripts.core.hosts.remote import Host
from scripts.core.hosts.said import said
from scripts.core.polling import growing
from scripts.core.registry.shapes import LINE, TEXT, members, nullable, optional, whole

FIRST_POLL, LONGEST_POLL = 0.5, 5.0
LONGEST_CHANGE = 3600.0
"""Seconds that a purge of large homes may take."""
CONFIRM_WITHIN = 60
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


def telling(console: Console) -> Heard:
    """Return what tells a person, or a program, of each change."""

    def heard(change: Change) -> None:
        if change.change != "unchanged":
            text = f"  {change.host}  {change.member}: {change.change} {change.detail}".rstrip()
            console.say(text, "change", style="red" if change.is_problem else None, host=change.host,
                        member=change.member, change=change.change, detail=change.detail)  # fmt: skip

    return heard


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a program that ran to its end."""

    changed: int
    problems: Sequence[Change]

    def expect_no_problem(self, host: str) -> None:
        """Raise LabError with all problems, where there are any."""
        if self.problems:
            raise LabError(f"{host}: {'; '.join(f'{one.member}: {one.detail}' for one in self.problems)}")


@dataclass(frozen=True)
class HostAccounts:
    """The accounts of one host. `heard` is told of each change as it is made."""

    host: Host
    heard: Heard

    def apply(
        self, document: AccountsDocument, *, check: bool = False, purge: bool = False, adopt: bool = False
    ) -> int:
        """Bring the host to a document and return how many things changed, or would. Raises LabError on problems."""
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
        except LabError as failure:
            problems.append(str(failure))
        try:
            changed += not self.is_hardened() if check else self.harden()
        except LabError as failure:
            problems.append(str(failure))
        return changed, problems

    def harden(self, account: str | None = None) -> int:
        """Let sshd take keys alone: applied, tried with a fresh login, confirmed; else the host takes it back.

        Refused by the host where `account`, or else nobody, could log in then. Raises LabError also where it is done,
        and a member is kept out by other settings, or by PAM.
        """
        named = ["--account", account] if account else []
        outcome = self._outcome("sshd-hardening", "apply", "--confirm-within", str(CONFIRM_WITHIN), *named)
        if outcome.changed:
            self._log_in_anew()
            self._outcome("sshd-hardening", "confirm").expect_no_problem(self.host.name)
        outcome.expect_no_problem(self.host.name)
        return outcome.changed

    def _log_in_anew(self) -> None:
        """Log in over a fresh connection; sshd takes none for a moment while it reloads. Raises LabError."""
        waited = 0.0
        for pause in growing(FIRST_POLL, LONGEST_POLL):
            try:
                self.host.run("true")
            except Unreachable as locked_out:
                if waited > CONFIRM_WITHIN / 3:
                    raise LabError(
                        f"{locked_out}; sshd's settings keep you out: the host takes them back in {CONFIRM_WITHIN} s"
                    ) from locked_out
                clock.sleep(pause)
                waited += pause
            else:
                return

    def is_hardened(self) -> bool:
        """Say whether sshd takes keys alone already, changing nothing."""
        told: list[Change] = []
        replace(self, heard=told.append).status()
        return any(change.detail.startswith("in place") for change in told)

    def status(self) -> None:
        """Have told how sshd's settings are."""
        self._run("sshd-hardening", "status")

    def _run(self, program: str, *arguments: str, given: bytes = b"") -> int:
        """Run a program of ours on the host and return how many things changed. Raises LabError on problems."""
        outcome = self._outcome(program, *arguments, given=given)
        outcome.expect_no_problem(self.host.name)
        return outcome.changed

    def _outcome(self, program: str, *arguments: str, given: bytes = b"") -> Outcome:
        """Run a program of ours on the host; each of its lines is a change, the last one the sum.

        Raises LabError where it did not come to its end.
        """
        problems: list[Change] = []
        unreadable: list[str] = []
        changed: int | None = None

        def line(text: str) -> None:
            nonlocal changed
            try:
                told = said(text, LINE_OF_OURS, self.host.name) if text.startswith("{") else {}
            except LabError as problem:
                unreadable.append(str(problem))
                return
            if "change" in told:
                member = told.get("member") or ("sshd" if program == "sshd-hardening" else "accounts")
                change = Change(self.host.name, member, told["change"], told.get("detail", ""))
                problems.extend([change] if change.is_problem else [])
                self.heard(change)
            else:
                changed = told.get("changed", changed)

        try:
            text, path = program_text(f"{program}.py"), f"/opt/ec2-lab/{program}"
            # It stays there: sshd's settings are taken back by the host itself.
            self.host.run_as_root(text, *arguments, given=given, heard=line, left_at=path, within=LONGEST_CHANGE)
        except Failed:
            if changed is None or not problems:
                raise
        if unreadable:
            raise LabError(unreadable[0])
        return Outcome(changed or 0, tuple(problems))
