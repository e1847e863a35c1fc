"""What the lab's things in IAM are called, and how one is looked for by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

PATH = "/ec2-lab/"
"""Below it are all roles and profiles of all labs of an account: what policies speak of, and what is listed."""
LONGEST = 64
"""Characters that a role's name may have (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html)."""


def log_writer(lab: str) -> str:
    """Return the name of the role by which machines deliver logs."""
    return f"ec2-lab-{lab}-log-writer"


def log_profile(lab: str) -> str:
    """Return the name of the instance profile that experiments name for that."""
    return f"ec2-lab-{lab}-logs"


def described(ask: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return what IAM answers of one thing; None where there is no such thing."""
    try:
        return ask()
    except ClientError as refusal:
        if refusal.response["Error"]["Code"] != "NoSuchEntity":
            raise
        return None
