"""The policies that docs/ offers, and what a request is told by them."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tests.iam.calls import Call, World, requests_of
from tests.iam.evaluation import decide
from tests.lab_directory import REPOSITORY

DAILY, DATA, SETUP = (
    json.loads((REPOSITORY / "docs" / f"iam-policy{of}.json").read_text())["Statement"]
    for of in ("", "-data", "-setup")
)
ALL = [*DAILY, *DATA, *SETUP]
LARGEST = 6144
"""Characters of a managed policy, white space apart
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html)."""
SPARE = 150
"""Characters that each policy leaves for a call to come."""

Statements = Iterable[Mapping[str, Any]]


def refusals(statements: Statements, calls: Iterable[Call], world: World) -> dict[str, str]:
    """Return what the policies do not allow of calls: the action and the resource -> why."""
    given = list(statements)
    found = {}
    for call in calls:
        for request in requests_of(call, world):
            decision = decide(given, request)
            if not decision.allowed:
                found[f"{request.action} on {request.resource}"] = decision.why
    return found


def of_registry(statements: Statements, registry: str) -> list[Mapping[str, Any]]:
    """Return policies that are about one registry's resources alone, as docs/going-to-aws.md tells how to."""
    written = json.dumps(list(statements))
    for tag in ("RequestTag", "ResourceTag"):
        written = written.replace(f'"aws:{tag}/lab:registry": "*"', f'"aws:{tag}/lab:registry": "{registry}"')
    found: list[Mapping[str, Any]] = json.loads(written)
    return found
