"""Whether dry runs are dry: an endpoint that ignores DryRun carries out what is only to be tried.

EC2 honours DryRun; an emulator, or a proxy that drops what it does not know, may not, and a launch that was only to be
tried then runs a real instance. So two dry runs come first that do no harm even if they are carried out.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

WOULD_WORK = "DryRunOperation"

HARMLESS: Mapping[str, Mapping[str, Any]] = {
    "DescribeRegions": {},
    "DeleteKeyPair": {"KeyName": "ec2-lab-no-such-key-pair"},
}
"""The first reads. The second is one of those that change something, which an endpoint may treat otherwise, and has
nothing to change: there is no key pair of that name, and EC2 answers with success to that
(https://github.com/boto/boto3/issues/865)."""


class DryRuns(Enum):
    """What an endpoint makes of dry runs."""

    DRY = "they are answered, and nothing is done"
    CARRIED_OUT = "they are carried out"
    UNKNOWN = "neither of the harmless ones was allowed"


def dry_runs(ec2: Any) -> DryRuns:
    """Ask an endpoint for the harmless ones, one after the other."""
    dry = False
    for operation, request in HARMLESS.items():
        code = code_of(ec2, operation, request)
        if code is None:
            return DryRuns.CARRIED_OUT
        dry = dry or code == WOULD_WORK
    return DryRuns.DRY if dry else DryRuns.UNKNOWN


def code_of(ec2: Any, operation: str, request: Mapping[str, Any]) -> str | None:
    """Return the error that a dry run ends with; None where it is carried out."""
    try:
        getattr(ec2, xform_name(operation))(**request, DryRun=True)
    except ClientError as answer:
        return str(answer.response["Error"].get("Code", ""))
    return None
