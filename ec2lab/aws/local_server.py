"""Finds, starts and stops the local cloud's process.

It is identified by a secret in its directory, which only its owner can access. A server must prove that it knows the
secret before a call is sent to it: once a server has exited, any user's process may get its port.
"""

from __future__ import annotations

import fcntl
import hmac
import importlib.util
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO, Any

from ec2lab import clock
from ec2lab.errors import UserError
from ec2lab.files import (
    PRIVATE_FILE,
    exists,
    is_trustworthy,
    open_file,
    open_private,
    private_directory,
    read_text,
    temp_file_beside,
)
from ec2lab.polling import attempts, wait_until

LOCAL_DIRECTORY = ".local-cloud"
"""The directory next to lab.toml with the local cloud's address and log: each clone has its own."""

ADDRESS_FILE = "server.json"
AWS_CONFIG_FILE = "aws-config"  # the value of AWS_CONFIG_FILE that makes the AWS CLI and SDKs call the local cloud
SSH_CONFIG_FILE = "ssh-config"
"""How ssh reaches the local cloud's instances. It exists only where this computer has an sshd."""
STAND_INS = "instances"  # the directory with the home directories of stand-ins
ACCOUNT_FILE = "account"
HEALTH = "/lab/health"
REPOSITORY = Path(__file__).parents[2]
START_TIMEOUT = 30.0  # seconds until a started server must respond
STOP_TIMEOUT = 10.0
POLL = 0.01, 0.02
TIMEOUT = 5.0  # seconds until a running server must respond


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A running local cloud. Its secret is the secret access key of every caller, whatever the access key id."""

    url: str
    port: int
    pid: int
    secret: str = field(repr=False)


def proof_of(secret: str, nonce: str) -> str:
    """Return the response to a nonce that only a server with the secret can compute."""
    return hmac.new(secret.encode(), f"ec2-lab local cloud\n{nonce}".encode(), sha256).hexdigest()


def ensure_running(directory: Path) -> LocalServer:
    """Return the local cloud of a directory, and start it if necessary. Raises UserError."""
    _make_private(directory)
    if server := running(directory):
        return server
    with _alone(directory):
        return running(directory) or _started(directory)


def account_of(directory: Path) -> str:
    """Return the account number of a directory's local cloud: twelve digits, as in AWS. Raises UserError.

    It stays the same after a restart: earlier resources are then gone, not in another account.
    """
    path = directory / ACCOUNT_FILE
    try:
        if not exists(path):
            _make_private(directory)
            made = f"{secrets.randbelow(10**12):012d}\n".encode()
            with temp_file_beside(path, made, mode=PRIVATE_FILE) as draft, suppress(FileExistsError):
                path.hardlink_to(draft)  # another process created it first
        number = read_text(path).strip()
    except (OSError, ValueError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else problem
        raise UserError(f"{path}: can't be read or written: {why}; the local cloud needs it") from problem
    if not re.fullmatch(r"[0-9]{12}", number):
        raise UserError(f"{path}: is not twelve digits; delete it, and the local cloud gets a new number")
    return number


def running(directory: Path) -> LocalServer | None:
    """Return the local cloud of a directory; None if it does not run."""
    server = _on_file(directory)
    return server if server and _is_genuine(server) else None


def stop(directory: Path) -> bool:
    """Stop the local cloud of a directory; return False if it did not run.

    The server ends itself, when asked with its secret or when its address file is deleted. No process is killed by its
    id, which may belong to another process by now.
    """
    if _on_file(directory) is None:
        return False
    with _alone(directory):
        server = running(directory)
        if server:
            _order(server, "stop")
        for name in (ADDRESS_FILE, AWS_CONFIG_FILE, SSH_CONFIG_FILE):
            (directory / name).unlink(missing_ok=True)
        shutil.rmtree(directory / STAND_INS, ignore_errors=True)
        if server:
            _wait_for_end(server)
        return server is not None


def _on_file(directory: Path) -> LocalServer | None:
    try:
        with os.fdopen(open_file(directory / ADDRESS_FILE, os.O_RDONLY)) as file:
            address = json.load(file) if is_trustworthy(os.fstat(file.fileno())) else {}
        return LocalServer(address["url"], int(address["port"]), int(address["pid"]), str(address["secret"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    except OSError as problem:
        raise UserError(f"{directory / ADDRESS_FILE}: can't be read: {problem.strerror}") from problem


def _is_genuine(server: LocalServer) -> bool:
    nonce = secrets.token_hex(16)
    answer = _asked(server, "GET", f"{HEALTH}?{nonce}", {})
    proof = answer.get("proof") if isinstance(answer, dict) else None
    return isinstance(proof, str) and hmac.compare_digest(proof.encode(), proof_of(server.secret, nonce).encode())


def _order(server: LocalServer, what: str) -> None:
    _asked(server, "POST", f"/lab/{what}", {"Authorization": f"Bearer {server.secret}"})


def _asked(server: LocalServer, method: str, path: str, headers: dict[str, str]) -> Any:
    """Return the JSON value in a server's response; None if there is none."""
    # http.client uses no proxies, which cannot reach our loopback address.
    connection = HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT)
    try:
        connection.request(method, path, headers=headers)
        return json.loads(connection.getresponse().read())
    except (OSError, ValueError, HTTPException):
        return None
    finally:
        connection.close()


def _wait_for_end(server: LocalServer) -> None:
    if not wait_until(lambda: not _is_genuine(server), clock.nap, POLL, STOP_TIMEOUT):
        raise UserError(f"the local cloud does not stop; run `kill {server.pid}`")


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    with _writing(directory / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _writing(path: Path) -> IO[str]:
    try:
        return open_private(path, "w")
    except OSError as problem:
        raise UserError(f"{path}: can't be written: {problem.strerror}; the local cloud needs it") from problem


def _make_private(directory: Path) -> None:
    try:
        private_directory(directory)
    except OSError as problem:
        raise UserError(
            f"{directory}: can't be made private: {problem.strerror}; the local cloud needs it: "
            f"become the owner of {directory.parent} (chown), or work in a copy of the lab"
        ) from problem


def _started(directory: Path) -> LocalServer:
    if importlib.util.find_spec("moto") is None:
        raise UserError('lab.toml: cloud = "local" needs moto: run make, which installs it, or set cloud = "aws"')
    log = directory / "server.log"
    with _writing(log) as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "local_cloud", "serve", "--directory", str(directory.resolve())],
            cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            env={**_environment(), "MOTO_ACCOUNT_ID": account_of(directory)},
        )  # fmt: skip
    try:
        if server := _up(directory, process):
            return server
    except BaseException:
        process.kill()  # an interrupted caller must not leave a second server behind
        raise
    process.kill()
    last = ["(its log is empty)", *filter(str.strip, log.read_text(errors="replace").splitlines())][-1]
    raise UserError(f"{log}: the local cloud did not start: {last}")


def _up(directory: Path, process: subprocess.Popen[bytes]) -> LocalServer | None:
    """Return a starting server once it responds; None if it does not."""
    for _ in attempts(clock.nap, POLL, START_TIMEOUT):
        if (server := running(directory)) or process.poll() is not None:
            return server
    return None


def _environment() -> dict[str, str]:
    """Return the server's environment: this package is importable, without the caller's AWS and moto settings."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "MOTO_"))}
    return {**inherited, "PYTHONPATH": str(REPOSITORY)}
