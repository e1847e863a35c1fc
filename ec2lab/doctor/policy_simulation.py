"""The answers of IAM's policy simulator about the policies of docs/, where it may be used."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ec2lab.aws.errors import AWS_ERRORS
from ec2lab.aws.tags import REGISTRY
from ec2lab.doctor.context import DoctorContext
from ec2lab.errors import UserError

POLICY = Path(__file__).parents[2] / "docs" / "iam-policy.json"
DATA_POLICY = POLICY.with_name("iam-policy-data.json")
TABLE, BUCKET = "lab", "lab-runs"  # the table and the bucket in the policy; a lab's own may have other names
MADE_UP = "0123456789abcdef0"
LISTS = ("aws:TagKeys",)  # condition keys with several values at once
ITSELF = "${*}"  # a literal star: the name of what is still to be created


@dataclass(frozen=True, slots=True)
class Statement:
    """Actions on resources under conditions."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[tuple[str, tuple[str, ...]], ...]
    """Condition key -> values that meet it; keys that must be absent are missing."""

    def question(self, place: Place) -> dict[str, Any]:
        """Return the parameters of iam:SimulatePrincipalPolicy for the statement, without the principal.

        https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
        """
        arns = [place.filled(resource) for resource in self.resources if resource != "*"]
        entries = [_entry(key, [place.value(key, value) for value in values]) for key, values in self.conditions]
        return {
            "ActionNames": list(self.actions), "ContextEntries": entries, **({"ResourceArns": arns} if arns else {})
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Values for the policy's wildcards."""

    account: str
    region: str
    table: str = TABLE
    bucket: str = BUCKET
    registry: str = MADE_UP
    partition: str = "aws"

    def value(self, key: str, pattern: str) -> str:
        """Return a value that matches a condition's pattern."""
        return pattern.replace("*", self.registry if key.endswith(f"/{REGISTRY}") else self.region)

    def filled(self, pattern: str) -> str:
        """Return an ARN in this account and region that matches a pattern of the policy."""
        own = pattern.replace(f"table/{TABLE}", f"table/{self.table}").replace(BUCKET, self.bucket)
        arn, partition, service, region, account, name = own.split(":", 5)
        partition, region = partition.replace("*", self.partition), region.replace("*", self.region)
        account = account.replace("*", self.account)
        name = ITSELF.join(part.replace("*", MADE_UP) for part in name.split(ITSELF)).replace(ITSELF, "*")
        return f"{arn}:{partition}:{service}:{region}:{account}:{name}"


def _entry(key: str, values: list[str]) -> dict[str, Any]:
    """Return a context key of a simulated request: one of the values that meet the condition, or all of a list."""
    several = key in LISTS
    kind = "stringList" if several else "boolean" if values == ["true"] else "string"
    return {"ContextKeyName": key, "ContextKeyType": kind, "ContextKeyValues": values if several else values[:1]}


@cache
def statements() -> list[Statement]:
    """Return the statements that everybody needs, and those that only the policy for data adds."""
    return [*_read(POLICY), *(one for one in _read(DATA_POLICY) if not set(one.actions) & _actions(POLICY))]


@cache
def for_data() -> frozenset[str]:
    """Return the actions needed only to build and copy datasets."""
    return _actions(DATA_POLICY) - _actions(POLICY)


def actions(service: str) -> list[str]:
    return sorted(action for action in _actions(POLICY) | for_data() if action.startswith(f"{service}:"))


def _read(policy: Path) -> list[Statement]:
    return [_statement(one) for one in json.loads(policy.read_text(encoding="utf-8"))["Statement"]]


def _actions(policy: Path) -> frozenset[str]:
    return frozenset(action for statement in _read(policy) for action in statement.actions)


def _statement(written: Mapping[str, Any]) -> Statement:
    conditions: dict[str, tuple[str, ...]] = {}
    for operator, keys in written.get("Condition", {}).items():
        for key, values in keys.items():
            if operator != "Null":
                conditions[key] = _several(values)
            elif values == "false":  # the key must be present, whatever its value
                conditions[key] = ("doctor",)
    return Statement(_several(written["Action"]), _several(written["Resource"]), tuple(conditions.items()))


def _several(written: Any) -> tuple[str, ...]:
    return (written,) if isinstance(written, str) else tuple(written)


ALLOWED = "allowed"

Verdicts = Mapping[str, bool | None]  # action -> whether it is allowed; None where the simulator does not say


def principal_arn(lab: DoctorContext) -> str:
    """Return the ARN of the user or role whose policies count: an assumed role's own, not its session's."""
    lab.require_aws()
    caller = lab.caller()
    if caller.role is None:
        return caller.arn
    try:
        # A role's path is part of its ARN, and the assumed role's ARN does not contain it.
        role = lab.opened.cloud.iam.get_role(RoleName=caller.role)["Role"]
        return str(role["Arn"])
    except AWS_ERRORS:
        return f"arn:{caller.whose.partition}:iam::{caller.account}:role/{caller.role}"


def simulated(lab: DoctorContext, statement: Statement) -> Verdicts:
    """Ask whether a statement's actions are allowed, on its resources and under its conditions."""
    who = lab.begin(principal_arn).result()
    if lab.caller().is_root:
        return dict.fromkeys(statement.actions, True)
    question = {**statement.question(place(lab)), "PolicySourceArn": who}
    verdicts: dict[str, bool | None] = dict.fromkeys(statement.actions)
    try:
        for action in statement.actions:
            verdicts[action] = _one(lab.opened.cloud.iam, action, question)
    except AWS_ERRORS:
        return verdicts  # not allowed, or not possible for such a caller
    return verdicts


def _one(iam: Any, action: str, question: Mapping[str, Any]) -> bool | None:
    """Ask about one action.

    IAM takes several only if all need the same information for their authorization
    (https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_testing-policies.html).
    """
    pages = iam.get_paginator("simulate_principal_policy").paginate(**{**question, "ActionNames": [action]})
    return _allowed(pages.search("EvaluationResults[]"), action)


def place(lab: DoctorContext) -> Place:
    """Return the values for the policy's wildcards and examples in a lab."""
    table = lab.table or TABLE
    bucket = next(iter(lab.artifact_buckets.values()), BUCKET)
    whose, registry = lab.caller().whose, lab.begin(registry_id).result()
    return Place(whose.id, lab.lab.regions[0], table, bucket, registry, whose.partition)


def registry_id(lab: DoctorContext) -> str:
    """Return the registry's id, which a policy may contain; any if it has none or cannot be read."""
    with suppress(UserError):
        registry = lab.opened.registry
        return next(iter(registry.ids() if registry.is_there() else ()), MADE_UP)
    return MADE_UP


def together(answers: Iterable[Future[Verdicts]]) -> dict[str, bool | None]:
    """Combine statements: an action is allowed where all that mention it allow it."""
    said: dict[str, list[bool | None]] = {}
    for answer in answers:
        for action, allowed in answer.result().items():
            said.setdefault(action, []).append(allowed)
    return {action: _all(verdicts) for action, verdicts in said.items()}


def _all(verdicts: list[bool | None]) -> bool | None:
    return False if False in verdicts else None if None in verdicts else True


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
