"""Who AWS says asks, and how far its clock and this machine's are apart."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError  # noqa: A004

from scripts.core.aws_errors import in_words
from scripts.core.errors import LabError
from scripts.core.session import Session

ATTEMPTS = 2
UNREACHED = (ConnectionError, HTTPClientError)
"""botocore's errors of a network that leads nowhere."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom this lab's calls are made as."""

    arn: str = ""
    account: str = ""
    skew: float | None = None
    """Seconds by which this machine's clock is ahead of AWS's; None where AWS did not answer."""
    problem: str = ""
    """Why AWS does not know who asks; empty where it does."""
    unreached: bool = False
    """Whether no answer came at all."""

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


def introduced(session: Session) -> Caller:
    """Ask AWS who asks; what goes wrong is part of the answer."""
    before = time.time()
    try:
        with in_words():
            sts = session.cloud.client("sts", session.lab.regions[0], attempts=ATTEMPTS)
            answer = sts.get_caller_identity()
    except LabError as problem:
        if isinstance(problem.__cause__, ClientError):
            return Caller(skew=_skew(problem.__cause__.response, before), problem=str(problem))
        return Caller(problem=str(problem), unreached=isinstance(problem.__cause__, UNREACHED))
    return Caller(answer["Arn"], answer["Account"], _skew(answer, before))


def _skew(answer: Any, before: float) -> float | None:
    """Compare the Date of an answer, whose seconds have no fractions, with the middle of the time that it took."""
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if not date:
        return None
    return (before + time.time()) / 2 - (parsedate_to_datetime(date).timestamp() + 0.5)
