"""The local cloud's process, from outside: found, started when needed, stopped.

It is known by a secret that lies in its directory, which only its owner can enter. A server proves that it knows the
secret before it is trusted with a call: a port is given out again once its server is dead, to any user's process.
"""

from __future__ import annotations

import fcntl
import hmac
import importlib.util
import json
import os
import re
import secrets
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
"""Where, beside lab.toml, the local cloud keeps its address and its log: each clone has its own."""

ADDRESS_FILE = "server.json"
AWS_CONFIG_FILE = "aws-config"
"""What AWS_CONFIG_FILE is set to, so that the AWS CLI and SDKs call the local cloud."""
ACCOUNT_FILE = "account"
HEALTH = "/lab/health"
REPOSITORY = Path(__file__).parents[2]
START_TIMEOUT = 30.0
"""Seconds to wait until a started server answers."""
STOP_TIMEOUT = 10.0
POLL = 0.01, 0.02
TIMEOUT = 5.0
"""Seconds to wait for an answer of one that runs."""


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A running local cloud. Its secret is the secret access key of all who call it, whatever their access key id."""

    url: str
    port: int
    pid: int
    secret: str = field(repr=False)


def proof_of(secret: str, nonce: str) -> str:
    """Return what only a server that knows the secret can answer to a nonce."""
    return hmac.new(secret.encode(), f"ec2-lab local cloud\n{nonce}".encode(), sha256).hexdigest()


def ensure_running(directory: Path) -> LocalServer:
    """Return the local cloud of a directory, starting it if it does not run. Raises UserError."""
    _make_private(directory)
    if server := running(directory):
        return server
    with _alone(directory):
        return running(directory) or _started(directory)


def account_of(directory: Path) -> str:
    """Return the number of the local cloud of a directory: twelve digits, as AWS's accounts have. Raises UserError.

    It is the same after every start: what lived in it before is gone then, and in no other account.
    """
    path = directory / ACCOUNT_FILE
    try:
        if not exists(path):
            _make_private(directory)
            made = f"{secrets.randbelow(10**12):012d}\n".encode()
            with temp_file_beside(path, made, mode=PRIVATE_FILE) as draft, suppress(FileExistsError):
                path.hardlink_to(draft)  # whoever is first has made it
        number = read_text(path).strip()
    except (OSError, ValueError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else problem
        raise UserError(f"{path}: can't be read or written: {why}; the local cloud needs it") from problem
    if not re.fullmatch(r"[0-9]{12}", number):
        raise UserError(f"{path}: is not twelve digits; delete it, and the local cloud has another number")
    return number


def running(directory: Path) -> LocalServer | None:
    """Return the local cloud of a directory; None where it does not run."""
    server = _on_file(directory)
    return server if server and _is_genuine(server) else None


def stop(directory: Path) -> bool:
    """Stop the local cloud of a directory; False where it did not run.

    The server ends itself, asked by whoever knows its secret, or when its address is gone from its directory. No
    process is killed by its number, which may be another's by now.
    """
    if _on_file(directory) is None:
        return False
    with _alone(directory):
        server = running(directory)
        if server:
            _order(server, "stop")
        for name in (ADDRESS_FILE, AWS_CONFIG_FILE):
            (directory / name).unlink(missing_ok=True)
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
    """Return the JSON value that a server answers; None where none does."""
    # http.client knows of no proxies, which have no way to our loopback.
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
        raise UserError(f"the local cloud does not stop; `kill {server.pid}` ends it")


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
        raise UserError('lab.toml: cloud = "local" needs moto: run make, which installs it, or say cloud = "aws"')
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
        process.kill()  # a caller that is interrupted must not leave a second server to the next one
        raise
    process.kill()
    last = ["(its log is empty)", *filter(str.strip, log.read_text(errors="replace").splitlines())][-1]
    raise UserError(f"{log}: the local cloud did not start: {last}")


def _up(directory: Path, process: subprocess.Popen[bytes]) -> LocalServer | None:
    """Return a server that is starting, once it answers; None where it does not."""
    for _ in attempts(clock.nap, POLL, START_TIMEOUT):
        if (server := running(directory)) or process.poll() is not None:
            return server
    return None


def _environment() -> dict[str, str]:
    """Return the server's environment: ours is imported, and its caller's settings for AWS and moto are not found."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "MOTO_"))}
    return {**inherited, "PYTHONPATH": str(REPOSITORY)}
