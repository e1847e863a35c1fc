"""Bringing a running host to the members' accounts, and its sshd to keys alone, without locking anybody out."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from ec2lab import clock
from ec2lab.config.models import Accounts, Experiment, Member
from ec2lab.console import Console
from ec2lab.errors import UserError
from ec2lab.hosts.call_failures import Failed, Unreachable
from ec2lab.hosts.program_packer import program as program_text
from ec2lab.hosts.protocol import parse_json
from ec2lab.hosts.ssh import Host
from ec2lab.polling import attempts
from ec2lab.registry.shapes import LINE, TEXT, members, nullable, optional, whole
from ec2lab.validators import did_you_mean

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
        told: list[Change] = []
        replace(self, heard=told.append).status()
        return any(change.detail.startswith("in place") for change in told)

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
                told = parse_json(text, LINE_OF_OURS, self.host.name) if text.startswith("{") else {}
            except UserError as problem:
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
            raise UserError(unreadable[0])
        return TrialResult(changed or 0, tuple(problems))


PROGRAM, DOCUMENT = "/opt/ec2-lab/accounts", "/etc/ec2-lab/accounts.json"

OVER_SSH = (
    "read_document", "member", "names", "refuse_as_said", "is_password", "shown", "purging", "EndProcesses",
    "uids", "sudo_fault", "included_by", "label_fault", "key_files", "inspect", "read_plain", "main", "read_and_apply",
    "strangers", "json_line", "process_counts", "processes", "SHELL", "LONGEST_PASSWORD", "READABLE_LABEL",
    "public_key", "rsa_bits", "_one_line", "_no_key", "_check_blob", "_fields", "KEY_FIELDS", "RSA_BITS", "CLEAN",
    "LONGEST_COMMENT", "PRIVATE_KEY", "LINE_BREAKS", "NO_TEXT",
    "valid_login", "_fault_of", "LOGIN", "LONGEST_LOGIN", "SYSTEM_NAMES",
    "place_fault", "remarks", "shell_change", "password_change", "told_keys", "fingerprint_in", "fingerprint",
    "KEY_IN_A_LINE", "still_running",
)  # fmt: skip
"""What the program needs only when it is sent over ssh, as a whole: the copy that comes with the boot is without."""

MOST_AT_BOOT, MOST_BESIDE_OTHERS = 12, 2
"""Each account takes about 80 bytes of the 16 KiB that user data has, even when compressed; the program that sees
whether an instance is idle takes 1.3 KiB, and those that put a log in a bucket 0.9 KiB."""

Sudo = Literal["nopasswd", "password"]


@dataclass(frozen=True, slots=True)
class Account:
    """One member's account."""

    keys: Sequence[str]
    groups: Sequence[str]
    shell: str
    uid: int | None
    sudo: Sudo | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountsDocument:
    """What an instance is to be brought to."""

    members: Mapping[str, Account]
    make_groups: Sequence[str] = ()
    only: Sequence[str] | None = None
    """These accounts alone; when left out, all, and members no longer listed are locked."""
    removed: Sequence[str] = ()
    """Accounts that are locked by name."""
    reserved: Sequence[int] = ()
    """Uids of members who are not in `members`: given to nobody else."""
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)
    """To be changed at the first login. Only ever sent over ssh's standard input."""

    def as_json(self) -> str:
        """Return it as the instance reads it."""
        return json.dumps({key: value for key, value in asdict(self).items() if value is not None})


def boot_members(members: Mapping[str, Member], first: str | None, experiment: Experiment) -> Mapping[str, Member]:
    """Return the members whose accounts are made at the first boot: all, where there is room for them.

    Else `first`, who then logs in and makes the others', and as many more as there is room for. Where nobody is to log
    in, there is nobody to do it later.
    """
    tells = experiment.artifact_uri is not None and not experiment.needs_code_upload
    most = MOST_AT_BOOT if experiment.idle_timeout is None and not tells else MOST_BESIDE_OTHERS
    if first is None or len(members) <= most:
        return members
    chosen = [first, *(name for name in members if name != first)][:most]
    return {name: members[name] for name in members if name in chosen}


def document(members: Mapping[str, Member], policy: Accounts, only: Collection[str] | None = None) -> AccountsDocument:
    """Return the accounts of all members, or of `only` these, under the lab's policy.

    Raises UserError where two members name one uid.
    """
    _expect_different_uids(members)
    chosen = members if only is None else only
    accounts = {name: _account(name, member, policy) for name, member in members.items() if name in chosen}
    reserved = [member.uid for name, member in members.items() if name not in chosen and member.uid is not None]
    return AccountsDocument(members=accounts, make_groups=policy.make_groups, reserved=reserved)


def _expect_different_uids(members: Mapping[str, Member]) -> None:
    owner: dict[int, str] = {}
    for name, member in members.items():
        if member.uid is not None and (other := owner.setdefault(member.uid, name)) != name:
            raise UserError(
                f"members/{name}.toml: uid {member.uid} is {other}'s (members/{other}.toml): one needs another"
            )


def _account(name: str, member: Member, policy: Accounts) -> Account:
    sudo: Sudo | None = None
    if "sudo" in member.groups:
        # Nobody has a password at first, so somebody must be able to do without one.
        sudo = "nopasswd" if name in policy.administrators else policy.sudo
    return Account(member.keys, member.groups, member.shell, member.uid, sudo)


ASK = "ask"
SHORTEST = 12
"""Characters. The member changes it at the first login, by the host's own rules."""


def with_initial_password(document: AccountsDocument, name: str, password: str) -> AccountsDocument:
    """Return a document for one member alone, where one is named, and with a password, where one is to be asked for.

    Raises UserError.
    """
    if name and name not in document.members:
        raise UserError(f"NAME: {name!r} is not in members/{did_you_mean(name, document.members)}")
    if password and password != ASK:
        raise UserError("PASSWORD: write PASSWORD=ask; a password on a command line is everybody's to read")
    if password and not name:
        raise UserError("NAME: whose password is it to be? (NAME=alice PASSWORD=ask)")
    if not name:
        return document
    return replace(document, only=[name], passwords={name: _asked_for(name)} if password else {})


def _asked_for(name: str) -> str:
    if not sys.stdin.isatty():
        raise UserError("PASSWORD: there is no terminal to ask on")
    first = getpass.getpass(f"first password for {name}: ")
    if len(first) < SHORTEST or not first.isprintable():
        raise UserError(f"PASSWORD: take at least {SHORTEST} printable characters")
    if getpass.getpass("the same again: ") != first:
        raise UserError("PASSWORD: the two are not the same")
    return first
