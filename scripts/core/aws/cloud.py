"""Clients for AWS, or for the local cloud: nothing outside this file knows which."""

from __future__ import annotations

import ipaddress
import os
import threading
import urllib.request
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import ProfileNotFound

from scripts.core.aws.aws_errors import carry_regions, in_words
from scripts.core.aws.caller import introduced
from scripts.core.aws.credentials_end import end_of_credentials
from scripts.core.aws.known_accounts import KnownAccounts
from scripts.core.aws.local_server import LOCAL_DIRECTORY, LocalServer, account_of, ensure_running
from scripts.core.aws.service_data import CutLoader
from scripts.core.aws.whole_answers import WholeAnswers
from scripts.core.errors import LabError
from scripts.core.lab.config import Lab
from scripts.core.registry.account import LOCAL, Account
from scripts.core.registry.recorder import Recorder

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

SETTLING_SECONDS, LOCAL_SETTLING_SECONDS = 60.0, 2.0
"""AWS names no bound for its eventual consistency, and advises to try for minutes with growing pauses; what is seen in
practice is seconds (https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html)."""

BOOT_SECONDS = 900.0
"""A GPU machine answers after one to five minutes; the packages of its set-up take what they take."""

ADDRESS_SERVICE = "https://checkip.amazonaws.com"
"""AWS's own answer to "from which address do I come?", one line of text."""


class Cloud:
    """One lab's way to AWS. Clients are made when first asked for and kept; any thread may ask."""

    def __init__(self, lab: Lab, directory: Path, recorder: Recorder) -> None:
        server, self._session = _way(lab, directory)
        self._url = server.url if server else None
        self._regions = lab.regions
        self._home = lab.regions[0]
        self._directory = directory
        self._account: Account | None = None
        self._no_account = ""
        self._asking = threading.Lock()
        recorder.attach(self._session._session)  # noqa: SLF001 - boto3 has no public way to its botocore session
        self._clients: dict[tuple[str, str, int], Any] = {}
        self._lock = threading.Lock()

    @property
    def account(self) -> Account:
        """The account that calls are made in. Raises LabError where AWS does not say."""
        with self._asking:
            if self._no_account:
                raise LabError(self._no_account)
            if self._account is None:
                with in_words():
                    self._account = self._found_out()
            return self._account

    def _found_out(self) -> Account:
        if self._url:
            return Account(LOCAL, account_of(self._directory / LOCAL_DIRECTORY))
        known = KnownAccounts.of(self._session, self._directory)
        if found := known.account():
            return found
        try:
            found = introduced(self, self._regions).whose
        except LabError as problem:
            self._no_account = str(problem)
            raise
        known.remember(found)
        return found

    @property
    def settling_seconds(self) -> float:
        """For how long what was just made may not be seen yet by a description of it."""
        return LOCAL_SETTLING_SECONDS if self._url else SETTLING_SECONDS

    @property
    def boot_seconds(self) -> float:
        """How long a new machine may take until its set-up is done; machines of the local cloud never boot."""
        return 0.0 if self._url else BOOT_SECONDS

    @property
    def banner(self) -> str:
        """One line that says where calls go, empty on AWS."""
        return f"local cloud on {self._url}: nothing here is real and nothing is billed" if self._url else ""

    def ec2(self, region: str) -> EC2Client:
        """Return the EC2 client of a region; botocore retries throttling and lost answers by itself."""
        client: EC2Client = self.client("ec2", region)
        return client

    def ec2_asking_once(self, region: str) -> EC2Client:
        """Return an EC2 client that never retries, for calls that capacity may refuse.

        A refusal for capacity comes as HTTP 500, which botocore would ask again of the same empty pool, up to four
        times with growing pauses, before anyone above hears of it.
        """
        client: EC2Client = self.client("ec2", region, attempts=1)
        return client

    @property
    def iam(self) -> Any:
        """The client of IAM, which is the same in all regions of a partition (aws, aws-us-gov, aws-cn)."""
        return self.client("iam", self._home)

    @property
    def partition(self) -> str:
        """The partition that the lab's regions are in, as ARNs have it."""
        return str(self._session.get_partition_for_region(self._home))

    def client(self, service: str, region: str, *, attempts: int = 5) -> Any:
        """Return the client of a service in a region that sends each request up to `attempts` times."""
        with self._lock:  # boto3 must not make two clients of one session at once
            key = (service, region, attempts)
            if key not in self._clients:
                self._clients[key] = _client(self._session, self._url, service, region, attempts)
            return self._clients[key]

    def credentials_end(self) -> datetime | None:
        """Return when the credentials end, where they do not renew themselves and that is known."""
        return None if self._url else end_of_credentials(self._session)

    def caller_address(self) -> str:
        """Return the network that this machine's own address is, as AWS sees it: "203.0.113.7/32". Raises LabError."""
        if self._url:
            return "127.0.0.1/32"
        try:
            with urllib.request.urlopen(ADDRESS_SERVICE, timeout=10) as answer:
                return f"{ipaddress.IPv4Address(answer.read(64).decode('ascii').strip())}/32"
        except (OSError, HTTPException, ValueError) as problem:  # a hotel's log-in page is no address either
            raise LabError(
                f"lab.toml: network.ssh_from: {ADDRESS_SERVICE} does not say this machine's address ({problem}); "
                'write the networks that ssh may come from: ssh_from = ["203.0.113.0/24"]'
            ) from problem


def unrecorded_client(lab: Lab, directory: Path, service: str, region: str) -> Any:
    """Return a client whose calls are not written down: the registry's own, which would be by themselves."""
    server, session = _way(lab, directory)
    return _client(session, server.url if server else None, service, region, attempts=8)


def _way(lab: Lab, directory: Path) -> tuple[LocalServer | None, boto3.Session]:
    """Return the local cloud, where calls go there, and a session."""
    if lab.cloud != "local":
        return None, _aws_session(lab.profile)
    server = ensure_running(directory / LOCAL_DIRECTORY)
    return server, _local_session(server)


def _client(session: boto3.Session, url: str | None, service: str, region: str, attempts: int) -> Any:
    client = session.client(
        service,  # type: ignore[call-overload]  # the name of a service is known only to the caller
        region_name=region,
        endpoint_url=url,
        config=Config(
            retries={"mode": "standard", "total_max_attempts": attempts},
            connect_timeout=10,
            read_timeout=60,
            max_pool_connections=32,
            proxies={} if url else None,  # a proxy has no way to our loopback
        ),
    )
    endpoint = client._endpoint  # noqa: SLF001 - boto3 has no public way to it
    endpoint.http_session = WholeAnswers(endpoint.http_session)
    return client


def _local_session(server: LocalServer) -> boto3.Session:
    """Return a session that takes nothing from the user's AWS settings, and signs with the local cloud's secret."""
    nothing = {"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}
    return boto3.Session(
        "local", server.secret, botocore_session=_quick(botocore.session.Session(session_vars=nothing))
    )


def _aws_session(profile: str | None) -> boto3.Session:
    try:
        return boto3.Session(botocore_session=_quick(botocore.session.Session(profile=profile)))
    except ProfileNotFound as problem:
        where = "lab.toml: profile" if profile else "AWS_PROFILE"
        raise LabError(f"{where}: {problem} (see `aws configure list-profiles`)") from problem


def _quick(session: botocore.session.Session) -> botocore.session.Session:
    """Let a session read what set-up left of botocore's data; boto3 adds its own to that."""
    carry_regions(session)
    users = session.get_config_variable("data_path")
    session.register_component("data_loader", CutLoader(users.split(os.pathsep) if users else ()))
    return session
