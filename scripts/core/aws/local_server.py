"""The local cloud's process, from outside: found, started when needed, stopped."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from scripts.core import clock
from scripts.core.errors import LabError
from scripts.core.whole_file import drafted

LOCAL_DIRECTORY = ".local-cloud"
"""Where, beside lab.toml, the local cloud keeps its address and its log: each clone has its own."""

ADDRESS_FILE = "server.json"
ACCOUNT_FILE = "account"
REPOSITORY = Path(__file__).parents[3]
PATIENCE = 30.0
"""Seconds to wait until a started server answers."""


def ensure_running(directory: Path) -> str:
    """Return the URL of the local cloud of a directory, starting it if it does not run. Raises LabError."""
    if url := running(directory):
        return url
    with _alone(directory):
        return running(directory) or _started(directory)


def account_of(directory: Path) -> str:
    """Return the number of the local cloud of a directory: twelve digits, as AWS's accounts have. Raises LabError.

    It is the same after every start: what lived in it before is gone then, and in no other account.
    """
    path = directory / ACCOUNT_FILE
    try:
        if not path.exists():
            directory.mkdir(parents=True, exist_ok=True)
            with drafted(path, f"{secrets.randbelow(10**12):012d}\n".encode()) as draft, suppress(FileExistsError):
                path.hardlink_to(draft)  # whoever is first has made it
        number = path.read_text().strip()
    except (OSError, ValueError) as problem:
        raise LabError(f"{path}: can't be read or written: {problem}; the local cloud needs it") from problem
    if not re.fullmatch(r"[0-9]{12}", number):
        raise LabError(f"{path}: is not twelve digits; delete it, and the local cloud has another number")
    return number


def running(directory: Path) -> str | None:
    """Return the URL of the local cloud of a directory; None where it does not run."""
    address = _address(directory)
    if address is None:
        return None
    # A port is given out again once its server is dead, so the server must be the one that wrote the file.
    return str(address["url"]) if _health(address) == address["id"] else None


def stop(directory: Path) -> bool:
    """Stop the local cloud of a directory; False where it did not run."""
    if running(directory) is None:
        return False
    with _alone(directory):
        address = _address(directory)
        if address is None or _health(address) != address["id"]:
            return False
        with suppress(ProcessLookupError):
            os.kill(address["pid"], signal.SIGTERM)
        while _health(address) == address["id"]:
            clock.nap(0.01)
        (directory / ADDRESS_FILE).unlink(missing_ok=True)
        return True


def _address(directory: Path) -> dict[str, Any] | None:
    try:
        address = json.loads((directory / ADDRESS_FILE).read_text())
    except (FileNotFoundError, ValueError):
        return None
    except OSError as problem:
        raise LabError(f"{directory / ADDRESS_FILE}: can't be read: {problem.strerror}") from problem
    whole = isinstance(address, dict) and {"id", "pid", "port", "url"} <= address.keys()
    return address if whole else None


def _health(address: dict[str, Any]) -> str | None:
    """Return the identity of the server at an address; None where none answers."""
    from http.client import HTTPConnection, HTTPException

    # http.client knows of no proxies, which have no way to our loopback.
    connection = HTTPConnection("127.0.0.1", address["port"], timeout=5)
    try:
        connection.request("GET", "/lab/health")
        return str(json.loads(connection.getresponse().read()).get("id"))
    except (OSError, ValueError, AttributeError, HTTPException):
        return None
    finally:
        connection.close()


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    with _writing(directory / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _writing(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w")
    except OSError as problem:
        raise LabError(f"{path}: can't be written: {problem.strerror}; the local cloud needs it") from problem


def _started(directory: Path) -> str:
    if importlib.util.find_spec("moto") is None:
        raise LabError('lab.toml: cloud = "local" needs moto: run make, which installs it, or say cloud = "aws"')
    log = directory / "server.log"
    with _writing(log) as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "scripts.local_cloud", "serve", "--directory", str(directory.resolve())],
            cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            env={**_environment(), "MOTO_ACCOUNT_ID": account_of(directory)},
        )  # fmt: skip
    try:
        if url := _up(directory, process):
            return url
    except BaseException:
        process.kill()  # a caller that is interrupted must not leave a second server to the next one
        raise
    process.kill()
    last = (log.read_text().splitlines() or ["(its log is empty)"])[-1]
    raise LabError(f"{log}: the local cloud did not start: {last}")


def _up(directory: Path, process: subprocess.Popen[bytes]) -> str | None:
    """Return the URL of a server that is starting, once it answers; None where it does not."""
    deadline = clock.monotonic() + PATIENCE
    while clock.monotonic() < deadline and process.poll() is None:
        if url := running(directory):
            return url
        clock.nap(0.02)
    return None


def _environment() -> dict[str, str]:
    """Return the server's environment: ours is imported, and its caller's settings for AWS and moto are not found."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "MOTO_"))}
    return {**inherited, "PYTHONPATH": str(REPOSITORY)}
