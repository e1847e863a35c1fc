#!/usr/bin/python3 -I
"""Let people in by key alone: no passwords, no root. Runs as root, on Python 3.9 or later.

    sshd-hardening apply [--account NAME] [--confirm-within SECONDS]    put the drop-in in place and reload sshd
    sshd-hardening confirm     a fresh login works: keep it
    sshd-hardening rollback    back to what was before
    sshd-hardening status

`apply` is refused unless an account can log in with a key (--account says which one must), takes everything back where
sshd does not accept the drop-in or does not obey it, and with --confirm-within also when nobody confirms in time.
It prints one JSON object a line, and {"changed": 0, "problems": 0} at the end; --console prints lines for people.
Exit 1 if there was a problem.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import fnmatch
import json
import os
import pathlib
import pwd
import re
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

DROP_IN = pathlib.Path("/etc/ssh/sshd_config.d/00-ec2-lab.conf")
"""Sorted before the image's own, as sshd takes the first value that it reads (sshd_config(5))."""
MAIN = pathlib.Path("/etc/ssh/sshd_config")
INCLUDE = f"Include {DROP_IN}\n"
"""The line at the top of sshd_config, where that reads no drop-ins before anything else."""
STATE = pathlib.Path("/var/lib/ec2-lab/sshd")
BEFORE = STATE / "before.json"
UNFINISHED = STATE / "unfinished"
WAITING = STATE / "waiting"
SWITCH = "ec2-lab-sshd-rollback"
AT_BOOT = pathlib.Path("/etc/tmpfiles.d/ec2-lab-sshd.conf")
"""What systemd-tmpfiles removes at boot, before sshd starts: a machine rebooted unconfirmed lets in as before."""
LONGEST_KEYS = 1 << 20
"""Characters of a user's file that are looked at: it may be as long as its owner likes."""
LONGEST_RELOAD = 10.0
"""Seconds until sshd that does not listen again is looked after."""
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}

SETTINGS = {
    "PubkeyAuthentication": "yes",
    "PasswordAuthentication": "no",
    "KbdInteractiveAuthentication": "no",
    "ChallengeResponseAuthentication": "no",  # the same before OpenSSH 8.7, where PAM asks for passwords through it
    "PermitEmptyPasswords": "no",
    "PermitRootLogin": "no",
}
"""Nothing about forwarding or the number of tries: tunnels to notebooks and agents with many keys keep working."""
CONTENT = "# Made by ec2-lab (sshd-hardening rollback takes it back)\n" + "".join(
    f"{keyword} {value}\n" for keyword, value in SETTINGS.items()
)


class Failed(Exception):
    """It can't be done, or had to be taken back, and why."""


# What should be, from what was read


def reads_drop_in_first(config: str) -> bool:
    """Say whether an sshd_config reads our drop-in before it sets anything."""
    for line in config.splitlines():
        words = re.split(r"[\s=]+", line.split("#")[0].strip(), maxsplit=1)
        if words != [""]:
            patterns = words[1].replace('"', "").split() if words[0].lower() == "include" and len(words) > 1 else []
            return any(fnmatch.fnmatchcase(str(DROP_IN), absolute(pattern)) for pattern in patterns[:1])
    return False


def absolute(pattern: str) -> str:
    """Return the pattern of an Include as sshd takes it: below /etc/ssh where it is relative."""
    return pattern if pattern.startswith("/") else f"/etc/ssh/{pattern}"


def settings_in(listed: str) -> dict[str, str]:
    """Return what `sshd -T` lists, by keyword in lower case; of repeated ones the last."""
    return dict(line.lower().split(" ", 1) for line in listed.splitlines() if " " in line)


def disobeyed(listed: str) -> list[str]:
    """Return the settings that sshd would not follow, as it lists them; it knows none of older names."""
    found = settings_in(listed)
    wanted = {keyword.lower(): value for keyword, value in SETTINGS.items()}
    return [
        f"{keyword} {found[keyword]}" for keyword in wanted if found.get(keyword, wanted[keyword]) != wanted[keyword]
    ]


# Who can log in


def openable(user: pwd.struct_passwd) -> bool:
    """Say whether an account other than root has a login shell, is not expired and has a key."""
    shell = pathlib.Path(user.pw_shell or "/bin/sh")
    no_login = user.pw_uid == 0 or shell.name in ("nologin", "false", "sync") or not os.access(shell, os.X_OK)
    return not no_login and not expired(user.pw_name) and has_key(pathlib.Path(user.pw_dir))


def expired(name: str) -> bool:
    """Say whether an account's day has passed."""
    for line in pathlib.Path("/etc/shadow").read_text().splitlines():
        fields = line.split(":")
        if fields[0] == name:
            return fields[7].isdigit() and int(fields[7]) * 86400 <= time.time()
    return False


def has_key(home: pathlib.Path) -> bool:
    """Say whether a home holds a key that opens it; sshd reads the same two files."""
    for name in ("authorized_keys", "authorized_keys2"):
        with contextlib.suppress(OSError):
            opened = os.open(home / ".ssh" / name, os.O_RDONLY | os.O_NONBLOCK)  # no pipe that never ends
            with open(opened, errors="replace") as file:  # noqa: PTH123
                lines = file.read(LONGEST_KEYS) if stat.S_ISREG(os.fstat(opened).st_mode) else ""
            if re.search(r"^[^#\n]*(ssh|ecdsa|sk)-[a-z0-9@.-]+ AAAA", lines, re.MULTILINE):
                return True
    return False


def expect_a_way_in(account: str | None) -> list[str]:
    """Return who can log in with a key. Raises Failed where nobody can, or not the account that must."""
    able = [user.pw_name for user in pwd.getpwall() if openable(user)]
    if account and account not in able:
        raise Failed(f"{account} can't log in with a key (no such account, shell or key, or it is locked)")
    if not able:
        raise Failed("no account but root could log in with a key: make one first")
    return able


# sshd


def run(*command: str) -> str:
    """Return what a command prints. Raises Failed with what it said."""
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise Failed(f"{' '.join(command[:2])}: {' '.join((done.stderr or done.stdout).split())}")
    return done.stdout


def sshd(*arguments: str) -> str:
    """Return what sshd prints. Raises Failed; makes the directory that it wants where it never started before."""
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
    pid_file = pathlib.Path(settings_in(sshd("-T"))["pidfile"])
    if os.path.isdir("/run/systemd/system"):  # noqa: PTH112
        unit = next((unit for unit in ("ssh.service", "sshd.service") if is_active(unit)), None)
        if not unit:
            return "sshd does not run yet; it begins so"  # socket-activated, or early at boot
        wait_for(pid_file.exists)
        if not reloaded(pid_file, lambda: run("systemctl", "reload", unit)) and not is_active(unit):
            run("systemctl", "restart", unit)
        return f"{unit} reloaded"
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        process = int(pid_file.read_text())
        reloaded(pid_file, lambda: os.kill(process, signal.SIGHUP))
        return "sshd reloaded"
    return "sshd does not run yet; it begins so"


def is_active(unit: str) -> bool:
    """Say whether systemd has a service running."""
    return subprocess.run(["systemctl", "is-active", "--quiet", unit], env=ENVIRONMENT, check=False).returncode == 0


def reloaded(pid_file: pathlib.Path, ask: Callable[[], object]) -> bool:
    """Ask sshd to begin anew, and say whether it has."""
    before = written(pid_file)
    ask()
    return wait_for(lambda: written(pid_file) not in (0, before))


def written(pid_file: pathlib.Path) -> int:
    """Return when sshd last wrote its process id: once it listens; 0 while it begins anew.

    On SIGHUP it removes the file, starts itself again, and ignores another SIGHUP until then (sighup_restart in
    sshd.c), which would be a setting that it never reads.
    """
    return pid_file.stat().st_mtime_ns if pid_file.exists() else 0


def wait_for(condition: Callable[[], bool]) -> bool:
    """Say whether something came to hold in time."""
    deadline = time.monotonic() + LONGEST_RELOAD
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def expect_obedience(accounts: list[str]) -> None:
    """Check that sshd would follow the settings, for everyone (a Match block can say otherwise). Raises Failed."""
    for account in ["root", *accounts]:
        where = f"user={account},host=localhost,addr=127.0.0.1,laddr=127.0.0.1,lport=22"
        if wrong := disobeyed(sshd("-T", "-C", where)):
            raise Failed(f"sshd would say {', '.join(wrong)} for {account}")


# The files


def write(path: pathlib.Path, text: str, mode: int = 0o644) -> None:
    """Replace a file at once, or not at all."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as opened:  # noqa: PTH123
        os.fchmod(opened.fileno(), mode)
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    new.replace(path)


def content(path: pathlib.Path) -> str | None:
    """Return what is in a file; None where there is none."""
    return path.read_text(errors="surrogateescape") if path.exists() else None


def write_main(text: str) -> None:
    """Replace sshd_config, with the mode that it has."""
    write(MAIN, text, MAIN.stat().st_mode & 0o777)


def in_place() -> bool:
    """Say whether the drop-in is there as it should be and is read first."""
    return content(DROP_IN) == CONTENT and reads_drop_in_first(content(MAIN) or "")


def put() -> None:
    """Put the drop-in in place."""
    write(DROP_IN, CONTENT)
    main = content(MAIN) or ""
    if not reads_drop_in_first(main):
        write_main(INCLUDE + main)


def remember() -> dict[str, Any]:
    """Return what the files are before anything is changed, also if an earlier `apply` was killed half way."""
    if not UNFINISHED.exists():
        before = {"drop_in": content(DROP_IN), "included": (content(MAIN) or "").startswith(INCLUDE)}
        write(BEFORE, json.dumps(before), 0o600)
        write(UNFINISHED, "")
    remembered: dict[str, Any] = json.loads(BEFORE.read_text())
    return remembered


def take_back(before: dict[str, Any]) -> None:
    """Bring the files back to what they were; of sshd_config only our line, as others may have edited it since."""
    if before["drop_in"] is None:
        DROP_IN.unlink(missing_ok=True)
    else:
        write(DROP_IN, before["drop_in"])
    main = content(MAIN) or ""
    if main.startswith(INCLUDE) and not before["included"]:
        write_main(main[len(INCLUDE) :])


# The dead man's switch


def arm(seconds: int) -> None:
    """Have everything taken back in some seconds unless someone confirms."""
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
    """Let nothing be taken back any more."""
    for path in (WAITING, AT_BOOT):
        path.unlink(missing_ok=True)
    if os.path.isdir("/run/systemd/system"):  # noqa: PTH112
        subprocess.run(["systemctl", "stop", f"{SWITCH}.timer"], env=ENVIRONMENT, capture_output=True, check=False)


# The commands: each returns (what changed, detail)


def apply(given: argparse.Namespace) -> tuple[str, str]:
    """Put the drop-in in place, and see that sshd obeys it."""
    able = expect_a_way_in(given.account)
    if in_place() and not UNFINISHED.exists():
        expect_obedience(able)
        return ("unchanged", "waits to be confirmed") if WAITING.exists() else ("unchanged", "")
    sshd("-t")  # what is broken already is not ours to mend
    before = remember()
    try:
        put()
        sshd("-t")
        expect_obedience(able)
        if given.confirm_within:
            arm(given.confirm_within)
        done = reload_sshd()
    except (Failed, OSError) as problem:
        disarm()
        take_back(before)
        reload_sshd()
        UNFINISHED.unlink()
        raise Failed(f"{problem}; everything is as it was") from problem
    UNFINISHED.unlink()
    waits = f"; taken back in {given.confirm_within} s unless confirmed" if given.confirm_within else ""
    return "applied", f"keys alone open {', '.join(able)}; {done}{waits}"


def confirm(_: argparse.Namespace) -> tuple[str, str]:
    """Keep what was applied."""
    if not in_place():
        raise Failed("it is not in place: it was taken back, or never applied")
    if not WAITING.exists():
        return "unchanged", "it was not waiting"
    disarm()
    return "confirmed", ""


def rollback(given: argparse.Namespace) -> tuple[str, str]:
    """Bring back what was before `apply`; as the switch, only if that very `apply` still waits."""
    if given.if_waiting and content(WAITING) != given.if_waiting:
        return "unchanged", "it was confirmed"
    if not BEFORE.exists():
        return "unchanged", "nothing was applied"
    take_back(json.loads(BEFORE.read_text()))
    done = reload_sshd()
    BEFORE.unlink()
    UNFINISHED.unlink(missing_ok=True)
    disarm()
    return "rolled back", done


def status(_: argparse.Namespace) -> tuple[str, str]:
    """Tell how things are."""
    if not in_place():
        return "unchanged", "not in place"
    expect_obedience([])
    return "unchanged", "in place, waits to be confirmed" if WAITING.exists() else "in place"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the program's arguments."""
    whole = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    whole.add_argument("--console", action="store_true", help="print lines for people")
    commands = whole.add_subparsers(required=True)
    for command in (apply, confirm, rollback, status):
        one = commands.add_parser(command.__name__, help=command.__doc__)
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
    """Run a command and tell what it did; 1 if there was a problem."""
    given = parser().parse_args(arguments)
    time.sleep(given.after)
    try:
        STATE.mkdir(mode=0o755, parents=True, exist_ok=True)
        with (STATE / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            change, detail = given.command(given)
    except (Failed, OSError) as problem:
        change, detail = "problem", str(problem)
    counts = {"changed": int(change not in ("unchanged", "problem")), "problems": int(change == "problem")}
    if given.console:
        print(f"ec2-lab: sshd: {change} {detail}".rstrip(), flush=True)
    else:
        print(json.dumps({"change": change, "detail": detail}), json.dumps(counts), sep="\n", flush=True)
    return counts["problems"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
