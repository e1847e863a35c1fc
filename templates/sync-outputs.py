#!/usr/bin/python3 -I
"""Keep the outputs of an experiment's command in a bucket. Runs as root, on Python 3.9 or later.

    sync-outputs restore    before the command: make the directory, and download what an interrupted instance uploaded
    sync-outputs follow     while it runs: upload changes periodically, and at once before an interruption by AWS
    sync-outputs ended      after it: upload the rest
    sync-outputs leave      after that: end the instance, if the experiment says so and nothing would be lost

Standard output is the pipe that the command prints into.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import pathlib
import pwd
import signal
import socket
import subprocess
import sys
import threading
import time

from ec2lab.hosts.changing_files import tree, writers
from ec2lab.hosts.outputs_sync import QUIET, Journal, Outputs
from ec2lab.hosts.s3_requests import Bucket
from ec2lab.hosts.signed_requests import Later, Refused, metadata

SETTINGS = pathlib.Path("/opt/ec2-lab/outputs.json")
STATE = pathlib.Path("/var/lib/ec2-lab/instance")
RUNTIME = pathlib.Path("/run/ec2-lab")
BEGUN, WHY, INTERRUPTED = RUNTIME / "experiment/begun", RUNTIME / "never-began", RUNTIME / "interrupted"
ENVIRONMENT, LOCK, OPEN = RUNTIME / "outputs.env", RUNTIME / "outputs-lock", RUNTIME / "outputs-open"
INCOMPLETE = RUNTIME / "outputs-incomplete"
"""Exists from the command's end until all is uploaded; then says what is not to be, as it was being written."""
ENDED = STATE / "ended.json"
ACCOUNT, UNIT = "experiment", "experiment-outputs.service"
POLL = 5
"""Seconds between looks for a notice of AWS's, which comes two minutes ahead."""
LAST_TRIES = 3
POLL_AT_END = 0.2
"""Seconds between looks at what is open, while the command ends: it may be saving its state."""
SIGNALS = range(129, 193)
"""Exit codes of commands that a signal killed."""
TERMINATED = 143
"""The exit code of what ends by SIGTERM, often after it has saved its state."""
SILENCE = 240
"""Seconds without an answer of S3's, after which the command's end waits no longer."""
NOTIFY, GRACE = "/run/systemd/notify", 420
"""Where systemd is told, and how many seconds it is to wait for the next upload: longer than this program does."""

stop, wake, moved = threading.Event(), threading.Event(), threading.Event()


def say(line):
    """Write a line into the command's log."""
    print(f"ec2-lab: outputs: {line}", flush=True)


def keep_waiting():
    """Have systemd wait, as something has been uploaded (sd_notify(3))."""
    moved.set()
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.sendto(f"EXTEND_TIMEOUT_USEC={GRACE * 1000000}".encode(), NOTIFY)


def outputs_of(settings):
    """Return the outputs of this run. Raises OSError."""
    if settings["mount"] and not os.path.ismount(settings["mount"]):  # or its files would seem to be deleted
        raise OSError(errno.ENODEV, "is not mounted", settings["mount"])
    origin = settings["origin"] or str(STATE.readlink())
    address = "/".join((settings["artifact_uri"].rstrip("/"), settings["experiment"], origin))
    journal = Journal(str(STATE / "outputs"))
    return Outputs(
        settings["directory"], Bucket(address, stop.wait, keep_waiting), journal, settings["every"], say, stop.wait
    )


def make_directory(settings, account):
    """Make the directory. Raises Refused where it would lie elsewhere."""
    path = settings["directory"]
    if settings["mount"] and not os.path.ismount(settings["mount"]):
        raise Refused(f"{settings['mount']} is not mounted")
    pathlib.Path(path).mkdir(parents=True, exist_ok=True)
    if os.path.realpath(path) != path:
        raise Refused(f"{path} is a link, or lies behind one")
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    os.fchown(directory, account.pw_uid, account.pw_gid)
    os.close(directory)


def restore(settings):
    """Prepare the directory; a command that continues begins with all of it or not at all."""
    account = pwd.getpwnam(ACCOUNT)
    files = size = 0
    try:
        make_directory(settings, account)
        if settings["origin"]:
            files, size = outputs_of(settings).restore((account.pw_uid, account.pw_gid))
            say(f"{files} files ({size:,} bytes) of {settings['origin']} are restored")
    except (Refused, Later, OSError, ValueError) as why:
        WHY.write_text(f"the command never started: outputs: {' '.join(str(why).split())[:1000]}")
        INTERRUPTED.write_text("its outputs could not be restored")
        return 1
    ENVIRONMENT.write_text(f"RESUMED={int(files > 0)}\n")
    return 0


def told(*words):
    """Return what systemd says."""
    return subprocess.run(["systemctl", *words], check=False, stdout=subprocess.PIPE, text=True).stdout.strip()


def notice():
    """Return AWS's notice to a spot instance; nothing without one, or where the metadata service does not answer
    (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html).
    """  # noqa: D205
    try:
        token = metadata("api/token", "PUT", token_ttl_seconds="60")
        coming = json.loads(metadata("meta-data/spot/instance-action", token=token))
        return f"{coming['action']} at {coming['time']}"
    except (Refused, Later, ValueError, LookupError, TypeError):
        return ""


def look(outputs):
    """Look for a notice, and which files are being written, until the end."""
    while not stop.wait(POLL_AT_END if told("is-active", "experiment.service") == "deactivating" else POLL):
        with contextlib.suppress(OSError):
            draft = OPEN.with_suffix(".new")
            draft.write_text(json.dumps(writers(pathlib.Path(outputs.root).stat().st_dev)))
            draft.replace(OPEN)
        if not INTERRUPTED.exists() and (coming := notice()):
            INTERRUPTED.write_text(coming)
            say(f"AWS interrupts this instance ({coming}); from now on all changes are uploaded at once")
        if INTERRUPTED.exists():
            wake.set()


def follow(settings):
    """Upload until told to end; after the command's end, until all is uploaded that could not be then."""
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda *_: (stop.set(), wake.set()))
    outputs = outputs_of(settings)
    threading.Thread(target=look, args=(outputs,), daemon=True).start()
    problem = ""
    while not stop.is_set():
        began = time.monotonic()
        with LOCK.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            owed = INCOMPLETE.read_text() if INCOMPLETE.exists() else ""
            if ENDED.exists() and not owed:
                return 0
            try:
                if outputs.sync(json.loads(owed or "[]"), is_last=bool(owed)) and owed:
                    INCOMPLETE.unlink()
                    say("everything is uploaded now")
                    return leave(settings)
            except OSError as found:
                if str(found) != problem:
                    say(f"can't be read: {found}")
                problem = str(found)
        wake.wait(max(0, settings["every"] - (time.monotonic() - began)))
        wake.clear()
    return 0


def mark(path):
    """Say in the record of the command's end that it did not end by itself, if so: what is launched next continues."""
    end = json.loads(path.read_text())
    # Who gets SIGTERM at a shutdown may end with any exit code.
    was_cut_off = end["exit_code"] in SIGNALS or told("is-system-running") == "stopping"
    if end["exit_code"] in SIGNALS and not BEGUN.exists() and not INTERRUPTED.exists():
        INTERRUPTED.write_text("the instance was started again while the command ran")
    if INTERRUPTED.exists() and (was_cut_off or not BEGUN.exists()):
        end["interrupted"] = INTERRUPTED.read_text()
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(end) + "\n")
        draft.replace(path)
    return end["exit_code"]


def doubtful(outputs, code, when):
    """Return the files that a killed command may have been in the middle of writing."""
    if code not in SIGNALS:
        return []
    held = json.loads(OPEN.read_text()) if OPEN.exists() else {}
    recent = when - POLL - QUIET if code != TERMINATED else when + POLL
    return [
        name
        for name, file in tree(outputs.root).files.items()
        if held.get(str(file.inode)) is False or (file.changed > recent and str(file.inode) not in held)
    ]


def expect_progress():
    """Give up where S3 no longer answers: systemd would kill this program, and run none of what comes after it."""
    while moved.wait(SILENCE):
        moved.clear()
    stop.set()


def upload_rest(settings, code):
    """Upload what the command has left, and return whether that is all. Raises OSError, ValueError."""
    threading.Thread(target=expect_progress, daemon=True).start()
    outputs = outputs_of(settings)
    unsure = doubtful(outputs, code, ENDED.stat().st_mtime)
    INCOMPLETE.write_text(json.dumps(unsure))
    for name in unsure:
        say(f"{name!r} was being written when the command was killed, and is not uploaded as it is")
    return any(outputs.sync(unsure, is_last=True) for _ in range(LAST_TRIES))


def ended(settings):
    """Upload the rest, unless the command never started or the power was cut while it ran."""
    code = mark(ENDED)
    if not BEGUN.exists():
        return 0
    INCOMPLETE.touch()
    subprocess.run(["systemctl", "kill", "--kill-who=main", UNIT], check=False, stderr=subprocess.DEVNULL)
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            if upload_rest(settings, code):
                INCOMPLETE.unlink()
                return 0
        except (OSError, ValueError, LookupError) as problem:
            say(f"can't be read: {problem}")
    then = ", and then terminates itself" if settings["on_completion"] == "teardown" else ""
    say(f"not everything could be uploaded; this instance keeps retrying{then}")
    subprocess.run(["systemctl", "start", "--no-block", UNIT], check=False)
    return 1


def leave(settings):
    """End the instance, where it is to end and all is uploaded."""
    if settings["on_completion"] == "teardown" and not INCOMPLETE.exists():
        subprocess.run(["systemctl", "start", "--no-block", "ec2-lab-power-off@completion.service"], check=True)
    return 0


MODES = {"restore": restore, "follow": follow, "ended": ended, "leave": leave}

if __name__ == "__main__":
    try:
        sys.exit(MODES[sys.argv[1]](json.loads(SETTINGS.read_text())))
    except (OSError, ValueError, LookupError, subprocess.SubprocessError) as problem:
        sys.exit(f"ec2-lab: sync-outputs: {problem}")
