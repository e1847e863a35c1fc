#!/usr/bin/python3 -I
"""Make sshd accept keys only: no passwords, no root. Runs as root, on Python 3.9 or later.

    sshd-hardening apply [--account NAME] [--confirm-within SECONDS]    put the drop-in in place and reload sshd
    sshd-hardening confirm     a fresh login works: keep it
    sshd-hardening rollback    back to what was before
    sshd-hardening status

`apply` is refused unless an account can log in with a key (--account names the one that must). It reverts everything if
sshd rejects or does not obey the drop-in, if somebody would be locked out who can log in now, and, with
--confirm-within, if nobody confirms in time. A member of the lab whom sshd or PAM locks out for another reason is a
problem, and the setting is named. Anything else that opens an account, such as a certificate, is a warning.
It prints one JSON object per line, and {"changed": 0, "problems": 0} at the end; --console prints lines for people.
Exit status 1 if there was a problem.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import dataclasses
import fcntl
import functools
import glob
import grp
import ipaddress
import json
import os
import pathlib
import pwd
import re
import secrets
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Optional

DROP_IN = pathlib.Path("/etc/ssh/sshd_config.d/00-ec2-lab.conf")
"""Sorted before the image's own, as sshd uses the first value that it reads (sshd_config(5))."""
MAIN = pathlib.Path("/etc/ssh/sshd_config")
INCLUDE = f"Include {DROP_IN}\n"
"""The line at the top of sshd_config, if that reads no drop-ins first."""
MARKS = pathlib.Path("/var/lib/ec2-lab/accounts.json")
"""The lab's accounts; written by the program `accounts`."""
STATE = pathlib.Path("/var/lib/ec2-lab/sshd")
BEFORE = STATE / "before.json"
UNFINISHED = STATE / "unfinished"
WAITING = STATE / "waiting"
SWITCH = "ec2-lab-sshd-rollback"
AT_BOOT = pathlib.Path("/etc/tmpfiles.d/ec2-lab-sshd.conf")
"""What systemd-tmpfiles removes at boot, before sshd starts: an instance rebooted without confirmation is as before."""
LONGEST_KEYS = 1 << 20
"""Characters read of a user's file, which may have any length."""
LONGEST_RELOAD = 10.0
"""Seconds for sshd to listen again."""
LONGEST_PAM = 30.0
"""Seconds for PAM to answer about all accounts: a directory service may not respond."""
MOST_INCLUDES = 16
"""How deep sshd follows Include (servconf.c)."""
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}

SETTINGS = {
    "PubkeyAuthentication": "yes",
    "PasswordAuthentication": "no",
    "KbdInteractiveAuthentication": "no",
    "ChallengeResponseAuthentication": "no",  # the same before OpenSSH 8.7, where PAM asks for passwords through it
    "GSSAPIAuthentication": "no",
    "HostbasedAuthentication": "no",
    "PermitEmptyPasswords": "no",
    "PermitRootLogin": "no",
}
"""Nothing about forwarding or the number of tries: tunnels to notebooks and agents with many keys keep working."""
CONTENT = "# Made by ec2-lab (sshd-hardening rollback takes it back)\n" + "".join(
    f"{keyword} {value}\n" for keyword, value in SETTINGS.items()
)


class Failed(Exception):
    """It failed or had to be reverted, and why."""


Line = tuple[Optional[str], str, str]
"""(member, change, detail)."""


# sshd's configuration, as it stands in its files


@dataclass(frozen=True)
class Directive:
    """A line of sshd's configuration."""

    file: str
    number: int
    keyword: str
    """In lower case."""
    value: str
    in_match: bool
    """Whether it is in a Match block."""


def directives(file: str = "", depth: int = 0, *, in_match: bool = False) -> Iterator[Directive]:
    """Return a configuration's lines in the order of reading, with included files in place."""
    file = file or str(MAIN)
    for number, line in enumerate((content(pathlib.Path(file)) or "").splitlines(), start=1):
        found = re.match(r"\s*\"?([A-Za-z0-9]+)\"?(?:\s*=\s*|\s+)(.*?)\s*$", line)
        if not found:
            continue
        keyword, value = found[1].lower(), found[2]
        if keyword == "match":
            in_match = value.lower() != "all"
        if keyword == "include" and depth < MOST_INCLUDES:
            for included in files_of(value):
                yield from directives(included, depth + 1, in_match=in_match)
        else:
            yield Directive(file, number, keyword, value, in_match)


def files_of(patterns: str) -> Iterator[str]:
    """Return the files that an Include names, relative to /etc/ssh."""
    for pattern in words_of(patterns):
        yield from sorted(glob.glob(str(MAIN.parent / pattern)))  # noqa: PTH207


def words_of(value: str) -> list[str]:
    """Return the words of a value, which may be quoted, and end with a comment."""
    try:
        return shlex.split(value, comments=True)
    except ValueError:
        return value.split()


def is_read_first(found: Iterable[Directive]) -> bool:
    """Say whether our drop-in is read, for everybody, before anything else that sets the same keywords."""
    ours = {keyword.lower() for keyword in SETTINGS}
    first = next((one for one in found if one.keyword in ours or one.file == str(DROP_IN)), None)
    return first is not None and first.file == str(DROP_IN) and not first.in_match


def places_of(*keywords: str) -> str:
    """Return where these keywords are set, except in our own drop-in."""
    wanted = [keyword.lower() for keyword in keywords]
    found = [f"{one.file}:{one.number}" for one in directives() if one.keyword in wanted and one.file != str(DROP_IN)]
    return ", ".join(found) or "sshd's own default or its command line"


# sshd's configuration, as sshd itself says that it would follow it


@dataclass(frozen=True)
class Place:
    """Where a login comes from, and goes to."""

    addr: str = "127.0.0.1"
    host: str = "localhost"
    laddr: str = "127.0.0.1"
    lport: str = "22"


def here() -> Place:
    """Return where whoever runs this logged in from, by the environment of an ancestor process."""
    process = os.getpid()
    while process > 1:
        with contextlib.suppress(OSError):
            environment = read_bytes(f"/proc/{process}/environ")
            if found := re.search(rb"(?:^|\0)SSH_CONNECTION=(\S+) \d+ (\S+) (\d+)\0", environment):
                addr, laddr, lport = (part.decode(errors="replace") for part in found.groups())
                return Place(addr, addr, laddr, lport)
        process = int(read_bytes(f"/proc/{process}/stat").rpartition(b") ")[2].split()[1])
    return Place()


def read_bytes(path: str) -> bytes:
    """Return a file's content."""
    return pathlib.Path(path).read_bytes()


def places() -> list[Place]:
    """Return the origins of logins to check: the current one, and those that a Match block distinguishes."""
    found = [here()]
    criteria = {"address": "addr", "host": "host", "localaddress": "laddr", "localport": "lport"}
    for one in directives():
        words = words_of(one.value.replace("=", " ")) if one.keyword == "match" else []
        for criterion, patterns in zip(words, words[1:]):
            if criterion.lower() in criteria:
                change = {criteria[criterion.lower()]: example_of(pattern) for pattern in patterns.split(",")}
                found.append(dataclasses.replace(found[0], **change))
    return list(dict.fromkeys(found))


def example_of(pattern: str) -> str:
    """Return an address or a name that matches a pattern of a Match block."""
    return pattern.lstrip("!").partition("/")[0].replace("*", "1").replace("?", "1")


def settings_in(listed: str) -> dict[str, list[str]]:
    """Parse `sshd -T`, by keyword in lower case: the words of all its lines."""
    found: dict[str, list[str]] = {}
    for line in listed.splitlines():
        keyword, _, value = line.partition(" ")
        found.setdefault(keyword.lower(), []).extend(value.split())
    return found


@functools.cache
def effective(account: str, place: Place) -> dict[str, list[str]]:
    """Return sshd's effective settings for a login from a place. Raises Failed."""
    where = ",".join(f"{key}={value}" for key, value in dataclasses.asdict(place).items())
    return settings_in(sshd("-T", "-C", f"user={account},{where}", *options_of_running()))


def options_of_running() -> list[str]:
    """Return the running sshd's command line options, which override files: its title shows them."""
    for path in ("/run/sshd.pid", "/var/run/sshd.pid"):
        with contextlib.suppress(OSError, ValueError):
            title = read_bytes(f"/proc/{int(read_bytes(path))}/cmdline").replace(b"\0", b" ").decode(errors="replace")
            found = re.findall(r" -([of]) ?(.+?)(?= -[A-Za-z]| \[|\s*$)", title)
            return [word for letter, value in found for word in (f"-{letter}", value)]
    return []


def disobeyed(found: dict[str, list[str]]) -> list[str]:
    """Return the listed settings that allow more than keys to open an account.

    `sshd -T` does not use older names. AuthenticationMethods may require a key and something that is off now.
    """
    wanted = {keyword.lower(): value for keyword, value in SETTINGS.items()}
    wrong = [f"{one} {' '.join(found[one])}" for one in wanted if found.get(one, [wanted[one]]) != [wanted[one]]]
    methods = found.get("authenticationmethods", ["any"])
    return wrong + ([] if {*methods} & {"any", "publickey"} else [f"authenticationmethods {' '.join(methods)}"])


# Who can log in


@dataclass(frozen=True)
class Shadow:
    """An account in /etc/shadow."""

    password: str = ""
    expires: str = ""

    @property
    def is_expired(self) -> bool:
        """Whether the account has expired."""
        return self.expires.isdigit() and int(self.expires) * 86400 <= time.time()


def shadow_of(name: str) -> Shadow:
    """Return an account's entry in /etc/shadow."""
    for line in pathlib.Path("/etc/shadow").read_text(errors="surrogateescape").splitlines():
        fields = line.split(":")
        if fields[0] == name:
            return Shadow(fields[1], fields[7])
    return Shadow()


def marked() -> dict[str, int]:
    """Return the uids of the lab's accounts by name."""
    try:
        return {name: mark["uid"] for name, mark in json.loads(content(MARKS) or "{}").items()}
    except (ValueError, TypeError, AttributeError, LookupError):
        return {}  # `accounts` reports the damage, and changes nothing


def members() -> list[pwd.struct_passwd]:
    """Return the lab's accounts that are not locked."""
    marks = marked()
    return [
        user for user in pwd.getpwall()
        if marks.get(user.pw_name) == user.pw_uid and not shadow_of(user.pw_name).is_expired
    ]  # fmt: skip


def others() -> list[pwd.struct_passwd]:
    """Return accounts with a key on file that are not the lab's."""
    marks = marked()
    return [
        user for user in pwd.getpwall()
        if user.pw_uid and marks.get(user.pw_name) != user.pw_uid and has_key(own_files(user))
    ]  # fmt: skip


def own_files(user: pwd.struct_passwd) -> list[str]:
    """Return the usual key files of an account."""
    return [f"{user.pw_dir}/.ssh/{name}" for name in ("authorized_keys", "authorized_keys2")]


def key_files(user: pwd.struct_passwd, found: dict[str, list[str]]) -> list[str]:
    """Return the files in which sshd looks for an account's keys (sshd_config(5), TOKENS)."""
    tokens = {"%h": user.pw_dir, "%u": user.pw_name, "%U": str(user.pw_uid), "%%": "%"}
    patterns = [pattern for pattern in found.get("authorizedkeysfile", []) if pattern != "none"]
    named = [re.sub("%.", lambda token: tokens.get(token[0], token[0]), pattern) for pattern in patterns]
    return [os.path.normpath(os.path.join(user.pw_dir, name)) for name in named]  # noqa: PTH118


def has_key(paths: Iterable[str]) -> bool:
    """Say whether one of these files holds a key."""
    for path in paths:
        with contextlib.suppress(OSError):
            opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # no pipe that never ends
            with open(opened, errors="replace") as file:  # noqa: PTH123
                lines = file.read(LONGEST_KEYS) if stat.S_ISREG(os.fstat(opened).st_mode) else ""
            if re.search(r"^[^#\n]*(ssh|ecdsa|sk)-[a-z0-9@.-]+ AAAA", lines, re.MULTILINE):
                return True
    return False


def kept_out(user: pwd.struct_passwd, found: dict[str, list[str]], place: Place) -> str:
    """Return why sshd accepts none of an account's keys, and what to do; empty where it does."""
    name, shell, shadow = user.pw_name, user.pw_shell or "/bin/sh", shadow_of(user.pw_name)
    if pathlib.PurePath(shell).name in ("nologin", "false", "sync") or not os.access(shell, os.X_OK):
        return f"the shell {shell} lets nobody in (usermod --shell /bin/bash {name})"
    if shadow.is_expired:
        return f"the account is expired (usermod --expiredate '' {name})"
    if shadow.password.startswith("!") and found.get("usepam") == ["no"]:
        return f"the password is locked, and sshd asks no PAM (usermod --password '*' {name}, or UsePAM yes)"
    listed = own_files(user)[:1][0]
    if name in marked() and os.path.normpath(listed) not in key_files(user, found):
        value, where = " ".join(found.get("authorizedkeysfile", [])), places_of("AuthorizedKeysFile")
        return f"AuthorizedKeysFile {value} ({where}) is elsewhere than {listed}: add .ssh/authorized_keys there"
    if not has_key(key_files(user, found)):
        return "no key is on file"
    return barred_by_name(user, found, place)


def barred_by_name(user: pwd.struct_passwd, found: dict[str, list[str]], place: Place) -> str:
    """Return the list of users or groups that excludes an account; empty where none does (allowed_user in auth.c)."""
    groups = groups_of(user)
    tests: list[tuple[str, Callable[[str], bool], bool]] = [
        ("DenyUsers", lambda pattern: user_matches(pattern, user.pw_name, place), False),
        ("AllowUsers", lambda pattern: user_matches(pattern, user.pw_name, place), True),
        ("DenyGroups", lambda pattern: any(like(pattern, group) for group in groups), False),
        ("AllowGroups", lambda pattern: any(like(pattern, group) for group in groups), True),
    ]
    for keyword, holds, needed in tests:
        patterns = found.get(keyword.lower(), [])
        if patterns and any(map(holds, patterns)) is not needed:
            of_user = user.pw_name if "Users" in keyword else "a group of theirs"
            return (
                f"{keyword} {' '.join(patterns)} ({places_of(keyword)}) locks them out from {place.addr}: "
                f"{'add' if needed else 'leave out'} {of_user} there"
            )
    return ""


def groups_of(user: pwd.struct_passwd) -> list[str]:
    """Return the names of an account's groups."""
    names = []
    for gid in os.getgrouplist(user.pw_name, user.pw_gid):
        with contextlib.suppress(KeyError):
            names.append(grp.getgrgid(gid).gr_name)
    return names


def user_matches(pattern: str, name: str, place: Place) -> bool:
    """Say whether a pattern of AllowUsers, USER or USER@HOST, matches an account from a place."""
    of_user, at, of_host = pattern.partition("@")
    return like(of_user, name) and (not at or any(host_matches(one, place) for one in of_host.split(",")))


def host_matches(pattern: str, place: Place) -> bool:
    """Say whether a pattern matches a login's host or address."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(place.addr) in ipaddress.ip_network(pattern, strict=False)
    return like(pattern, place.addr) or like(pattern.lower(), place.host.lower())


def like(pattern: str, text: str) -> bool:
    """Match a pattern of * and ? (ssh_config(5), PATTERNS)."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), text) is not None


def besides(user: pwd.struct_passwd, found: dict[str, list[str]]) -> list[str]:
    """Return what opens an account besides the keys in its home."""
    authority, command = (found.get(one, ["none"]) for one in ("trustedusercakeys", "authorizedkeyscommand"))
    elsewhere = [path for path in key_files(user, found) if path not in own_files(user) and has_key([path])]
    told = [f"keys in {path} (AuthorizedKeysFile, {places_of('AuthorizedKeysFile')})" for path in elsewhere]
    if authority != ["none"] and has_key(authority):
        told.append(f"certificates by {authority[0]} (TrustedUserCAKeys, {places_of('TrustedUserCAKeys')})")
    if command != ["none"]:
        told.append(f"keys that {command[0]} tells (AuthorizedKeysCommand, {places_of('AuthorizedKeysCommand')})")
    return told


# What PAM says: sshd asks it for everybody, and it has rules of its own (pam_access, pam_listfile, an account's age)


class Message(ctypes.Structure):
    """A message of a PAM module (struct pam_message)."""

    _fields_ = (("style", ctypes.c_int), ("text", ctypes.c_char_p))


MESSAGES, RESPONSES = ctypes.POINTER(ctypes.POINTER(Message)), ctypes.POINTER(ctypes.c_void_p)
CONVERSE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, MESSAGES, RESPONSES, ctypes.c_void_p)
RESPONSE_SIZE = 16
PAM_RULES = {
    "pam_access": "/etc/security/access.conf",
    "pam_nologin": "/etc/nologin",
    "pam_time": "/etc/security/time.conf",
}
"""Where modules have their rules."""
PAM_TTY, PAM_RHOST, PAM_SUCCESS, PAM_NEW_AUTHTOK_REQD = 3, 4, 0, 12


class Conversation(ctypes.Structure):
    """The receiver of PAM's messages (struct pam_conv)."""

    _fields_ = (("converse", CONVERSE), ("data", ctypes.c_void_p))


def pam(given: argparse.Namespace) -> list[Line]:
    """Return for each account why PAM refuses it."""
    return [(name, "pam", refused_by_pam(given.service, given.address, name)) for name in given.names]


def refused_by_pam(service: str, address: str, name: str) -> str:
    """Return PAM's reason to refuse an account; empty where it accepts it."""
    library, libc, heard = ctypes.CDLL("libpam.so.0"), ctypes.CDLL(None), []
    library.pam_strerror.restype, libc.calloc.restype = ctypes.c_char_p, ctypes.c_void_p

    def converse(count: int, messages: Any, responses: Any, _: Any) -> int:
        heard.extend((messages[number].contents.text or b"").decode(errors="replace") for number in range(count))
        responses[0] = libc.calloc(count, RESPONSE_SIZE)
        return PAM_SUCCESS

    handle, conversation = ctypes.c_void_p(), Conversation(CONVERSE(converse), None)
    if library.pam_start(service.encode(), name.encode(), ctypes.byref(conversation), ctypes.byref(handle)):
        return "PAM does not start"
    library.pam_set_item(handle, PAM_TTY, b"ssh")
    library.pam_set_item(handle, PAM_RHOST, address.encode())
    code = library.pam_acct_mgmt(handle, 0)
    why = library.pam_strerror(handle, code).decode(errors="replace")
    library.pam_end(handle, code)
    if code == PAM_SUCCESS or (code == PAM_NEW_AUTHTOK_REQD and not shadow_of(name).password.startswith(("*", "!"))):
        return ""
    return " ".join(" ".join([why, *heard]).split())


@functools.cache
def asked_of_pam(names: tuple[str, ...], service: str, place: Place) -> dict[str, str]:
    """Return PAM's reasons to refuse accounts; a process of its own asks, as PAM may hang. Raises Failed."""
    command = [sys.executable, "-I", os.path.abspath(__file__), "pam", service, place.addr, *names]  # noqa: PTH100
    try:
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, timeout=LONGEST_PAM, check=False)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
    except (subprocess.TimeoutExpired, ValueError) as problem:
        raise Failed(f"PAM (/etc/pam.d/{service}) does not say in {LONGEST_PAM:.0f} s who may log in") from problem
    where = ", ".join(modules_of(service))
    return {
        line["member"]: f"PAM locks them out from {place.addr}: {line['detail']} ({where})"
        for line in lines if line.get("member") and line["detail"]
    }  # fmt: skip


def modules_of(service: str, depth: int = 0) -> list[str]:
    """Return the account modules of a service."""
    names: list[str] = []
    for line in (content(pathlib.Path("/etc/pam.d", service)) or "").splitlines() if depth < MOST_INCLUDES else ():
        facility, *rest = re.sub(r"\[.*?\]", "required", line.partition("#")[0]).split() or [""]
        if facility == "@include" or (facility == "account" and rest[:1] in (["include"], ["substack"])):
            names += modules_of(rest[-1], depth + 1)
        elif facility.lstrip("-") == "account" and len(rest) > 1:
            module = pathlib.PurePath(rest[1]).stem
            rules = re.search(r"(?:file|accessfile|conffile)=(\S+)", line)
            names.append(" ".join(filter(None, (module, rules[1] if rules else PAM_RULES.get(module)))))
    return list(dict.fromkeys(names))


@dataclass(frozen=True)
class Logins:
    """Who gets in by a key, why others do not, and what else opens an account."""

    able: list[str]
    barred: dict[str, str]
    besides: dict[str, list[str]]


def logins() -> Logins:
    """Return how sshd and PAM would treat the lab's accounts, and others with keys, from here. Raises Failed."""
    place, people = here(), [*members(), *others()]
    found = {user.pw_name: effective(user.pw_name, place) for user in people}
    barred = {user.pw_name: kept_out(user, found[user.pw_name], place) for user in people}
    asking = [name for name, why in barred.items() if not why and found[name].get("usepam") == ["yes"]]
    if asking:
        service = found[asking[0]].get("pamservicename", ["sshd"])[0]
        barred.update(asked_of_pam(tuple(asking), service, place))
    able = [name for name, why in barred.items() if not why]
    more = {user.pw_name: besides(user, found[user.pw_name]) for user in people if user.pw_name in able}
    return Logins(able, {name: why for name, why in barred.items() if why}, more)


def expect_nobody_lost(before: Logins, now: Logins) -> None:
    """Raise Failed where somebody could log in before, and not now."""
    if lost := next((name for name in before.able if name not in now.able), None):
        raise Failed(f"{lost} could log in no more: {now.barred.get(lost)}")


def expect_a_way_in(found: Logins, account: str | None) -> None:
    """Raise Failed where nobody can log in with a key, or not the required account."""
    if account and account not in found.able:
        why = found.barred.get(account, "no such account, shell or key, or it is locked")
        raise Failed(f"{account} can't log in with a key ({why})")
    if not found.able:
        why = "; ".join(f"{name}: {why}" for name, why in found.barred.items()) or "make one first"
        raise Failed(f"no account but root could log in with a key: {why}")


# sshd


def run(*command: str) -> str:
    """Return a command's output. Raises Failed with it."""
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise Failed(f"{' '.join(command[:2])}: {' '.join((done.stderr or done.stdout).split())}")
    return done.stdout


def sshd(*arguments: str) -> str:
    """Return sshd's output. Raises Failed; creates the directory that it needs if it never started before."""
    program = shutil.which("sshd", path=ENVIRONMENT["PATH"])
    if not program:
        raise Failed("sshd is not installed")
    try:
        return run(program, *arguments)
    except Failed as problem:
        missing = re.search(r"Missing privilege separation directory: (/run/\S+)", str(problem))
        if not missing:
            raise
        pathlib.Path(missing[1]).mkdir(mode=0o755)
        return run(program, *arguments)


def reload_sshd() -> str:
    """Make a running sshd read its configuration; return what was done. Raises Failed."""
    pid_file = pathlib.Path(*settings_in(sshd("-T", *options_of_running()))["pidfile"])
    if os.path.isdir("/run/systemd/system"):  # noqa: PTH112
        unit = next((unit for unit in ("ssh.service", "sshd.service") if is_active(unit)), None)
        if not unit:
            return "sshd is not running yet; it will start with this"  # socket-activated, or early at boot
        wait_for(pid_file.exists)
        if not reloaded(pid_file, lambda: run("systemctl", "reload", unit)) and not is_active(unit):
            run("systemctl", "restart", unit)
        return f"{unit} reloaded"
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        process = int(pid_file.read_text())
        reloaded(pid_file, lambda: os.kill(process, signal.SIGHUP))
        return "sshd reloaded"
    return "sshd is not running yet; it will start with this"


def is_active(unit: str) -> bool:
    """Say whether systemd runs a service."""
    return subprocess.run(["systemctl", "is-active", "--quiet", unit], env=ENVIRONMENT, check=False).returncode == 0


def reloaded(pid_file: pathlib.Path, ask: Callable[[], object]) -> bool:
    """Restart sshd, and say whether it restarted."""
    before = written(pid_file)
    ask()
    return wait_for(lambda: written(pid_file) not in (0, before))


def written(pid_file: pathlib.Path) -> int:
    """Return when sshd last wrote its pid file: once it listens; 0 while it restarts.

    On SIGHUP it removes the file, starts itself again, and ignores another SIGHUP until then (sighup_restart in
    sshd.c), so that a setting would never be read.
    """
    return pid_file.stat().st_mtime_ns if pid_file.exists() else 0


def wait_for(condition: Callable[[], bool]) -> bool:
    """Say whether a condition becomes true in time."""
    deadline = time.monotonic() + LONGEST_RELOAD
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def expect_obedience(accounts: Iterable[str]) -> None:
    """Check that sshd would follow the settings, for everyone (a Match block can differ). Raises Failed."""
    for account in ["root", *accounts]:
        for place in places():
            if wrong := disobeyed(effective(account, place)):
                where = places_of(*(setting.split()[0] for setting in wrong))
                raise Failed(f"sshd would say {', '.join(wrong)} for {account} from {place.addr} ({where})")


# The files


def write(path: pathlib.Path, text: str, mode: int = 0o644) -> None:
    """Replace a file atomically."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as opened:  # noqa: PTH123
        os.fchmod(opened.fileno(), mode)
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    new.replace(path)


def content(path: pathlib.Path) -> str | None:
    """Return a file's content; None where there is none."""
    return path.read_text(errors="surrogateescape") if path.exists() else None


def write_main(text: str) -> None:
    """Replace sshd_config, keeping its mode."""
    write(MAIN, text, MAIN.stat().st_mode & 0o777)


def in_place() -> bool:
    """Say whether the drop-in is there as it should be and is read first."""
    return content(DROP_IN) == CONTENT and is_read_first(directives())


def put() -> None:
    """Put the drop-in in place."""
    effective.cache_clear()
    write(DROP_IN, CONTENT)
    if not is_read_first(directives()):
        write_main(INCLUDE + (content(MAIN) or ""))


def remember() -> dict[str, Any]:
    """Save the original files before anything is changed, also if an earlier `apply` was killed halfway."""
    if not UNFINISHED.exists():
        before = {"drop_in": content(DROP_IN), "included": (content(MAIN) or "").startswith(INCLUDE)}
        write(BEFORE, json.dumps(before), 0o600)
        write(UNFINISHED, "")
    remembered: dict[str, Any] = json.loads(BEFORE.read_text())
    return remembered


def take_back(before: dict[str, Any]) -> None:
    """Restore the files; of sshd_config only our line, as others may have edited it since."""
    if before["drop_in"] is None:
        DROP_IN.unlink(missing_ok=True)
    else:
        write(DROP_IN, before["drop_in"])
    main = content(MAIN) or ""
    if main.startswith(INCLUDE) and not before["included"]:
        write_main(main[len(INCLUDE) :])


# The dead man's switch


def arm(seconds: int) -> None:
    """Schedule a rollback unless somebody confirms."""
    token = secrets.token_hex(8)
    write(WAITING, token, 0o600)
    write(AT_BOOT, "".join(f"r! {path}\n" for path in (DROP_IN, WAITING, AT_BOOT)))
    command = [sys.executable, "-I", os.path.abspath(__file__), "rollback", "--if-waiting", token]  # noqa: PTH100
    if os.path.isdir("/run/systemd/system"):  # noqa: PTH112
        subprocess.run(["systemctl", "stop", f"{SWITCH}.timer"], env=ENVIRONMENT, capture_output=True, check=False)
        timer = [f"--unit={SWITCH}", "--collect", f"--on-active={seconds}", "--timer-property=AccuracySec=1s"]
        run("systemd-run", *timer, *command)
    else:
        subprocess.Popen(
            [*command, "--after", str(seconds)],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def disarm() -> None:
    """Cancel the rollback."""
    for path in (WAITING, AT_BOOT):
        path.unlink(missing_ok=True)
    if os.path.isdir("/run/systemd/system"):  # noqa: PTH112
        subprocess.run(["systemctl", "stop", f"{SWITCH}.timer"], env=ENVIRONMENT, capture_output=True, check=False)


# The commands: each returns its lines


def apply(given: argparse.Namespace) -> list[Line]:
    """Put the drop-in in place, and check that sshd follows it."""
    before = logins()
    expect_a_way_in(before, given.account)
    if in_place() and not UNFINISHED.exists():
        expect_obedience(before.able)
        return [*told_of(before), renewed(given.confirm_within)]
    sshd("-t")  # what is broken already is not ours to fix
    remembered = remember()
    try:
        put()
        sshd("-t")
        now = logins()
        expect_obedience(before.able)
        expect_nobody_lost(before, now)
        if given.confirm_within:
            arm(given.confirm_within)
        done = reload_sshd()
    except (Failed, OSError) as problem:
        disarm()
        take_back(remembered)
        reload_sshd()
        UNFINISHED.unlink()
        raise Failed(f"{problem}; everything is as it was") from problem
    UNFINISHED.unlink()
    waits = f"; reverted in {given.confirm_within} s unless confirmed" if given.confirm_within else ""
    alone = "" if any(now.besides.values()) else " alone"
    return [*told_of(now), (None, "applied", f"keys{alone} open {', '.join(now.able)}; {done}{waits}")]


def told_of(found: Logins) -> list[Line]:
    """Return remarks about members who are kept out, and about what opens accounts besides keys."""
    ours = {user.pw_name for user in members()}
    lines: list[Line] = [(name, "problem", why) for name, why in found.barred.items() if name in ours]
    for what in dict.fromkeys(what for told in found.besides.values() for what in told):
        opened = ", ".join(name for name, told in found.besides.items() if what in told)
        lines.append((None, "warning", f"{what} open {opened} too"))
    return lines


def renewed(confirm_within: int) -> Line:
    """Return the state if nothing is to be done; an unconfirmed change gets its full time again."""
    if not WAITING.exists():
        return None, "unchanged", ""
    if confirm_within:
        arm(confirm_within)
    return None, "applied", "by an earlier run, and not confirmed yet"


def confirm(_: argparse.Namespace) -> list[Line]:
    """Keep what was applied."""
    if not in_place():
        raise Failed("it is not in place: it was reverted, or never applied")
    if not WAITING.exists():
        return [(None, "unchanged", "it was not waiting")]
    disarm()
    return [(None, "confirmed", "")]


def rollback(given: argparse.Namespace) -> list[Line]:
    """Restore the state before `apply`; as the scheduled rollback, only if that very `apply` still waits."""
    if given.if_waiting and content(WAITING) != given.if_waiting:
        return [(None, "unchanged", "it was confirmed")]
    if not BEFORE.exists():
        return [(None, "unchanged", "nothing was applied")]
    take_back(json.loads(BEFORE.read_text()))
    done = reload_sshd()
    BEFORE.unlink()
    UNFINISHED.unlink(missing_ok=True)
    disarm()
    return [(None, "rolled back", done)]


def status(_: argparse.Namespace) -> list[Line]:
    """Report the state."""
    if not in_place():
        return [(None, "unchanged", "not in place")]
    expect_obedience([])
    return [(None, "unchanged", "in place, waits to be confirmed" if WAITING.exists() else "in place")]


def parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments."""
    whole = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    whole.add_argument("--console", action="store_true", help="print lines for people")
    commands = whole.add_subparsers(required=True, metavar="{apply,confirm,rollback,status}")
    asking = commands.add_parser("pam")
    asking.add_argument("service")
    asking.add_argument("address")
    asking.add_argument("names", nargs="+")
    asking.set_defaults(command=pam, after=0)
    named = {"apply": apply, "confirm": confirm, "rollback": rollback, "status": status}
    for name, command in named.items():  # not by __name__, which minifying changes
        one = commands.add_parser(name, help=command.__doc__)
        one.add_argument("--console", action="store_true", default=argparse.SUPPRESS)
        one.set_defaults(command=command, after=0)
        if command is apply:
            one.add_argument("--account", help="who must be able to log in with a key")
            one.add_argument("--confirm-within", type=int, default=0, metavar="SECONDS")
        if command is rollback:
            one.add_argument("--if-waiting", metavar="TOKEN", help=argparse.SUPPRESS)
            one.add_argument("--after", type=int, default=0, help=argparse.SUPPRESS)
    return whole


def main(arguments: list[str]) -> int:
    """Run a command and report what it did; 1 if there was a problem."""
    given = parser().parse_args(arguments)
    if given.command is pam:
        return tell(pam(given), console=False)
    time.sleep(given.after)
    os.umask(0o022)
    try:
        STATE.mkdir(mode=0o755, parents=True, exist_ok=True)
        with (STATE / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lines = given.command(given)
    except (Failed, OSError) as problem:
        lines = [(None, "problem", str(problem))]
    return tell(lines, console=given.console)


def tell(lines: list[Line], *, console: bool) -> int:
    """Print lines and their number, and return the exit status."""
    changes = [change for _, change, _ in lines]
    problems = changes.count("problem")
    counts = {"changed": sum(one not in ("unchanged", "problem", "warning") for one in changes), "problems": problems}
    for member, change, detail in lines:
        if console:
            print(" ".join(filter(None, (f"ec2-lab: sshd: {change}", member and f"{member}:", detail))), flush=True)
        else:
            print(json.dumps({"member": member, "change": change, "detail": detail}), flush=True)
    if not console:
        print(json.dumps(counts), flush=True)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
