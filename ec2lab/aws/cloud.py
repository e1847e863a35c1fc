"""Clients for AWS or for the local cloud. Nothing outside this file knows which."""

from __future__ import annotations

import ipaddress
import threading
import urllib.request
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ec2lab.aws.account import LOCAL, Account
from ec2lab.aws.clients import Attach, Clients
from ec2lab.aws.credentials import expect_credentials
from ec2lab.aws.errors import in_words
from ec2lab.aws.identity import KnownAccounts, end_of_credentials, get_identity
from ec2lab.aws.local_server import LOCAL_DIRECTORY, account_of
from ec2lab.config.models import Lab
from ec2lab.errors import UserError

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

CONSISTENCY_SECONDS, LOCAL_CONSISTENCY_SECONDS = 60.0, 2.0
"""AWS gives no bound for its eventual consistency, and recommends retries for minutes with backoff; in practice it
takes seconds (https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html)."""

BOOT_SECONDS = 900.0  # a GPU instance responds after one to five minutes; installing packages takes longer

ADDRESS_SERVICE = "https://checkip.amazonaws.com"
"""AWS's own service that returns the caller's address, one line of text."""


class Cloud:
    """A lab's access to AWS. Clients are created on first use and cached. Thread-safe."""

    def __init__(self, lab: Lab, directory: Path, clients: Clients, record: Attach) -> None:
        self._clients, self._record = clients, record
        self._url, self._session = clients.url, clients.session
        self._regions = lab.regions
        self.home = lab.regions[0]
        self._configured_boot = lab.ssh.boot_timeout
        self._directory = directory
        self._account: Account | None = None
        self._no_account: UserError | None = None
        self.region_timeout = lab.region_timeout.total_seconds()  # seconds that a region may take to respond
        self._asking = threading.Lock()
        self._made: dict[tuple[str, str, int], Any] = {}
        self._lock = threading.Lock()

    @property
    def account(self) -> Account:
        """The account of the calls. Raises UserError if AWS does not return it."""
        with self._asking:
            if self._no_account:
                raise self._no_account
            if self._account is None:
                with in_words():
                    self._account = self._found_out()
            return self._account

    def _found_out(self) -> Account:
        if self._url:
            return Account(LOCAL, account_of(self._directory / LOCAL_DIRECTORY))
        try:
            self.expect_credentials()
            known = KnownAccounts.of(self._session, self._directory)
            if found := known.account():
                return found
            found = get_identity(self, self._regions).whose
        except UserError as problem:
            self._no_account = problem
            raise
        known.remember(found)
        return found

    @property
    def consistency_seconds(self) -> float:
        """For how long a new resource may be missing from descriptions."""
        return LOCAL_CONSISTENCY_SECONDS if self._url else CONSISTENCY_SECONDS

    @property
    def boot_timeout(self) -> float:
        """Seconds that a new instance may take to complete its set-up."""
        default = 0.0 if self._url else BOOT_SECONDS
        return default if self._configured_boot is None else self._configured_boot.total_seconds()

    @property
    def instances_boot(self) -> bool:
        """Whether instances boot: those of the local cloud do not, so nobody can log in."""
        return not self._url or bool(self._configured_boot)

    @property
    def banner(self) -> str:
        """One line about where calls go; empty on AWS."""
        return f"local cloud on {self._url}: nothing here is real or billed" if self._url else ""

    def ec2(self, region: str) -> EC2Client:
        """Return the EC2 client of a region; botocore retries throttled calls and lost responses."""
        client: EC2Client = self.client("ec2", region)
        return client

    def ec2_no_retry(self, region: str) -> EC2Client:
        """Return an EC2 client that never retries, for calls that may fail for lack of capacity.

        Insufficient capacity is an HTTP 500, which botocore would retry against the same empty pool, up to four times
        with backoff, before the caller sees it.
        """
        client: EC2Client = self.client("ec2", region, attempts=1)
        return client

    @property
    def iam(self) -> Any:
        """The IAM client, the same in all regions of a partition (aws, aws-us-gov, aws-cn)."""
        return self.client("iam", self.home)

    @property
    def partition(self) -> str:
        return str(self._session.get_partition_for_region(self.home))

    def client(self, service: str, region: str, *, attempts: int = 5) -> Any:
        """Return a service's client in a region that sends each request up to `attempts` times."""
        with self._lock:
            key = (service, region, attempts)
            if key not in self._made:
                made = self._clients.make(service, region, attempts=attempts, record=self._record)
                self._made[key] = made
            return self._made[key]

    def expect_credentials(self) -> None:
        """Raise UserError if there are no credentials for a call."""
        if not self._url:
            expect_credentials(self._session)

    def credentials_expiry(self) -> datetime | None:
        """Return when the credentials expire, if they are not renewed automatically and that is known."""
        return None if self._url else end_of_credentials(self._session)

    def caller_address(self) -> str:
        """Return this computer's public address as a network: "203.0.113.7/32". Raises UserError."""
        if self._url:
            return "127.0.0.1/32"
        try:
            with urllib.request.urlopen(ADDRESS_SERVICE, timeout=10) as answer:
                return f"{ipaddress.IPv4Address(answer.read(64).decode('ascii').strip())}/32"
        except (OSError, HTTPException, ValueError) as problem:  # a hotel's login page is not an address either
            raise UserError(
                f"lab.toml: network.ssh_allowed_cidrs: {ADDRESS_SERVICE} did not return this computer's address "
                f"({problem}); "
                'set the networks that ssh may come from: ssh_allowed_cidrs = ["203.0.113.0/24"]'
            ) from problem
