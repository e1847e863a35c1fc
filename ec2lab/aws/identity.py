"""Who AWS says asks: the account of an access key, asked for once, and how far its clock and this computer's are apart.

A key never moves to another account. Asked for again, temporary credentials have another key. Only keys in AWS's own
form are remembered, and each together with where its calls go: an emulator may take any key, and say anything of it.
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
    """Whom this lab's calls are made as."""

    arn: str = ""
    account: str = ""
    region: str = ""
    """Where that was asked."""
    skew: float | None = None
    """Seconds by which this computer's clock is ahead of AWS's; None where AWS did not answer."""
    problem: str = ""
    """Why AWS does not know who asks; empty where it does."""
    code: str = ""
    """AWS's own word for that, where it was AWS that said no."""
    remedy: str = ""
    """What fixes that, where it is known."""
    unreached: bool = False
    """Whether no answer came, or none that was whole."""

    @property
    def may_be_known_elsewhere(self) -> bool:
        """Whether another region may say who asks, where one did not: wrong keys and clocks are wrong everywhere."""
        return self.unreached or (self.code != "" and self.code not in EVERYWHERE)

    @property
    def whose(self) -> Account:
        """The account, with the partition that the ARN is of. Raises UserError where AWS did not tell."""
        if self.problem:
            known = f"{self.problem}; {self.remedy}" if self.remedy else self.problem
            raise UserError(known if self.remedy else f"which account these credentials are of is not known: {known}")
        return Account(self.arn.split(":")[1], self.account)

    @property
    def name(self) -> str:
        """What CloudTrail calls who asks: a user's name, or that of a role's session
        (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html).
        """  # noqa: D205
        return re.split(r"[/:]", self.arn)[-1]

    @property
    def is_root(self) -> bool:
        """Whether it is the account's root user
        (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html).
        """  # noqa: D205
        return self.arn.endswith(":root")

    @property
    def role(self) -> str | None:
        """The name of the role that is assumed, if one is."""
        found = re.search(r":assumed-role/([^/]+)/", self.arn)
        return found[1] if found else None


def get_identity(cloud: Cloud, regions: Sequence[str]) -> Identity:
    """Ask AWS who asks, in the first of some regions that knows; what goes wrong is part of the answer."""
    asked = None
    for region in regions:
        found = _asked(cloud, region)
        asked = asked or found
        if not found.may_be_known_elsewhere:
            return found
    return asked or Identity()


def without_credentials(problem: UserError) -> Identity:
    """Return whom calls are made as where none can be made."""
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
    """Compare the Date of an answer, whose seconds have no fractions, with the middle of the time that it took."""
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if not date:
        return None
    return (before + clock.now().timestamp()) / 2 - (parsedate_to_datetime(date).timestamp() + 0.5)


SSO_CACHE = "~/.aws/sso/cache"
"""Where `aws sso login` leaves its token, and botocore looks for it."""
ENVIRONMENT_END = "AWS_CREDENTIAL_EXPIRATION"
"""Set by those who hand credentials over in the environment, and heeded by botocore."""


def end_of_credentials(session: boto3.Session) -> datetime | None:
    """Return when a session's credentials end; None where they renew themselves, never end, or do not say.

    Those of a role are renewed for as long as what it is assumed by is valid: with IAM Identity Center that is the
    token of `aws sso login`, unless that too is renewed.
    """
    credentials = session.get_credentials()
    method = credentials.method if credentials else ""
    if method == "env":
        return _moment(os.environ.get(ENVIRONMENT_END))
    config: Mapping[str, Any] = session._session.get_scoped_config()  # noqa: SLF001 - boto3 has no public way to it
    return _moment(_token(config).get("expiresAt")) if str(method).startswith("sso") else None


def _token(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the token of `aws sso login` of a profile; nothing where there is none, or where it is renewed."""
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
