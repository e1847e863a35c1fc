#!/usr/bin/python3 -I
"""Bring an instance to exactly the accounts of a document. Runs as root, on Python 3.9 or later, at launch and over
ssh.

    accounts [--check] [--purge] [--adopt] [--console] DOCUMENT.json|-
    accounts --at-boot DOCUMENT.json    a document sent with this program, already validated; prints lines for people

    --check    print what would change, and change nothing
    --purge    delete accounts that are no longer listed, with their homes
    --adopt    take over existing accounts of members

    {"members": {"alice": {"keys": ["ssh-ed25519 AAAA… alice@laptop"], "groups": ["docker"], "shell": "/bin/zsh",
                           "uid": 4001 or null, "sudo": "nopasswd", "password" or null}},
     "make_groups": ["docker"],          created if they are absent; other absent groups are skipped
     "only": ["alice"],                  apply to these alone, and lock nobody for not being listed
     "removed": ["bob"],                 lock these, listed or not by `only`
     "reserved": [4002],                 uids of members who are not listed: given to nobody else
     "passwords": {"alice": "…"}}        over standard input only; to be changed at the first login

Accounts created here are marked in /var/lib/ec2-lab/accounts.json, which only root can write, with the groups that they
were given. A marked account that is no longer listed is locked: keys, groups and sudo rule are removed, the home is
kept (--purge deletes both). A marked group that a member no longer lists is removed; groups that others gave stay. An
existing account without a mark is refused; --adopt marks it, and it is never purged. System accounts are not changed.
It prints one JSON object per line for each change, and {"changed": 0, "problems": 0} at the end; --console prints lines
for people. Exit status 1 if there was a problem; one member's problem does not affect the others.
"""  # noqa: D205

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import errno
import fcntl
import grp
import itertools
import json
import os
import pathlib
import pwd
import re
import select
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ec2lab.config.public_key import fingerprint, public_key
from ec2lab.login_names import IMAGE_USERS, LOGIN, valid_login

LAB = "ec2-lab"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
SUDOERS = pathlib.Path("/etc/sudoers.d")
SKELETON, DEFAULT_SHELL = "/etc/skel", "/bin/bash"
SELINUX = pathlib.Path("/sys/fs/selinux/enforce")
"""Exists where SELinux is on, enforcing or not."""
READABLE_LABEL = r":(ssh_home_t|user_home_t|nfs_t|cifs_t|fusefs_t|ecryptfs_t|autofs_t):"
"""Labels of files that sshd may read keys from by SELinux's policy; on network file systems where its booleans allow
it."""
LOCK = "/run/ec2-lab-accounts.lock"
MARKS = pathlib.Path("/var/lib/ec2-lab/accounts.json")

FIRST_UID, LAST_UID = 1000, 60000
"""Of people; a member may have a higher one."""
NOBODY = {65534, 65535, 2**32 - 1}

KEY_IN_A_LINE = r"(?:^|\s)((?:ssh|ecdsa|sk)-[a-z0-9@.-]+)\s+(AAAA[A-Za-z0-9+/]+={0,2})"
SHELL = r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+"
OWNER_ALONE, DIRECTORY_OWNER_ALONE, SUDO_RULE = 0o600, 0o700, 0o440
"""Modes."""
LONGEST_PASSWORD = 500
KEY_FILES = {"authorized_keys", "authorized_keys2", "known_hosts"}

DOT = "%2e"
"""A dot in the name of a file of SUDOERS."""
RULES = {"nopasswd": "{} ALL=(ALL:ALL) NOPASSWD: ALL\n", "password": "{} ALL=(ALL:ALL) ALL\n"}

PATIENCE = 10
"""Seconds for anything that waits for a user's home or processes."""
LONGEST_MOUNT = 90
"""Seconds, at boot, for a volume with homes to be mounted."""


class Refused(Exception):
    """The document is invalid, and why."""


class Failed(Exception):
    """A step failed, and why."""


# The document


@dataclass(frozen=True)
class Member:
    """The desired account of a member."""

    name: str
    keys: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    shell: str | None = None
    uid: int | None = None
    sudo: str | None = None


@dataclass(frozen=True)
class Document:
    """The desired accounts of the instance; `refused` says why nothing is done for some names."""

    members: dict[str, Member]
    refused: dict[str, str]
    make_groups: tuple[str, ...]
    only: frozenset[str] | None
    removed: tuple[str, ...]
    passwords: dict[str, str] = field(repr=False)
    reserved: tuple[int, ...] = ()
    at_boot: bool = False
    """Whether it came with the boot: homes may be mounted soon, and no keys are read before they are set."""

    def named_uids(self) -> frozenset[int]:
        """Return the uids that members name, here or elsewhere."""
        return frozenset(self.reserved).union(one.uid for one in self.members.values() if one.uid is not None)


def read_document(text: str, *, secrets: bool) -> Document:
    """Parse the document; `secrets` says whether it may hold passwords. Raises Refused."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise Refused(f"the document is not JSON: {problem}") from problem
    parts = {"members", "make_groups", "only", "removed", "passwords", "reserved"}
    if not isinstance(given, dict) or not isinstance(given.get("members"), dict) or given.keys() - parts:
        others = ", ".join(sorted(parts - {"members"}))
        raise Refused(f"the document is an object with `members`, and of {others}")
    passwords = given.get("passwords") or {}
    if not isinstance(passwords, dict) or not all(map(is_password, passwords.values())):
        raise Refused("`passwords` are lines of text by name")
    if passwords and not secrets:
        raise Refused("`passwords` may come over standard input only, never in a file")
    only = given.get("only")
    members, refused = {}, {}
    for name, entry in given["members"].items():
        try:
            members[name] = member(name, entry)
        except Refused as problem:
            refused[name] = str(problem)
    document = Document(
        members,
        refused,
        make_groups=names(given.get("make_groups", []), "make_groups"),
        only=None if only is None else frozenset(names(only, "only")),
        removed=names(given.get("removed", []), "removed"),
        passwords=passwords,
        reserved=uids(given.get("reserved", []), members.values()),
    )
    if unknown := sorted(({*passwords} | (document.only or set())) - given["members"].keys()):
        raise Refused(f"{shown(unknown[0])} is named in `only` or `passwords`, and is no member")
    if both := sorted(set(document.removed) & given["members"].keys()):
        raise Refused(f"{shown(both[0])} is in `members` and in `removed`")
    return document


def document_as_sent(text: str) -> Document:
    """Parse a document that its sender has validated: it is as trusted as the program that it came with."""
    given = json.loads(text)
    members = {
        name: Member(name, **{key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()})
        for name, entry in given["members"].items()
    }
    return Document(members, {}, tuple(given["make_groups"]), None, (), {}, tuple(given["reserved"]), at_boot=True)


def member(name: str, entry: object) -> Member:
    """Parse a member's entry. Raises Refused."""
    refuse_as_said(valid_login, name)
    if not isinstance(entry, dict) or entry.keys() - {"keys", "groups", "shell", "uid", "sudo"}:
        raise Refused("a member is an object of keys, groups, shell, uid and sudo")
    keys, shell, uid, sudo = entry.get("keys", []), entry.get("shell"), entry.get("uid"), entry.get("sudo")
    if not isinstance(keys, list):
        raise Refused("`keys` is a list")
    if shell is not None and not (isinstance(shell, str) and re.fullmatch(SHELL, shell)):
        raise Refused(f"{shown(shell)} is no shell (an absolute path)")
    if uid is not None and (type(uid) is not int or not FIRST_UID <= uid < 2**31 or uid in NOBODY):
        raise Refused(f"{shown(uid)} is no uid of a person (a number from {FIRST_UID} on)")
    if sudo is not None and not (isinstance(sudo, str) and sudo in RULES):
        policies = ", ".join(RULES)
        raise Refused(f"{shown(sudo)} is no policy for sudo ({policies} or null)")
    lines = {fingerprint(key): key for key in reversed([refuse_as_said(public_key, key) for key in keys])}
    return Member(name, tuple(reversed(lines.values())), names(entry.get("groups", []), "groups"), shell, uid, sudo)


def names(given: object, where: str) -> tuple[str, ...]:
    """Return a list of user or group names, each once. Raises Refused."""
    if not isinstance(given, list):
        raise Refused(f"`{where}` is a list")
    for name in given:
        if not isinstance(name, str) or not re.fullmatch(LOGIN, name):
            raise Refused(f"{shown(name)} in `{where}` is no name of a user or group")
    return tuple(dict.fromkeys(given))


def uids(reserved: object, members: Iterable[Member]) -> tuple[int, ...]:
    """Return the reserved uids if they are numbers, and if no two members have the same uid. Raises Refused."""
    if not isinstance(reserved, list) or any(type(uid) is not int for uid in reserved):
        raise Refused("`reserved` is a list of uids")
    for one, other in itertools.combinations(members, 2):
        if one.uid is not None and one.uid == other.uid:
            raise Refused(f"{one.name} and {other.name} both name uid {one.uid}: give one of them another")
    return tuple(reserved)


def refuse_as_said(rule: Callable[[str], str], text: Any) -> str:
    """Validate text by a rule that the lab's files share. Raises Refused."""
    if not isinstance(text, str):
        raise Refused(f"{shown(text)} is no text")
    try:
        return rule(text)
    except ValueError as problem:
        raise Refused(f"a key {problem}" if rule is public_key else str(problem)) from problem


def is_password(text: object) -> bool:
    """Say whether chpasswd accepts text as a password: one line."""
    return isinstance(text, str) and 0 < len(text) <= LONGEST_PASSWORD and text.isprintable()


def fingerprint_in(line: str) -> str | None:
    """Return the fingerprint of the key in a line of authorized_keys as ssh-keygen -l shows it; None without a key."""
    found = re.search(KEY_IN_A_LINE, line)
    if not found or line.lstrip().startswith("#"):
        return None
    with contextlib.suppress(ValueError):
        return fingerprint(f"{found[1]} {found[2]}")
    return None


def shown(value: object) -> str:
    """Return a value for an error message: short, and without control characters."""
    return json.dumps(value)[:60]


# The instance as it is


@dataclass(frozen=True)
class KeyFiles:
    """What opens an account: the lines of its authorized_keys files, and the problems of these files."""

    lines: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    home: bool = True


@dataclass(frozen=True)
class Mark:
    """What the lab knows of an account of its own: its uid, whether it created it, and which groups it gave it."""

    uid: int
    made: bool
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Account:
    """An account of the instance; `password` is the field of /etc/shadow."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str
    password: str = field(default="*", repr=False)
    expired: bool = False
    groups: frozenset[str] = frozenset()
    """Including its primary group, by number, which cannot be removed."""
    key_files: KeyFiles = KeyFiles()
    mark: Mark | None = None
    """None where the account is not the lab's."""

    @property
    def has_password(self) -> bool:
        """Whether a password opens it."""
        return not self.password.startswith(("!", "*"))

    @property
    def is_barred(self) -> bool:
        """Whether its keys open it nowhere, or only where sshd uses PAM, as with a password of "!" alone."""
        return self.expired or (self.password != "" and not self.password.strip("!"))


@dataclass(frozen=True)
class Instance:
    """The facts for a plan."""

    accounts: dict[str, Account]
    groups: dict[str, int]
    rules: dict[str, str]
    """The lab's sudo rules by account."""
    marked: frozenset[str] = frozenset()
    """Names with marks, also of accounts that are gone or belong to others by now."""
    shells: dict[str, str] = field(default_factory=dict)
    """Why a requested shell is not available; empty where it is installed."""
    elsewhere: frozenset[str] = frozenset()
    """Requested names that a directory service has."""
    uids: dict[int, str] = field(default_factory=dict)
    """Requested uids that are taken, also in a directory service, and by whom."""
    homes: dict[str, int] = field(default_factory=dict)
    """The content of the directory of homes, with owners."""
    blocked: dict[str, str] = field(default_factory=dict)
    """Why nothing can be written to a member's home."""
    mounts: tuple[str, ...] = ()
    processes: dict[int, int] = field(default_factory=dict)
    """The number of a uid's processes."""
    no_sudo: str = ""
    """Why no sudo rule would count."""
    caller: str | None = None
    at_boot: bool = False

    def is_ours(self, name: str) -> bool:
        """Say whether an account is the lab's."""
        account = self.accounts.get(name)
        return account is not None and account.uid != 0 and account.mark is not None

    def is_protected(self, account: Account) -> bool:
        """Say whether an account is a system account."""
        system = account.uid < FIRST_UID or account.uid in NOBODY or account.name in IMAGE_USERS
        return account.uid == 0 or (system and not self.is_ours(account.name))


def look(document: Document) -> Instance:
    """Return the facts that a plan for the document needs."""
    passwd, group = entries("/etc/passwd", 7), entries("/etc/group", 4)
    shadow = {entry[0]: entry for entry in entries("/etc/shadow", 9)}
    rules = {rule_of(path): rule_in(path) for path in SUDOERS.glob(f"{LAB}-*") if "." not in path.name}
    marks, accounts, blocked, base = read_marks(), {}, {}, home_base()
    for name in document.members.keys() - {name for name, *_ in passwd}:
        blocked[name] = home_fault(f"{base}/{name}")
    for name, _, uid, gid, _, home, shell in passwd:
        mine = frozenset(g for g, _, number, inside in group if number == gid or name in inside.split(","))
        _, password, _, _, _, _, _, expires, _ = shadow.get(name, ["", "*", *[""] * 7])
        past = is_past(expires)
        mark = marks.get(name)
        mark = mark if mark and mark.uid == int(uid) else None
        account = Account(name, int(uid), int(gid), home, shell, password, expired=past, groups=mine, mark=mark)
        if name in document.members or mark:
            blocked[name] = home_fault(home)
            there = not blocked[name] and os.path.isdir(home)  # noqa: PTH112
            files = KeyFiles(home=there) if document.at_boot or not there else key_files(account)
            account = dataclasses.replace(account, key_files=files)
        accounts[name] = account
    return Instance(
        accounts,
        groups={g: int(gid) for g, _, gid, _ in group},
        rules=rules,
        marked=frozenset(marks),
        shells={m.shell: shell_fault(m.shell) for m in document.members.values() if m.shell},
        elsewhere=frozenset(name for name in document.members if name not in accounts and known(pwd.getpwnam, name)),
        uids={uid: found.pw_name for uid in document.named_uids() if (found := known(pwd.getpwuid, uid))},
        homes={} if document.at_boot else owners_in(base),
        blocked=blocked,
        mounts=tuple(mounted()),
        processes={} if document.at_boot else process_counts(),
        no_sudo=sudo_fault(),
        caller=os.environ.get("SUDO_USER"),
        at_boot=document.at_boot,
    )


def is_past(expires: str) -> bool:
    """Say whether the day in a field of /etc/shadow has passed."""
    return expires.isdigit() and int(expires) * 86400 <= time.time()


def read_marks() -> dict[str, Mark]:
    """Return the marks by name. Raises Refused where others than root could have written them."""
    if not MARKS.exists():
        return {}
    info = MARKS.lstat()
    if not stat.S_ISREG(info.st_mode) or info.st_uid or info.st_mode & 0o022:
        raise Refused(f"{MARKS}: not root's alone, so it proves nothing; remove it, and adopt the accounts")
    try:
        return {
            name: Mark(int(told["uid"]), told["made"] is True, tuple(told["groups"]))
            for name, told in json.loads(MARKS.read_text()).items()
        }
    except (ValueError, TypeError, AttributeError, LookupError) as problem:
        raise Refused(f"{MARKS}: damaged ({problem!r}); remove it, and adopt the accounts") from problem


def lines_of(path: str) -> list[str]:
    """Return the lines of a system file; empty where it does not exist."""
    try:
        return pathlib.Path(path).read_text(encoding="utf-8", errors="surrogateescape").strip("\n").split("\n")
    except FileNotFoundError:
        return []


def unescaped(path: str) -> str:
    """Decode a path of mountinfo, which has octal numbers for spaces (proc(5))."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def entries(path: str, fields: int) -> list[list[str]]:
    """Return the entries of a system table, without those that refer to a directory service."""
    found = (line.split(":") for line in lines_of(path) if not line.startswith(("+", "-")))
    return [entry for entry in found if len(entry) == fields]


def rule_path(name: str) -> pathlib.Path:
    """Return the path of a sudo rule: sudo reads no file with a dot in its name, which logins may have.

    See sudoers(5).
    """
    file = name.replace(".", DOT)
    return SUDOERS / f"{LAB}-{file}"


def rule_of(path: pathlib.Path) -> str:
    """Return whose rule is at a path."""
    return path.name[len(LAB) + 1 :].replace(DOT, ".")


def rule_in(path: pathlib.Path) -> str:
    """Return a sudo rule; empty where its owner or mode is not what sudo requires."""
    info = path.lstat()
    right = stat.S_ISREG(info.st_mode) and stat.S_IMODE(info.st_mode) == SUDO_RULE and info.st_uid == 0
    return path.read_text(errors="replace") if right else ""


def shell_fault(shell: str) -> str:
    """Return why a shell cannot be used; empty where it can."""
    if os.path.isfile(shell) and os.access(shell, os.X_OK):  # noqa: PTH113
        return ""
    name = shell.rpartition("/")[2]
    package = f"package {name}"
    return f"{shell} is not installed ({shutil.which(name, path=PATH) or package})"


def sudo_fault() -> str:
    """Return why a rule in sudoers.d would not count; empty where it would."""
    absent = [program for program in ("sudo", "visudo") if not shutil.which(program, path=PATH)]
    if absent:
        return f"{absent[0]} is not installed (package sudo)"
    if str(SUDOERS) in included_by("/etc/sudoers"):
        return ""
    return f"/etc/sudoers reads no rules from {SUDOERS}: add `@includedir {SUDOERS}` there (visudo)"


def included_by(path: str, depth: int = 0) -> Iterator[str]:
    """Return the directories that sudo reads rules from (sudoers(5), "Including other files")."""
    for line in lines_of(path) if depth < 9 else ():  # noqa: PLR2004 - a file may include itself
        if found := re.match(r'\s*[@#]include(dir)?\s+"?([^"\s]+?)/*"?\s*$', line):
            yield from [found[2]] if found[1] else included_by(found[2], depth + 1)


def known(look_up: Callable[[Any], Any], key: str | int) -> Any:
    """Return the user with a name or number, from any source; None where there is none."""
    try:
        return look_up(key)
    except KeyError:
        return None


# Homes


def home_base() -> str:
    """Return where useradd creates homes."""
    lines = lines_of("/etc/default/useradd")
    return next((line[5:].rstrip("/") for line in reversed(lines) if line.startswith("HOME=/")), "/home")


def owners_in(directory: str) -> dict[str, int]:
    """Return the owner of everything in a directory."""
    with contextlib.suppress(OSError), os.scandir(directory) as found:
        return {entry.name: entry.stat(follow_symlinks=False).st_uid for entry in found}
    return {}


def free_uid(name: str, named: frozenset[int]) -> int:
    """Return a uid for a member without one: that of an existing home, else one above all others.

    Never one that another member names, or that owns anybody's home: its files would belong to the new account.
    """
    homes = owners_in(home_base())
    waiting = homes.pop(name, 0)
    people = {user.pw_uid for user in pwd.getpwall()} | {*homes.values()}
    if FIRST_UID <= waiting not in people | named | NOBODY:
        return waiting
    taken = people | named | {group.gr_gid for group in grp.getgrall()} | {waiting}
    above = max((uid for uid in people - named if FIRST_UID <= uid < LAST_UID), default=FIRST_UID - 1) + 1
    return next(uid for uid in (*range(above, LAST_UID), *range(FIRST_UID, above)) if uid not in taken)


def mounted() -> dict[str, str]:
    """Return the type of the topmost file system at each mount point (proc(5))."""
    found = {}
    for line in lines_of("/proc/self/mountinfo"):
        of_mount, _, of_system = line.partition(" - ")
        found[unescaped(of_mount.split()[4])] = of_system.split()[0]
    return found


def due() -> list[str]:
    """Return the mount points in fstab."""
    lines = [line.split() for line in lines_of("/etc/fstab")]
    return [unescaped(words[1]) for words in lines if len(words) > 1 and not words[0].startswith("#")]


def home_fault(home: str) -> str:
    """Return why nothing can be written to a home, existing or not; empty where it can."""
    try:
        return str(in_child(lambda: way_to(home), of=home))
    except Failed as problem:
        return str(problem)


def way_to(home: str) -> str:
    """Return what is wrong on the path to a home; run in a child, as a network file system may hang."""
    is_there = os.path.isdir(f"{home}/.")  # noqa: PTH112 - "/.": has an automounter mount it
    real, mounts = f"{os.path.realpath(home)}/", mounted()
    above = [point for point in {*mounts, *map(os.path.realpath, due())} if real.startswith(point.rstrip("/") + "/")]
    nearest = max(above, key=len, default="/")
    if mounts.get(nearest, "" if nearest == "/" else "autofs") == "autofs":
        return f"{nearest} is not mounted, so {home} can't be created; run `make users` once it is"
    return "" if is_there else place_fault(home)


def place_fault(home: str) -> str:
    """Return why no home can be created; empty where one can."""
    if os.path.islink(home):  # noqa: PTH114
        return f"{home} is a link to {os.path.realpath(home)}, which is no directory"
    parent = os.path.dirname(home)  # noqa: PTH120
    return f"{parent} is read-only" if os.path.isdir(parent) and not os.access(parent, os.W_OK) else ""  # noqa: PTH112


def process_counts() -> dict[int, int]:
    """Return the number of processes of each uid."""
    counts: dict[int, int] = {}
    for _, uid in processes():
        counts[uid] = counts.get(uid, 0) + 1
    return counts


def processes() -> Iterator[tuple[int, int]]:
    """Return (process id, uid) of all running processes, without zombies."""
    for path in pathlib.Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            status = path.read_text(errors="replace")
            if "\nState:\tZ" not in status:
                yield int(path.parent.name), int(status.split("\nUid:\t")[1].split()[0])


# A user's own files are read and written as that user: links lead only where the user may go.


def as_user(account: Account, work: Callable[[], Any]) -> Any:
    """Return the result of `work` (JSON), run in a process as the user. Raises Failed."""
    return in_child(work, of=account.home, user=account)


def in_child(work: Callable[[], Any], *, of: str, user: Account | None = None) -> Any:
    """Return the result of `work` (JSON), run in a process that is killed if `of` does not respond. Raises Failed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        answer: dict[str, object] = {"problem": "it failed"}
        try:
            if user:
                os.initgroups(user.name, user.gid)
                os.setgid(user.gid)
                os.setuid(user.uid)
            os.umask(0o077)
            answer = {"value": work()}
        except Failed as problem:
            answer = {"problem": str(problem)}
        except OSError as problem:
            answer = {"problem": in_words(problem)}
        finally:
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(json.dumps(answer).encode())
            os._exit(0)
    os.close(writing)
    try:
        answer = json.loads(read_within(reading, PATIENCE) or b'{"problem": "it was ended"}')
    except TimeoutError as problem:
        raise Failed(f"{of} does not answer") from problem
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
    if "problem" in answer:
        raise Failed(answer["problem"])
    return answer["value"]


def in_words(problem: OSError) -> str:
    """Describe an error of a file, and why its owner has no access."""
    name, hint = problem.filename or "", " (chattr -i?)" if problem.errno == errno.EPERM else ""
    return f"{name}: {problem.strerror}{hint}"


def read_within(pipe: int, seconds: float) -> bytes:
    """Read a pipe until its other end is closed. Raises TimeoutError."""
    deadline, found = time.monotonic() + seconds, b""
    while select.select([pipe], [], [], max(0, deadline - time.monotonic()))[0]:
        piece = os.read(pipe, 65536)
        if not piece:
            return found
        found += piece
    raise TimeoutError


def key_files(account: Account) -> KeyFiles:
    """Return the content of a user's authorized_keys files."""
    try:
        found = as_user(account, lambda: inspect(pathlib.Path(account.home)))
    except Failed as problem:
        return KeyFiles(faults=(f"could not be read: {problem}",))
    return KeyFiles(tuple(found["lines"]), tuple(found["faults"]))


def inspect(home: pathlib.Path) -> dict[str, list[str]]:
    """Return the lines and problems of the authorized_keys files in a home; runs as its owner."""
    lines, faults = [], []
    if home.stat().st_mode & 0o022:
        faults.append("the home could be written to by others")  # sshd would accept no key from it
    directory = home / ".ssh"
    if directory.is_symlink():
        faults.append(".ssh was a symbolic link")
    elif directory.exists():
        if directory.stat().st_uid != os.geteuid() or stat.S_IMODE(directory.stat().st_mode) != DIRECTORY_OWNER_ALONE:
            faults.append(".ssh was not its owner's alone")
        for name in ("authorized_keys", "authorized_keys2"):  # sshd reads both
            content, fault = read_plain(directory / name)
            lines += content.splitlines()
            faults += [f"{name} {fault}"] if fault else []
            faults += ["authorized_keys2 was there"] if name.endswith("2") and content else []
    faults += [fault for fault in [label_fault(directory / "authorized_keys")] if fault]
    return {"lines": lines, "faults": faults}


def read_plain(path: pathlib.Path) -> tuple[str, str]:
    """Return (content, problem) of a file that should be regular and its owner's."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return "", ""
    except OSError as problem:
        return "", "was a symbolic link" if path.is_symlink() else f"could not be read ({problem.strerror})"
    with open(opened, "rb") as file:  # noqa: PTH123
        info = os.fstat(opened)
        if not stat.S_ISREG(info.st_mode):
            return "", "was no plain file"
        content = file.read(1 << 20).decode(errors="replace")
    alone = info.st_uid == os.geteuid() and stat.S_IMODE(info.st_mode) == OWNER_ALONE and info.st_nlink == 1
    return content, "" if alone else "was not its owner's alone"


def replace(home: pathlib.Path, keys: Iterable[str]) -> None:
    """Write exactly these keys to authorized_keys in a home; runs as its owner."""
    if home.stat().st_mode & 0o022:
        home.chmod(stat.S_IMODE(home.stat().st_mode) & ~0o022)
    directory = home / ".ssh"
    if directory.is_symlink():
        directory.unlink()
    if keys:
        directory.mkdir(mode=DIRECTORY_OWNER_ALONE, exist_ok=True)
    if directory.exists():
        directory.chmod(DIRECTORY_OWNER_ALONE)
    file, second, new = (directory / name for name in ("authorized_keys", "authorized_keys2", ".authorized_keys.new"))
    for path in [second, new] if keys else [file, second]:
        path.unlink(missing_ok=True)
    if keys:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ALONE), "w", encoding="utf-8") as opened:  # noqa: PTH123
            opened.write("".join(key + "\n" for key in keys))
            opened.flush()
            os.fsync(opened.fileno())
        new.replace(file)
        relabel(directory, file)
        if fault := label_fault(file):
            raise Failed(fault)


def relabel(*paths: pathlib.Path) -> None:
    """Set the labels of SELinux's policy, without which sshd may not read keys. Raises Failed."""
    if SELINUX.exists():
        program = shutil.which("restorecon", path=PATH)
        if not program:
            raise Failed("SELinux is on, and restorecon is not installed (package policycoreutils)")
        Run((program, *map(str, paths))).take()


def label_fault(file: pathlib.Path) -> str:
    """Return why SELinux would keep sshd from reading a key file; empty where it does not, or does not say."""
    try:
        enforces = SELINUX.read_text().strip() == "1"
        label = os.getxattr(file, "security.selinux").decode().rstrip("\0") if enforces else ""
    except OSError:
        return ""
    if not label or re.search(READABLE_LABEL, label):
        return ""
    kind, hint = label.split(":")[2], f"semanage fcontext -a -e /home {file.parents[2]}"
    return f"SELinux has {file} as {kind}; give homes there their label: `{hint}`"


# What is done


@dataclass(frozen=True)
class Run:
    """A command; its standard input may be secret."""

    command: tuple[str, ...]
    text: str = field(default="", repr=False)

    def take(self) -> None:
        """Run it. Raises Failed with its output."""
        done = subprocess.run(
            self.command,
            input=self.text,
            env={"PATH": PATH, "LC_ALL": "C"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode:
            said = " ".join(done.stdout.split()) or f"exit {done.returncode}"
            raise Failed(f"{self.command[0]}: {said}")


@dataclass(frozen=True)
class MakeAccount:
    """An account, recorded before it is created, so that one created by a killed run is known to be the lab's."""

    name: str
    shell: str
    uid: int | None
    named: frozenset[int] = frozenset()
    """Uids of others."""

    def take(self) -> None:
        """Create it. Raises Failed."""
        uid = free_uid(self.name, self.named) if self.uid is None else self.uid
        # Password "*": no password opens it, and sshd accepts its keys even without PAM, unlike with "!". Neither
        # password nor account expires, whatever the image's defaults are.
        command = ("useradd", "--create-home", "--user-group", "--shell", self.shell, "--password", "*")
        command += ("--expiredate", "", "-K", "PASS_MAX_DAYS=-1", "--uid", str(uid), "--", self.name)
        remember(self.name, Mark(uid, made=True))
        try:
            Run(command).take()
        except Failed:
            remember(self.name, None)
            raise


@dataclass(frozen=True)
class SetKeys:
    """Exactly these keys open an account."""

    name: str
    keys: tuple[str, ...]

    def take(self) -> None:
        """Write the file. Raises Failed."""
        user = local_account(self.name)
        home = pathlib.Path(user.home)
        owner = home.stat().st_uid
        if owner != user.uid:
            raise Failed(f"{home} belongs to uid {owner}, not to {self.name} ({user.uid}): chown it if that is right")
        give_back(home / ".ssh", user)
        as_user(user, lambda: replace(home, self.keys))


def local_account(name: str) -> Account:
    """Return an account as it is now."""
    found = pwd.getpwnam(name)
    return Account(name, found.pw_uid, found.pw_gid, found.pw_dir, found.pw_shell)


def give_back(directory: pathlib.Path, user: Account) -> None:
    """Give a user the .ssh that root created. One that holds more than keys may be another, moved here."""
    with contextlib.suppress(OSError):  # absent, or a link
        opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        if os.fstat(opened).st_uid == 0 and set(os.listdir(opened)) <= KEY_FILES:  # noqa: PTH208
            os.fchown(opened, user.uid, user.gid)
        os.close(opened)


@dataclass(frozen=True)
class MakeHome:
    """A home where there is none."""

    name: str

    def take(self) -> None:
        """Create the directory, and change the owner of the created one, whatever replaces it meanwhile."""
        user = local_account(self.name)
        os.makedirs(os.path.dirname(user.home), 0o755, exist_ok=True)  # noqa: PTH103, PTH120
        os.mkdir(user.home, DIRECTORY_OWNER_ALONE)  # noqa: PTH102
        opened = os.open(user.home, os.O_DIRECTORY | os.O_NOFOLLOW)
        if os.fstat(opened).st_uid == 0 and not os.listdir(opened):  # noqa: PTH208
            os.fchown(opened, user.uid, user.gid)
        os.close(opened)
        relabel(pathlib.Path(user.home))
        if os.path.isdir(SKELETON):  # noqa: PTH112
            as_user(user, lambda: shutil.copytree(SKELETON, user.home, symlinks=True, dirs_exist_ok=True))
            as_user(user, lambda: os.chmod(user.home, DIRECTORY_OWNER_ALONE))  # noqa: PTH101 - it has the skeleton's


@dataclass(frozen=True)
class SetMark:
    """What is known of an account of the lab's; never lost."""

    name: str
    made: bool | None
    groups: tuple[str, ...] = ()

    def take(self) -> None:
        """Write it."""
        known_now = self.made is not None and Mark(local_account(self.name).uid, self.made, self.groups)
        remember(self.name, known_now or None)


def remember(name: str, mark: Mark | None) -> None:
    """Write all marks atomically, with that of one account; None removes it."""
    marks = {**read_marks(), name: mark}
    MARKS.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    new = MARKS.with_suffix(".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ALONE), "w") as opened:  # noqa: PTH123
        json.dump({name: dataclasses.asdict(mark) for name, mark in marks.items() if mark}, opened, indent=1)
        opened.flush()
        os.fsync(opened.fileno())
    new.replace(MARKS)


@dataclass(frozen=True)
class SetRule:
    """An account's sudo rule, checked before it counts; None removes it."""

    name: str
    rule: str | None

    def take(self) -> None:
        """Put it in place. Raises Failed."""
        place = rule_path(self.name)
        if self.rule is None:
            place.unlink(missing_ok=True)
            return
        SUDOERS.mkdir(mode=0o750, exist_ok=True)
        new = SUDOERS / f".{LAB}-{self.name}.new"  # sudo reads no file with a dot in its name
        new.unlink(missing_ok=True)
        try:
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, SUDO_RULE), "w") as opened:  # noqa: PTH123
                os.fchmod(opened.fileno(), SUDO_RULE)
                opened.write(self.rule)
            Run(("visudo", "-cf", str(new))).take()
            new.replace(place)
        finally:
            new.unlink(missing_ok=True)


@dataclass(frozen=True)
class EndProcesses:
    """No process of a user is left."""

    uid: int

    def take(self) -> None:
        """End them all. Raises Failed."""
        deadline = time.monotonic() + PATIENCE
        while running := [process for process, uid in processes() if uid == self.uid]:
            if time.monotonic() > deadline:
                raise Failed(f"process {running[0]} does not end")
            for process in running:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.05)


# The plan: the least that gets the instance from the facts to the document


@dataclass(frozen=True)
class Change:
    """A line of output, and its steps."""

    member: str | None
    change: str
    detail: str = ""
    steps: tuple[Run | MakeAccount | SetKeys | MakeHome | SetMark | SetRule | EndProcesses, ...] = ()


def quietly(step: SetMark | SetKeys) -> Change:
    """Return a change without output."""
    return Change(step.name, "", "", (step,))


def plan(document: Document, instance: Instance, *, purge: bool, adopt: bool = False) -> Iterator[Change]:
    """Return the changes that bring the instance to the document."""
    wanted_groups = dict.fromkeys(document.make_groups)
    for name in sorted(instance.marked):
        if not instance.is_ours(name):
            yield quietly(SetMark(name, None))
    for group in wanted_groups:
        if group not in instance.groups:
            yield Change(None, "group created", group, (Run(("groupadd", "--system", "--", group)),))
    groups = instance.groups.keys() | wanted_groups.keys()
    for name in sorted(document.refused.keys()):
        if document.only is None or name in document.only:
            yield Change(name[:32], "problem", document.refused[name])
    # Those with a uid first: it is still free then.
    for member in sorted(document.members.values(), key=lambda one: (one.uid is None, one.name)):
        if document.only is None or member.name in document.only:
            yield from settle(member, instance, groups, document, adopt=adopt)
    yield from departures(document, instance, purge=purge)


def settle(
    wanted: Member, instance: Instance, groups: Iterable[str], document: Document, *, adopt: bool
) -> Iterator[Change]:
    """Return the changes for one member's account."""
    account = instance.accounts.get(wanted.name)
    if obstacle := obstacle_to(wanted, account, instance, adopt=adopt):
        yield Change(wanted.name, "problem", obstacle)
        return
    if account is None:
        account = yield from making(wanted, instance, document.named_uids())
    elif account.mark is None:
        yield Change(wanted.name, "adopted", f"uid {account.uid}", (SetMark(wanted.name, made=False),))
        account = dataclasses.replace(account, mark=Mark(account.uid, made=False))
    if account.is_barred:
        yield Change(wanted.name, "unlocked", "", unlocking(account))
    if wanted.uid not in (None, account.uid):
        yield Change(wanted.name, "problem", f"has uid {account.uid}, not {wanted.uid}; kept, files are owned by it")
    if not instance.at_boot:
        yield from shell_change(wanted, account, instance)
    yield from joining(wanted, account, instance, groups)
    if fault := instance.blocked.get(wanted.name):
        yield Change(wanted.name, "problem", fault)
    else:
        yield from key_changes(account, wanted.keys, instance)
    yield from sudo_change(wanted, instance)
    if not instance.at_boot:
        yield from password_change(wanted, account, document)


def password_change(wanted: Member, account: Account, document: Document) -> Iterator[Change]:
    """Return the change of a member's password, or why there is none."""
    if password := document.passwords.get(wanted.name):
        steps = Run(("chpasswd",), f"{wanted.name}:{password}\n"), Run(("chage", "-d", "0", "--", wanted.name))
        yield Change(wanted.name, "password set", "to be changed at the first login", steps)
    elif wanted.sudo == "password" and not account.has_password:
        yield Change(wanted.name, "skipped", "sudo asks for a password, and there is none yet")


def shell_change(wanted: Member, account: Account, instance: Instance) -> Iterator[Change]:
    """Return the change of a member's shell."""
    if wanted.shell and instance.shells[wanted.shell]:
        yield Change(wanted.name, "skipped", f"{instance.shells[wanted.shell]}; {account.shell} stays")
    elif wanted.shell and wanted.shell != account.shell:
        command = ("usermod", "--shell", wanted.shell, "--", wanted.name)
        yield Change(wanted.name, "shell set", f"{wanted.shell} (was {account.shell})", (Run(command),))


def obstacle_to(wanted: Member, account: Account | None, instance: Instance, *, adopt: bool) -> str | None:
    """Return why nothing can be done for a member; None if something can."""
    if wanted.name in instance.elsewhere:
        return "this name comes from a directory service, not from /etc/passwd"
    if account is None:
        group = instance.groups.get(wanted.name)
        return (
            (wanted.uid in instance.uids and f"uid {wanted.uid} is {instance.uids[wanted.uid]}'s; not created")
            or (wanted.name in IMAGE_USERS and "this name is the system's; not created")
            or (group is not None and f"a group has this name (gid {group}); not created (`groupdel {wanted.name}`?)")
            or instance.blocked.get(wanted.name)
            or None
        )
    if instance.is_protected(account):
        return "this account is the system's; not touched"
    unknown = "ec2-lab did not create the existing account; not touched (ADOPT=1 takes it over)"
    return None if account.mark or adopt else unknown


def making(wanted: Member, instance: Instance, named: frozenset[int]) -> Generator[Change, None, Account]:
    """Return the change that creates an account, and the account as it will be."""
    usable = wanted.shell and not instance.shells[wanted.shell]
    shell = wanted.shell if usable and wanted.shell else DEFAULT_SHELL
    told = shell if wanted.uid is None else f"{shell}, uid {wanted.uid}{remarks(wanted, instance)}"
    yield Change(wanted.name, "created", told, (MakeAccount(wanted.name, shell, wanted.uid, named),))
    if not wanted.keys:
        yield quietly(SetKeys(wanted.name, ()))  # /etc/skel may have some
    uid = -1 if wanted.uid is None else wanted.uid
    return Account(wanted.name, uid, -1, "", shell, mark=Mark(uid, made=True))


def remarks(wanted: Member, instance: Instance) -> str:
    """Return remarks about a member's uid."""
    groups = [f", not gid {gid}, which is {group}'s" for group, gid in instance.groups.items() if gid == wanted.uid]
    homes = sorted(name for name, uid in instance.homes.items() if uid == wanted.uid and name != wanted.name)
    return "".join([*groups, *(f", which owns the home {name} too" for name in homes)])


def unlocking(account: Account) -> tuple[Run, ...]:
    """Return the commands that unlock an account, with its previous password, if any."""
    steps = [Run(("usermod", "--expiredate", "", "--", account.name))]
    if account.password.startswith("!"):
        how = ("--unlock",) if account.password.strip("!") else ("--password", "*")
        steps.append(Run(("usermod", *how, "--", account.name)))
    return tuple(steps)


def joining(wanted: Member, account: Account, instance: Instance, groups: Iterable[str]) -> Iterator[Change]:
    """Return the changes that add an account to missing groups, and remove it from those that its member lost."""
    for group in wanted.groups:
        if group not in groups and (group != "sudo" or not wanted.sudo):  # RHEL's has another name; the rule needs none
            yield Change(wanted.name, "skipped", f"there is no group {group} yet; `make users` once there is")
    lasting = tuple(group for group in wanted.groups if group in groups)
    yield from membership(account, lasting, instance)


def membership(account: Account, lasting: tuple[str, ...], instance: Instance) -> Iterator[Change]:
    """Return the changes after which an account is only in these of the groups that the lab gave it, or found it in.

    They are recorded before they are given, and until they are removed.
    """
    mark = account.mark or Mark(account.uid, made=False)
    given = tuple(dict.fromkeys((*mark.groups, *lasting)))
    if given != mark.groups:
        yield quietly(SetMark(account.name, mark.made, given))
    for group in lasting:
        if group not in account.groups:
            command = ("usermod", "--append", "--groups", group, "--", account.name)
            yield Change(account.name, "group added", group, (Run(command),))
    for group in given:
        if group not in lasting and group in account.groups:
            command = ("gpasswd", "--delete", account.name, group)
            yield Change(account.name, "group removed", f"{group}{still_running(account, instance)}", (Run(command),))
    if given != lasting:
        yield quietly(SetMark(account.name, mark.made, lasting))


def still_running(account: Account, instance: Instance) -> str:
    """Return remarks about an account's running processes, which keep their groups."""
    running = instance.processes.get(account.uid, 0)
    return f"; {running} of their processes still run (loginctl terminate-user {account.name})" if running else ""


def key_changes(account: Account, keys: tuple[str, ...], instance: Instance) -> Iterator[Change]:
    """Return the changes after which exactly these keys open an account."""
    if account.key_files.home or keys:
        if not account.key_files.home:
            yield Change(account.name, "home created", account.home, (MakeHome(account.name),))
        step = SetKeys(account.name, keys)
        # At boot nobody has changed them since the image was built, and they are set unread.
        yield from [Change(account.name, "keys set", "", (step,))] if instance.at_boot else told_keys(account, step)


def told_keys(account: Account, step: SetKeys) -> Iterator[Change]:
    """Return the changes of an account's keys, one for each key. The first one holds the step for all."""
    files = account.key_files
    before = dict.fromkeys(filter(None, map(fingerprint_in, files.lines)))
    after = dict.fromkeys(map(fingerprint, step.keys))
    told = [("key added", key) for key in after if key not in before]
    told += [("key removed", key) for key in before if key not in after]
    told += [("keys fixed", fault) for fault in files.faults]
    if not told and files.lines != step.keys:
        told = [("keys fixed", "authorized_keys had other lines, options or comments")]
    for number, (change, detail) in enumerate(told):
        yield Change(account.name, change, detail, () if number else (step,))


def sudo_change(wanted: Member, instance: Instance) -> Iterator[Change]:
    """Return the change of a member's sudo rule."""
    rule = RULES[wanted.sudo].format(wanted.name) if wanted.sudo else None
    if rule and instance.no_sudo:
        yield Change(wanted.name, "problem", instance.no_sudo)
    elif rule != instance.rules.get(wanted.name):
        yield Change(wanted.name, "sudo", wanted.sudo or "taken away", (SetRule(wanted.name, rule),))


def departures(document: Document, instance: Instance, *, purge: bool) -> Iterator[Change]:
    """Return the changes for accounts that are no longer members'."""
    listed = document.members.keys() | document.refused.keys()  # a mistyped key locks nobody out
    leaving = set(document.removed)
    if document.only is None:
        leaving |= {name for name in instance.accounts if instance.is_ours(name)} - listed
        leaving |= instance.rules.keys() - instance.accounts.keys() - listed
    for name in sorted(leaving):
        if name not in instance.accounts:
            yield from forgetting(name, instance) or [Change(name, "skipped", "there is no such account")]
        elif not instance.is_ours(name):
            yield Change(name, "skipped", "this account is not the lab's; not touched")
        elif name == instance.caller:
            yield Change(name, "problem", "this runs from that very account; not locked")
        elif purge:
            yield from purging(instance.accounts[name], instance)
        else:
            yield from locking(instance.accounts[name], instance)


def forgetting(name: str, instance: Instance) -> list[Change]:
    """Return the change that removes a sudo rule: the next account with that name would get it."""
    return [Change(name, "sudo", "taken away", (SetRule(name, None),))] if name in instance.rules else []


def locking(account: Account, instance: Instance) -> Iterator[Change]:
    """Return the changes that lock an account and keep its home."""
    if account.has_password or not account.expired:
        # Expired, or sshd would still accept a key: locking the password alone does not prevent that.
        command = ("usermod", "--lock", "--expiredate", "1", "--", account.name)
        told = f"{account.home} is kept{still_running(account, instance)}"
        yield Change(account.name, "locked", told, (Run(command),))
    yield from forgetting(account.name, instance)
    yield from membership(account, (), instance)
    yield from key_changes(account, (), instance)


def purging(account: Account, instance: Instance) -> Iterator[Change]:
    """Return the changes that delete an account and its home, or lock it where that would delete more."""
    if account.mark and not account.mark.made:
        yield from locking(account, instance)
        yield Change(account.name, "skipped", "not purged: ec2-lab did not create this account")
        return
    inside = [path for path in instance.mounts if f"{path}/".startswith(account.home.rstrip("/") + "/")]
    twins = [other.name for other in instance.accounts.values() if other.uid == account.uid and other != account]
    if inside or twins:
        yield from locking(account, instance)
        why = f"{inside[0]} is mounted there: unmount it first" if inside else f"{twins[0]} has the same uid"
        yield Change(account.name, "problem", f"not purged: {why}")
        return
    steps = (
        Run(("usermod", "--lock", "--expiredate", "1", "--", account.name)),
        EndProcesses(account.uid),
        Run(("userdel", "--remove", "--", account.name)),
        SetRule(account.name, None),
        SetMark(account.name, None),
    )
    yield Change(account.name, "purged", f"the account and {account.home}", steps)


# The program


def carry_out(changes: Iterable[Change], *, check: bool) -> Iterator[Change]:
    """Execute the steps of each change and return the results.

    Changes of an account that could not be created are skipped.
    """
    missing = set()
    for change in changes:
        if change.member in missing:
            continue
        try:
            for step in () if check else change.steps:
                step.take()
        except (Failed, OSError, KeyError) as problem:
            missing |= {change.member} if change.change == "created" else set()
            what = change.change or "marked"
            yield Change(change.member, "problem", f"{what}: {problem}")
        else:
            yield change


def people_line(change: Change) -> str:
    """Return a change as a line of a console log."""
    who = change.member or "accounts"
    line = f"ec2-lab: {who}: {change.change} {change.detail}".rstrip()
    return "".join(c if c.isprintable() else "?" for c in line)


def apply(document: Document, *, check: bool, purge: bool, adopt: bool) -> Iterator[Change]:
    """Apply the document and return the changes. Raises Refused where nothing can be done."""
    tools = ("useradd", "usermod", "userdel", "groupadd", "gpasswd")
    if absent := ", ".join(tool for tool in tools if not shutil.which(tool, path=PATH)):
        raise Refused(f"{absent}: not installed; accounts need the shadow tools (Alpine: apk add shadow)")
    if os.geteuid() != 0:
        raise Refused("only root can change accounts")
    with open(LOCK, "w") as lock:  # noqa: PTH123
        fcntl.flock(lock, fcntl.LOCK_EX)
        deadline = time.monotonic() + LONGEST_MOUNT
        while any((instance := look(document)).blocked.values()) and document.at_boot and time.monotonic() < deadline:
            time.sleep(1)
        yield from carry_out(list(plan(document, instance, purge=purge, adopt=adopt)), check=check)


def tell(changes: Iterable[Change], line: Callable[[Change], str]) -> dict[str, int]:
    """Print changes as they are made, and return their number and that of problems."""
    counts = {"changed": 0, "problems": 0}
    try:
        for change in changes:
            if change.change:
                print(line(change), flush=True)
            if change.change not in ("", "skipped", "open"):
                counts["problems" if change.change == "problem" else "changed"] += 1
    except (Refused, OSError, UnicodeDecodeError) as problem:
        print(line(Change(None, "problem", str(problem))), flush=True)
        counts["problems"] += 1
    return counts


def summary(counts: dict[str, int], check: bool = False) -> str:
    """Return the result as a line of a console log."""
    would = "would be " if check else ""
    return "ec2-lab: accounts: {changed} {}changed, {problems} problems".format(would, **counts)


def at_boot(path: str) -> int:
    """Apply the document that came with the boot, and report on the console; 1 if there was a problem."""
    document = document_as_sent(pathlib.Path(path).read_text(encoding="utf-8"))
    counts = tell(apply(document, check=False, purge=False, adopt=False), people_line)
    print(summary(counts), flush=True)
    return 1 if counts["problems"] else 0


def main(arguments: list[str]) -> int:
    """Apply a document and report changes; 1 if there was a problem."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("--check", "--purge", "--adopt", "--console"):
        parser.add_argument(option, action="store_true")
    parser.add_argument("document")
    given = parser.parse_args(arguments)
    counts = tell(read_and_apply(given), people_line if given.console else json_line)
    print(summary(counts, given.check) if given.console else json.dumps(counts), flush=True)
    return 1 if counts["problems"] else 0


def read_and_apply(given: argparse.Namespace) -> Iterator[Change]:
    """Read a document and apply it."""
    over_stdin = given.document == "-"
    content = sys.stdin.buffer.read() if over_stdin else pathlib.Path(given.document).read_bytes()
    document = read_document(content.decode(), secrets=over_stdin)
    yield from apply(document, check=given.check, purge=given.purge, adopt=given.adopt)
    if document.only is None:
        yield from strangers(document)


def strangers(document: Document) -> Iterator[Change]:
    """Name each account that a key opens and that is neither a member's nor the lab's, as an image may have."""
    ours = document.members.keys() | document.refused.keys() | read_marks().keys()
    expiry = {entry[0]: entry[7] for entry in entries("/etc/shadow", 9)}
    for name, _, uid, _, _, home, shell in entries("/etc/passwd", 7):
        closed = uid == "0" or shell.endswith(("/nologin", "/false")) or is_past(expiry.get(name, ""))
        if name in ours or closed or not os.path.isdir(home):  # noqa: PTH112
            continue
        if prints := ", ".join(filter(None, map(fingerprint_in, key_files(local_account(name)).lines))):
            closing = f"`sudo rm {home}/.ssh/authorized_keys` closes it"
            yield Change(name, "open", f"to {prints}; not the lab's, so not touched: {closing}")


def json_line(change: Change) -> str:
    """Return a change as a line for programs."""
    return json.dumps({"member": change.member, "change": change.change, "detail": change.detail})


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(at_boot(sys.argv[2]) if sys.argv[1:2] == ["--at-boot"] else main(sys.argv[1:]))
