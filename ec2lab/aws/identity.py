"""The caller's identity: the account of an access key, cached, and the clock skew between AWS and this computer.

A key never moves to another account, and renewed temporary credentials have another key. Only keys in AWS's own form
are cached, each with its endpoints: an emulator may accept any key and return anything.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from botocore.utils import JSONFileCache, SSOTokenLoader

from ec2lab import clock
from ec2lab.aws.account import Account
from ec2lab.aws.credentials import UNREACHED, CredentialsProblem
from ec2lab.aws.error_codes import EVERYWHERE
from ec2lab.aws.errors import in_words
from ec2lab.aws.region_queries import NoResponse, in_time
from ec2lab.disk_cache import read, write
from ec2lab.errors import UserError

if TYPE_CHECKING:
    import boto3

    from ec2lab.aws.cloud import Cloud

ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class Identity:
    arn: str = ""
    account: str = ""
    region: str = ""  # the region that was called
    skew: float | None = None  # seconds by which this computer's clock is ahead of AWS's; None without a response
    problem: str = ""  # why AWS did not return the identity; empty if it did
    code: str = ""  # AWS's error code for that, if AWS responded
    remedy: str = ""  # what fixes it, if known
    unreached: bool = False  # whether there was no response, or no complete one

    @property
    def may_be_known_elsewhere(self) -> bool:
        """Whether another region may return it: wrong keys and clocks are wrong everywhere."""
        return self.unreached or (self.code != "" and self.code not in EVERYWHERE)

    @property
    def whose(self) -> Account:
        """The account, with the partition of the ARN. Raises UserError if AWS did not return it."""
        if self.problem:
            known = f"{self.problem}; {self.remedy}" if self.remedy else self.problem
            raise UserError(known if self.remedy else f"the account of these credentials is unknown: {known}")
        return Account(self.arn.split(":")[1], self.account)

    @property
    def name(self) -> str:
        """The caller's name in CloudTrail: a user's name, or that of a role's session.

        https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
        """
        return re.split(r"[/:]", self.arn)[-1]

    @property
    def is_root(self) -> bool:
        """Whether it is the account's root user.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
        """
        return self.arn.endswith(":root")

    @property
    def role(self) -> str | None:
        found = re.search(r":assumed-role/([^/]+)/", self.arn)
        return found[1] if found else None


def get_identity(cloud: Cloud, regions: Sequence[str]) -> Identity:
    """Return the identity from the first region that knows it; a failure is part of the result."""
    asked = None
    for region in regions:
        found = _asked(cloud, region)
        asked = asked or found
        if not found.may_be_known_elsewhere:
            return found
    return asked or Identity()


def without_credentials(problem: UserError) -> Identity:
    """Return the identity if no call can be made."""
    if isinstance(problem, CredentialsProblem):
        return Identity(problem=problem.what, remedy=problem.remedy)
    return Identity(problem=str(problem), unreached=isinstance(problem.__cause__, (*UNREACHED, ResponseParserError)))


def _asked(cloud: Cloud, region: str) -> Identity:
    before = clock.now().timestamp()
    try:
        cloud.expect_credentials()
        with in_words():
            answer = in_time(cloud.client("sts", region, attempts=ATTEMPTS).get_caller_identity, cloud.region_timeout)
    except NoResponse as silent:
        return Identity(region=region, problem=f"GetCallerIdentity in {region}: {silent}", unreached=True)
    except UserError as problem:
        cause = problem.__cause__
        if isinstance(cause, ClientError) and not isinstance(problem, CredentialsProblem):
            code = cause.response["Error"].get("Code", "")
            return Identity(region=region, skew=_skew(cause.response, before), problem=str(problem), code=code)
        return replace(without_credentials(problem), region=region)
    return Identity(answer["Arn"], answer["Account"], region, _skew(answer, before))


def _skew(answer: Any, before: float) -> float | None:
    """Compare a response's Date, which has no fractions, with the middle of the call."""
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if not date:
        return None
    return (before + clock.now().timestamp()) / 2 - (parsedate_to_datetime(date).timestamp() + 0.5)


SSO_CACHE = "~/.aws/sso/cache"  # where `aws sso login` stores its token, and botocore reads it
ENVIRONMENT_END = "AWS_CREDENTIAL_EXPIRATION"
"""Set by tools that pass credentials in the environment, and read by botocore."""


def end_of_credentials(session: boto3.Session) -> datetime | None:
    """Return when a session's credentials expire; None if they are renewed, never expire, or that is unknown.

    Those of a role are renewed as long as their source is valid: with IAM Identity Center, the token of `aws sso
    login`, unless that is renewed too.
    """
    credentials = session.get_credentials()
    method = credentials.method if credentials else ""
    if method == "env":
        return _moment(os.environ.get(ENVIRONMENT_END))
    config: Mapping[str, Any] = session._session.get_scoped_config()  # noqa: SLF001 - boto3 has no public way to it
    return _moment(_token(config).get("expiresAt")) if str(method).startswith("sso") else None


def _token(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the token of a profile's `aws sso login`; empty if there is none, or it is renewed."""
    named = config.get("sso_session")
    load = SSOTokenLoader(JSONFileCache(str(Path(SSO_CACHE).expanduser())))
    try:
        token: Mapping[str, Any] = load(config.get("sso_start_url", ""), session_name=named)
    except BotoCoreError:
        return {}
    return {} if token.get("refreshToken") else token


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else None


FILE = Path(".cache", "accounts.json")
ISSUED_BY_AWS = r"A[KS]IA[A-Z0-9]{12,124}"
"""Of users, and temporary ones (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html)."""
MOST = 100  # number of cached accounts; a daily login adds only a few


@dataclass(frozen=True)
class KnownAccounts:
    """What is cached about the credentials of one session."""

    path: Path
    key: str  # a digest of the access key and its endpoints; empty if nothing must be cached

    @classmethod
    def of(cls, session: boto3.Session, directory: Path) -> KnownAccounts:
        """Return what is cached for a session's credentials, if it has any."""
        credentials = session.get_credentials()
        key = credentials.get_frozen_credentials().access_key if credentials else ""
        if not re.fullmatch(ISSUED_BY_AWS, key or ""):
            return cls(directory / FILE, "")
        identity = json.dumps([key, _endpoints(session)], sort_keys=True)
        return cls(directory / FILE, hashlib.sha256(identity.encode()).hexdigest())

    def account(self) -> Account | None:
        """Return the cached account of the credentials."""
        found = self._all().get(self.key) if self.key else None
        return Account(*found) if found else None

    def remember(self, account: Account) -> None:
        """Cache the account. If that is not possible, it is looked up again next time."""
        if self.key:
            kept = list(self._all().items())[-MOST + 1 :]
            with suppress(OSError):
                write(self.path, {**dict(kept), self.key: [account.partition, account.id]})

    def _all(self) -> dict[str, list[str]]:
        found = read(self.path)
        return found if isinstance(found, dict) else {}


def _endpoints(session: boto3.Session) -> list[Any]:
    """Return all settings that may redirect calls to other endpoints than AWS."""
    scoped = session._session.get_scoped_config()  # noqa: SLF001 - boto3 has no public way to its botocore session
    of_the_profile = [scoped.get("endpoint_url"), scoped.get("services")]
    return [*of_the_profile, {key: value for key, value in os.environ.items() if key.startswith("AWS_ENDPOINT_URL")}]
