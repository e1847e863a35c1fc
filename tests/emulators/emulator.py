"""AWS emulators that are not moto, each a server of its own on a loopback port, used as AWS is: by its endpoint."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPException
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

ACCOUNT = "111122223333"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
START_SECONDS = 60.0
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Emulator:
    """How an emulator is installed and started."""

    name: str
    requirement: str
    """What pip installs; .ci/run installs the same."""
    program: str
    arguments: Callable[[int], list[str]]
    environment: Callable[[int, Path], dict[str, str]]
    ready: str
    """A path that it answers once it listens."""

    @property
    def path(self) -> str:
        """Where its program is. Fails, with what installs it, where there is none: it is never passed over."""
        if not (found := shutil.which(self.program)):
            home = f"/opt/{self.name}"
            pytest.fail(
                f"{self.program} is not on PATH: `python3 -m venv {home} && {home}/bin/pip install {self.requirement}` "
                f"installs it; then PATH=$PATH:{home}/bin make test-emulators",
                pytrace=False,
            )
        return found


MINISTACK = Emulator(
    "ministack",
    "ministack==1.5.33",
    "ministack",
    lambda port: [],
    lambda port, state: {
        "GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "CLOUDTRAIL_RECORDING": "1", "STATE_DIR": str(state), "TMPDIR": str(state),
        # An unknown service makes it load all that it knows, for seconds.
        "SERVICES": "ec2,sts,iam,s3,ssm,dynamodb,cloudtrail,account,tagging",
    },
    "/_ministack/health",
)  # fmt: skip
"""In Python, with EC2, IAM, S3, DynamoDB and CloudTrail. https://pypi.org/project/ministack/"""

ROTO = Emulator(
    "roto",
    "roto-aws==0.10.1",
    "roto-server",
    lambda port: ["--port", str(port), "--ephemeral", "--account-id", ACCOUNT],
    lambda port, state: {},
    "/",
)
"""In Rust, with DynamoDB and S3 and no EC2. https://pypi.org/project/roto-aws/"""


@dataclass(frozen=True)
class Running:
    """An emulator that listens."""

    emulator: Emulator
    url: str

    @cached_property
    def session(self) -> boto3.Session:
        return boto3.Session("test", "test")

    def client(self, service: str, region: str) -> Any:
        """Return a client of the test's own, to look with and to do what somebody else does."""
        return self.session.client(service, region_name=region, endpoint_url=self.url, config=Config(proxies={}))

    def post(self, path: str) -> None:
        """Ask the emulator itself for something."""
        OPENER.open(urllib.request.Request(f"{self.url}{path}", data=b"", method="POST")).close()


@contextmanager
def running(emulator: Emulator, directory: Path) -> Iterator[Running]:
    """Run an emulator with its state in a directory, until the end."""
    port = _free_port()
    log = directory / "log"
    environment = {"PATH": str(Path(emulator.path).parent), "HOME": str(directory)}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [emulator.path, *emulator.arguments(port)], cwd=directory, stdin=subprocess.DEVNULL, stdout=file,
            stderr=file, env=environment | emulator.environment(port, directory),
        )  # fmt: skip
    try:
        served = Running(emulator, f"http://127.0.0.1:{port}")
        _wait_until_it_answers(served, process, log)
        yield served
    finally:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_until_it_answers(served: Running, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            OPENER.open(f"{served.url}{served.emulator.ready}", timeout=5).close()
        except urllib.error.HTTPError:
            return  # it answers
        except (OSError, HTTPException):
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"{served.emulator.name} does not answer:\n{log.read_text()[-2000:]}")
