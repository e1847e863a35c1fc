"""What IAM's policy simulator says of the statements of the policies of docs/, where it may be asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from ec2lab.aws.errors import AWS_ERRORS
from ec2lab.doctor.context import DoctorContext
from ec2lab.doctor.iam_policy import BUCKET, MADE_UP, TABLE, Place, Statement
from ec2lab.errors import UserError

ALLOWED = "allowed"

Verdicts = Mapping[str, bool | None]
"""Action -> whether it is allowed; None where the simulator does not tell."""


def principal_arn(lab: DoctorContext) -> str:
    """Return the ARN of the user or role whose policies count: an assumed role's own, not that of its session."""
    lab.require_aws()
    caller = lab.caller()
    if caller.role is None:
        return caller.arn
    try:
        # The path of a role is part of its ARN, and an assumed role's does not tell it.
        role = lab.opened.cloud.iam.get_role(RoleName=caller.role)["Role"]
        return str(role["Arn"])
    except AWS_ERRORS:
        return f"arn:{caller.whose.partition}:iam::{caller.account}:role/{caller.role}"


def simulated(lab: DoctorContext, statement: Statement) -> Verdicts:
    """Ask whether the actions of a statement are allowed, on resources and under conditions as it names them."""
    who = lab.begin(principal_arn).result()
    if lab.caller().is_root:
        return dict.fromkeys(statement.actions, True)
    question = {**statement.question(place(lab)), "PolicySourceArn": who}
    verdicts: dict[str, bool | None] = dict.fromkeys(statement.actions)
    try:
        for action in statement.actions:
            verdicts[action] = _one(lab.opened.cloud.iam, action, question)
    except AWS_ERRORS:
        return verdicts  # not allowed to ask either, or not for such a caller
    return verdicts


def _one(iam: Any, action: str, question: Mapping[str, Any]) -> bool | None:
    """Ask about one action: IAM takes several only where all need the same information for their authorization
    (https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_testing-policies.html).
    """  # noqa: D205
    pages = iam.get_paginator("simulate_principal_policy").paginate(**{**question, "ActionNames": [action]})
    return _allowed([result for page in pages for result in page["EvaluationResults"]], action)


def place(lab: DoctorContext) -> Place:
    """Return what the policy's wildcards and examples stand for in a lab."""
    buckets = [urlsplit(one.artifact_uri).netloc for one in lab.experiments.values() if one.artifact_uri]
    table = lab.table or TABLE
    bucket = buckets[0] if buckets else BUCKET
    whose, registry = lab.caller().whose, lab.begin(registry_id).result()
    return Place(whose.id, lab.lab.regions[0], table, bucket, registry, whose.partition)


def registry_id(lab: DoctorContext) -> str:
    """Return the registry's id, which a policy may name; any where it has none or can't be read."""
    with suppress(UserError):
        registry = lab.opened.registry
        return next(iter(registry.ids() if registry.is_there() else ()), MADE_UP)
    return MADE_UP


def together(answers: Iterable[Future[Verdicts]]) -> dict[str, bool | None]:
    """Return what several statements say: an action is allowed where all that speak of it say so."""
    said: dict[str, list[bool | None]] = {}
    for answer in answers:
        for action, allowed in answer.result().items():
            said.setdefault(action, []).append(allowed)
    return {action: _all(told) for action, told in said.items()}


def _all(told: list[bool | None]) -> bool | None:
    return False if False in told else None if None in told else True


def _allowed(results: Iterable[Mapping[str, Any]], action: str) -> bool | None:
    decisions = [
        decision
        for result in results
        if result["EvalActionName"] == action
        for decision in (
            result["EvalDecision"],
            *(one["EvalResourceDecision"] for one in result.get("ResourceSpecificResults", ())),
        )
    ]
    return all(decision == ALLOWED for decision in decisions) if decisions else None
