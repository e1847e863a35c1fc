"""Which account an access key belongs to. A key never moves to another, so that AWS is asked once for each.

Asked for again, temporary credentials have another key. Only keys in AWS's own form are remembered, and each together
with where its calls go: an emulator may take any key, and say anything of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ec2lab.aws.account import Account
from ec2lab.disk_cache import read, write

if TYPE_CHECKING:
    import boto3

FILE = Path(".cache", "accounts.json")
ISSUED_BY_AWS = r"A[KS]IA[A-Z0-9]{12,124}"
"""Of users, and temporary ones (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html)."""
MOST = 100
"""How many are kept: a login a day makes a few."""


@dataclass(frozen=True)
class KnownAccounts:
    """What is known of the credentials of one session."""

    path: Path
    key: str
    """A digest that stands for the access key, and where its calls go; empty where nothing is to be remembered."""

    @classmethod
    def of(cls, session: boto3.Session, directory: Path) -> KnownAccounts:
        """Look at a session's credentials, if it has any."""
        credentials = session.get_credentials()
        key = credentials.get_frozen_credentials().access_key if credentials else ""
        if not re.fullmatch(ISSUED_BY_AWS, key or ""):
            return cls(directory / FILE, "")
        told = json.dumps([key, _endpoints(session)], sort_keys=True)
        return cls(directory / FILE, hashlib.sha256(told.encode()).hexdigest())

    def account(self) -> Account | None:
        """Return the account of the credentials, if it was asked for before."""
        found = self._all().get(self.key) if self.key else None
        return Account(*found) if found else None

    def remember(self, account: Account) -> None:
        """Keep what AWS said. Where nothing can be written, it is asked again the next time."""
        if self.key:
            kept = list(self._all().items())[-MOST + 1 :]
            with suppress(OSError):
                write(self.path, {**dict(kept), self.key: [account.partition, account.id]})

    def _all(self) -> dict[str, list[str]]:
        found = read(self.path)
        return found if isinstance(found, dict) else {}


def _endpoints(session: boto3.Session) -> list[Any]:
    """Return all settings by which calls may go elsewhere than to AWS."""
    scoped = session._session.get_scoped_config()  # noqa: SLF001 - boto3 has no public way to its botocore session
    of_the_profile = [scoped.get("endpoint_url"), scoped.get("services")]
    return [*of_the_profile, {key: value for key, value in os.environ.items() if key.startswith("AWS_ENDPOINT_URL")}]
