"""docs/iam-policy.json as questions: each of its statements is what IAM's policy simulator can be asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POLICY = Path(__file__).parents[3] / "docs" / "iam-policy.json"
TABLE, BUCKET = "lab", "lab-runs"
"""The table and the bucket that the policy speaks of by name; a lab's own may be called otherwise."""
MADE_UP = "0123456789abcdef0"
LISTS = ("aws:TagKeys",)
"""Condition keys that have several values at once."""


@dataclass(frozen=True, slots=True)
class Statement:
    """Some actions, on some resources, under some conditions."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[tuple[str, tuple[str, ...]], ...]
    """Condition key -> values of a request that meets it."""

    def question(self, place: Place) -> dict[str, Any]:
        """Return what iam:SimulatePrincipalPolicy is asked, but for whom: a request that the statement speaks of.

        https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
        """
        arns = [place.filled(resource) for resource in self.resources if resource != "*"]
        entries = [_entry(key, [value.replace("*", place.region) for value in v]) for key, v in self.conditions]
        return {
            "ActionNames": list(self.actions), "ContextEntries": entries, **({"ResourceArns": arns} if arns else {})
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Whose resources are asked about: the policy's wildcards, filled in."""

    account: str
    region: str
    table: str = TABLE
    bucket: str = BUCKET

    def filled(self, pattern: str) -> str:
        """Return an ARN that a pattern of the policy matches, in this account and region."""
        own = pattern.replace(f"table/{TABLE}", f"table/{self.table}").replace(BUCKET, self.bucket)
        arn, partition, service, region, account, name = own.split(":", 5)
        region, account = region.replace("*", self.region), account.replace("*", self.account)
        return ":".join((arn, partition, service, region, account, name.replace("*", MADE_UP)))


def _entry(key: str, values: list[str]) -> dict[str, Any]:
    """Return a key of a simulated request's context: one of the values that meet the condition, or all of a list."""
    several = key in LISTS
    kind = "stringList" if several else "string"
    return {"ContextKeyName": key, "ContextKeyType": kind, "ContextKeyValues": values if several else values[:1]}


def statements(policy: Path = POLICY) -> list[Statement]:
    """Return the policy's statements."""
    return [_statement(one) for one in json.loads(policy.read_text(encoding="utf-8"))["Statement"]]


def actions(service: str, policy: Path = POLICY) -> list[str]:
    """Return the actions of a service that the policy allows."""
    named = {action for statement in statements(policy) for action in statement.actions}
    return sorted(action for action in named if action.startswith(f"{service}:"))


def _statement(written: Mapping[str, Any]) -> Statement:
    conditions: dict[str, tuple[str, ...]] = {}
    for operator, keys in written.get("Condition", {}).items():
        for key, values in keys.items():
            # `Null: false` is met by a request that has the key at all.
            conditions[key] = ("doctor",) if operator == "Null" else _several(values)
    return Statement(_several(written["Action"]), _several(written["Resource"]), tuple(conditions.items()))


def _several(written: Any) -> tuple[str, ...]:
    return (written,) if isinstance(written, str) else tuple(written)
