"""Client tokens: a repeated request gets the same response, and no second instance.

https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
"""

from __future__ import annotations

from dataclasses import dataclass, field

from local_cloud.request import Call
from local_cloud.responses import Answer, Problem

ACTIONS = ("RunInstances", "CreateVolume", "CreateFleet")
LONGEST = 64


@dataclass
class ClientTokens:
    """The used tokens, by region and action. A rejected call leaves its token unused."""

    _used: dict[tuple[str, str, str], tuple[dict[str, str], Answer]] = field(default_factory=dict)

    def was_used(self, call: Call) -> bool:
        """Say whether the call's token has a response already: what it names is then not looked up."""
        return (call.region, call.action, call.params.get("ClientToken", "")) in self._used

    def cached_response(self, call: Call, asked: dict[str, str]) -> Answer | None:
        """Return the response of this token. Raises Problem where it was used with other parameters."""
        token = call.params.get("ClientToken")
        if call.action not in ACTIONS or not token:
            return None
        if len(token) > LONGEST or not token.isascii():
            raise Problem(
                "InvalidParameterValue", "Client token is too long. The maximum length is 64 ASCII characters."
            )
        before = self._used.get((call.region, call.action, token))
        if before is None:
            return None
        if before[0] != asked:
            raise Problem(
                "IdempotentParameterMismatch",
                "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
            )
        return before[1]

    def remember(self, call: Call, asked: dict[str, str], answer: Answer) -> None:
        if call.action in ACTIONS and (token := call.params.get("ClientToken")):
            self._used[call.region, call.action, token] = (asked, answer)
