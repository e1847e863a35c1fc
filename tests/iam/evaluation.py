"""What IAM decides of a request, by identity-based policies alone.

Everything is denied that no statement allows; a statement that denies outweighs all that allow
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html). There are no session
policies, boundaries, organization policies or resource-based policies here: those only take away, or are not the lab's.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

STAR = "${*}"
"""A policy variable that is a star, and no wildcard
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html)."""
ALL, ANY, IF_EXISTS = "ForAllValues:", "ForAnyValue:", "IfExists"

Context = Mapping[str, Sequence[str]]
"""Condition key -> its values; a key that the request does not have is not in it."""


class PolicyError(Exception):
    """A policy says what IAM would not take, or what can never be met."""


@dataclass(frozen=True)
class Request:
    """An action on one resource, and all that is known of both."""

    action: str
    resource: str
    context: Context = field(default_factory=dict)
    can_have: Callable[[str], bool] = lambda _: True
    """Says whether AWS ever gives such a request a condition key."""


@dataclass(frozen=True)
class Decision:
    """Whether a request is allowed, and why it is so."""

    allowed: bool
    why: str


def decide(statements: Iterable[Mapping[str, Any]], request: Request) -> Decision:
    """Evaluate a request. Raises PolicyError where a statement that speaks of it is conditioned on what can't be."""
    verdicts = [(s, unmet(s.get("Condition", {}), request)) for s in statements if speaks_of(s, request)]
    met = [statement for statement, failed in verdicts if not failed]
    if denying := next((s for s in met if s["Effect"] == "Deny"), None):
        return Decision(False, f"denied by {denying.get('Sid')}")
    if allowing := next((s for s in met if s["Effect"] == "Allow"), None):
        return Decision(True, f"allowed by {allowing.get('Sid')}")
    failed = [f"{s.get('Sid')}: {'; '.join(f)}" for s, f in verdicts if s["Effect"] == "Allow"]
    return Decision(False, " | ".join(failed) or "no statement speaks of it")


def speaks_of(statement: Mapping[str, Any], request: Request) -> bool:
    """Say whether a statement's actions and resources are those of a request; conditions are another matter."""
    if unknown := statement.keys() - {"Sid", "Effect", "Action", "Resource", "Condition"}:
        raise PolicyError(f"{statement.get('Sid')}: {sorted(unknown)}: not evaluated here")
    acts = any(matches(one.lower(), request.action.lower()) for one in several(statement["Action"]))
    return acts and any(matches_arn(one, request.resource) for one in several(statement["Resource"]))


def unmet(conditions: Mapping[str, Mapping[str, Any]], request: Request) -> list[str]:
    """Return the conditions that a request does not meet: all must be, and of each one of its values."""
    return [
        f"{operator} {key} {wanted}, is {list(values_of(request, key)) or 'absent'}"
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
        if not holds(operator, several(wanted), values_of(request, key))
    ]


def values_of(request: Request, key: str) -> Sequence[str]:
    """Return the values of a condition key, whose case does not matter. Raises PolicyError."""
    if not request.can_have(key):
        raise PolicyError(f"{request.action} on {request.resource} never has {key}")
    return next((values for known, values in request.context.items() if known.lower() == key.lower()), ())


def holds(operator: str, wanted: Sequence[str], values: Sequence[str]) -> bool:
    """Evaluate one operator on one key. Raises PolicyError.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html and
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
    """
    name = operator.removeprefix(ALL).removeprefix(ANY)
    if name == "Null":
        return any((one.lower() == "true") == (not values) for one in wanted)
    base = name.removesuffix(IF_EXISTS)
    if base not in OPERATORS:
        raise PolicyError(f"{operator}: not evaluated here")
    compare, negated = OPERATORS[base]
    meets = [_meets(compare, negated, wanted, value) for value in values]
    if operator.startswith(ALL):
        return all(meets)
    if operator.startswith(ANY):
        return any(meets)
    if not values:
        return negated or name.endswith(IF_EXISTS)
    return all(meets)


def _meets(compare: Callable[[str, str], bool], negated: bool, wanted: Sequence[str], value: str) -> bool:
    return any(compare(one, value) for one in wanted) != negated


def matches(pattern: str, value: str) -> bool:
    """Compare with the wildcards * and ?; ${*} is a star itself."""
    parts = [re.escape(part).replace(r"\*", ".*").replace(r"\?", ".") for part in pattern.split(STAR)]
    return re.fullmatch(r"\*".join(parts), value, re.DOTALL) is not None


def matches_arn(pattern: str, arn: str) -> bool:
    """Compare a Resource with an ARN, which is * where an action knows no resources."""
    if pattern == "*":
        return True
    own, given = pattern.split(":", 5), arn.split(":", 5)
    return len(own) == len(given) and all(matches(*pair) for pair in zip(own, given, strict=True))


def several(written: Any) -> Sequence[str]:
    """Return what may stand alone as a list."""
    return [written] if isinstance(written, str) else list(written)


OPERATORS: Mapping[str, tuple[Callable[[str, str], bool], bool]] = {
    "StringEquals": (lambda one, value: one == value, False),
    "StringNotEquals": (lambda one, value: one == value, True),
    "StringEqualsIgnoreCase": (lambda one, value: one.lower() == value.lower(), False),
    "StringLike": (matches, False),
    "StringNotLike": (matches, True),
    "Bool": (lambda one, value: one.lower() == value.lower(), False),
    "ArnEquals": (matches_arn, False),
    "ArnLike": (matches_arn, False),
    "ArnNotLike": (matches_arn, True),
}
"""Operator -> how it compares, and whether it is met where that is not so; those are also met by an absent key."""
