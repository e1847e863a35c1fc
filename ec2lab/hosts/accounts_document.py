"""What an instance's accounts are to be: the document that templates/accounts.py reads, at boot or over ssh."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from ec2lab.config.lab_sections import Accounts
from ec2lab.config.models import Experiment, Member
from ec2lab.errors import UserError
from ec2lab.validators import did_you_mean

PROGRAM, DOCUMENT = "/opt/ec2-lab/accounts", "/etc/ec2-lab/accounts.json"

OVER_SSH = (  # what the program needs only when sent over ssh; the copy in user data omits it
    "read_document", "member", "names", "refuse_as_said", "is_password", "shown", "purging", "EndProcesses",
    "uids", "sudo_fault", "included_by", "label_fault", "key_files", "inspect", "read_plain", "main", "read_and_apply",
    "strangers", "json_line", "process_counts", "processes", "SHELL", "LONGEST_PASSWORD", "READABLE_LABEL",
    "public_key", "rsa_bits", "_one_line", "_no_key", "_check_blob", "_fields", "KEY_FIELDS", "RSA_BITS", "CLEAN",
    "LONGEST_COMMENT", "PRIVATE_KEY", "LINE_BREAKS", "NO_TEXT",
    "valid_login", "_fault_of", "LOGIN", "LONGEST_LOGIN", "SYSTEM_NAMES",
    "place_fault", "remarks", "shell_change", "password_change", "told_keys", "fingerprint_in", "fingerprint",
    "KEY_IN_A_LINE", "still_running",
)  # fmt: skip

MOST_AT_BOOT, MOST_BESIDE_OTHERS = 12, 2
"""Each account takes about 80 bytes of user data's 16 KiB, even compressed; the idle program takes 1.3 KiB, and those
that upload a log 0.9 KiB."""

Sudo = Literal["nopasswd", "password"]


@dataclass(frozen=True, slots=True)
class Account:
    keys: Sequence[str]
    groups: Sequence[str]
    shell: str
    uid: int | None
    sudo: Sudo | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountsDocument:
    members: Mapping[str, Account]
    make_groups: Sequence[str] = ()
    only: Sequence[str] | None = None  # only these accounts; None means all, and members no longer listed are locked
    removed: Sequence[str] = ()  # accounts to lock by name
    reserved: Sequence[int] = ()  # uids of members outside `members`: given to nobody else
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)
    """To be changed at the first login. Sent only over ssh's standard input."""

    def as_json(self) -> str:
        return json.dumps({key: value for key, value in asdict(self).items() if value is not None})


def boot_members(members: Mapping[str, Member], first: str | None, experiment: Experiment) -> Mapping[str, Member]:
    """Return the members whose accounts are created at the first boot: all, if they fit.

    Otherwise `first`, who then logs in to create the others, and as many more as fit. Where nobody is to log in, nobody
    could create the others later.
    """
    tells = experiment.artifact_uri is not None and not experiment.needs_code_upload
    most = MOST_AT_BOOT if experiment.idle_timeout is None and not tells else MOST_BESIDE_OTHERS
    if first is None or len(members) <= most:
        return members
    chosen = [first, *(name for name in members if name != first)][:most]
    return {name: members[name] for name in members if name in chosen}


def document(members: Mapping[str, Member], policy: Accounts, only: Collection[str] | None = None) -> AccountsDocument:
    """Return the accounts of all members, or `only` of these. Raises UserError where two have the same uid."""
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
                f"members/{name}.toml: uid {member.uid} is {other}'s (members/{other}.toml); change one of them"
            )


def _account(name: str, member: Member, policy: Accounts) -> Account:
    sudo: Sudo | None = None
    if "sudo" in member.groups:
        # Nobody has a password at first, so somebody must have sudo without one.
        sudo = "nopasswd" if name in policy.administrators else policy.sudo
    return Account(member.keys, member.groups, member.shell, member.uid, sudo)


ASK = "ask"
SHORTEST = 12
"""Characters. The member changes it at the first login, by the host's own rules."""


def with_initial_password(document: AccountsDocument, name: str, password: str) -> AccountsDocument:
    """Return a document for one member, if named, and with a password, if one is to be asked for. Raises UserError."""
    if name and name not in document.members:
        raise UserError(f"NAME: {name!r} is not in members/{did_you_mean(name, document.members)}")
    if password and password != ASK:
        raise UserError("PASSWORD: write PASSWORD=ask; everybody can read a password on a command line")
    if password and not name:
        raise UserError("NAME: whose password? (NAME=alice PASSWORD=ask)")
    if not name:
        return document
    return replace(document, only=[name], passwords={name: _asked_for(name)} if password else {})


def _asked_for(name: str) -> str:
    if not sys.stdin.isatty():
        raise UserError("PASSWORD: there is no terminal to prompt on")
    first = getpass.getpass(f"first password for {name}: ")
    if len(first) < SHORTEST or not first.isprintable():
        raise UserError(f"PASSWORD: use at least {SHORTEST} printable characters")
    if getpass.getpass("the same again: ") != first:
        raise UserError("PASSWORD: the two do not match")
    return first
