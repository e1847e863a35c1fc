"""Who AWS says asks, and how far its clock and this machine's are apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from scripts.core import clock
from scripts.core.aws.aws_errors import in_words
from scripts.core.aws.credentials import UNREACHED, CredentialsProblem
from scripts.core.aws.region_queries import NoResponse, in_time
from scripts.core.capacity.error_codes import EVERYWHERE
from scripts.core.errors import LabError
from scripts.core.registry.account import Account

if TYPE_CHECKING:
    from scripts.core.aws.cloud import Cloud

ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom this lab's calls are made as."""

    arn: str = ""
    account: str = ""
    region: str = ""
    """Where that was asked."""
    skew: float | None = None
    """Seconds by which this machine's clock is ahead of AWS's; None where AWS did not answer."""
    problem: str = ""
    """Why AWS does not know who asks; empty where it does."""
    code: str = ""
    """AWS's own word for that, where it was AWS that said no."""
    remedy: str = ""
    """What mends that, where it is known."""
    unreached: bool = False
    """Whether no answer came, or none that was whole."""

    @property
    def may_be_known_elsewhere(self) -> bool:
        """Whether another region may say who asks, where one did not: wrong keys and clocks are wrong everywhere."""
        return self.unreached or (self.code != "" and self.code not in EVERYWHERE)

    @property
    def whose(self) -> Account:
        """The account, with the partition that the ARN is of. Raises LabError where AWS did not tell."""
        if self.problem:
            known = f"{self.problem}; {self.remedy}" if self.remedy else self.problem
            raise LabError(known if self.remedy else f"which account these credentials are of is not known: {known}")
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


def introduced(cloud: Cloud, regions: Sequence[str]) -> Caller:
    """Ask AWS who asks, in the first of some regions that knows; what goes wrong is part of the answer."""
    asked = None
    for region in regions:
        found = _asked(cloud, region)
        asked = asked or found
        if not found.may_be_known_elsewhere:
            return found
    return asked or Caller()


def without_credentials(problem: LabError) -> Caller:
    """Return whom calls are made as where none can be made."""
    if isinstance(problem, CredentialsProblem):
        return Caller(problem=problem.what, remedy=problem.remedy)
    return Caller(problem=str(problem), unreached=isinstance(problem.__cause__, (*UNREACHED, ResponseParserError)))


def _asked(cloud: Cloud, region: str) -> Caller:
    before = clock.now().timestamp()
    try:
        cloud.expect_credentials()
        with in_words():
            answer = in_time(cloud.client("sts", region, attempts=ATTEMPTS).get_caller_identity, cloud.region_timeout)
    except NoResponse as silent:
        return Caller(region=region, problem=f"GetCallerIdentity in {region}: {silent}", unreached=True)
    except LabError as problem:
        cause = problem.__cause__
        if isinstance(cause, ClientError) and not isinstance(problem, CredentialsProblem):
            code = cause.response["Error"].get("Code", "")
            return Caller(region=region, skew=_skew(cause.response, before), problem=str(problem), code=code)
        return replace(without_credentials(problem), region=region)
    return Caller(answer["Arn"], answer["Account"], region, _skew(answer, before))


def _skew(answer: Any, before: float) -> float | None:
    """Compare the Date of an answer, whose seconds have no fractions, with the middle of the time that it took."""
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if not date:
        return None
    return (before + clock.now().timestamp()) / 2 - (parsedate_to_datetime(date).timestamp() + 0.5)
