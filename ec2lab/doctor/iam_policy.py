"""The policies of docs/ as questions: each of their statements is what IAM's policy simulator can be asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ec2lab.aws.tags import REGISTRY

POLICY = Path(__file__).parents[2] / "docs" / "iam-policy.json"
DATA_POLICY = POLICY.with_name("iam-policy-data.json")
TABLE, BUCKET = "lab", "lab-runs"
"""The table and the bucket that the policy speaks of by name; a lab's own may be called otherwise."""
MADE_UP = "0123456789abcdef0"
LISTS = ("aws:TagKeys",)
"""Condition keys that have several values at once."""
ITSELF = "${*}"
"""A star that is no wildcard: the name of what is still to be made."""


@dataclass(frozen=True, slots=True)
class Statement:
    """Some actions, on some resources, under some conditions."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[tuple[str, tuple[str, ...]], ...]
    """Condition key -> values of a request that meets it; a key that must be absent is not there."""

    def question(self, place: Place) -> dict[str, Any]:
        """Return what iam:SimulatePrincipalPolicy is asked, but for whom: a request that the statement speaks of.

        https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
        """
        arns = [place.filled(resource) for resource in self.resources if resource != "*"]
        entries = [_entry(key, [place.value(key, value) for value in values]) for key, values in self.conditions]
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
    registry: str = MADE_UP
    """The registry's id."""
    partition: str = "aws"

    def value(self, key: str, pattern: str) -> str:
        """Return a value of a condition key that a pattern of the policy matches."""
        return pattern.replace("*", self.registry if key.endswith(f"/{REGISTRY}") else self.region)

    def filled(self, pattern: str) -> str:
        """Return an ARN that a pattern of the policy matches, in this account and region."""
        own = pattern.replace(f"table/{TABLE}", f"table/{self.table}").replace(BUCKET, self.bucket)
        arn, partition, service, region, account, name = own.split(":", 5)
        partition, region = partition.replace("*", self.partition), region.replace("*", self.region)
        account = account.replace("*", self.account)
        name = ITSELF.join(part.replace("*", MADE_UP) for part in name.split(ITSELF)).replace(ITSELF, "*")
        return f"{arn}:{partition}:{service}:{region}:{account}:{name}"


def _entry(key: str, values: list[str]) -> dict[str, Any]:
    """Return a key of a simulated request's context: one of the values that meet the condition, or all of a list."""
    several = key in LISTS
    kind = "stringList" if several else "boolean" if values == ["true"] else "string"
    return {"ContextKeyName": key, "ContextKeyType": kind, "ContextKeyValues": values if several else values[:1]}


@cache
def statements() -> list[Statement]:
    """Return what everybody needs, and of the policy for data what is not only more of that."""
    return [*_read(POLICY), *(one for one in _read(DATA_POLICY) if not set(one.actions) & _actions(POLICY))]


@cache
def for_data() -> frozenset[str]:
    """Return the actions that only those need who make and copy datasets."""
    return _actions(DATA_POLICY) - _actions(POLICY)


def actions(service: str) -> list[str]:
    """Return the actions of a service that the policies allow."""
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
            elif values == "false":  # the key must be there, whatever its value
                conditions[key] = ("doctor",)
    return Statement(_several(written["Action"]), _several(written["Resource"]), tuple(conditions.items()))


def _several(written: Any) -> tuple[str, ...]:
    return (written,) if isinstance(written, str) else tuple(written)
