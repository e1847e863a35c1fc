"""The state of an instance and its reason, in EC2's terms, parsed once from a description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Instance = Mapping[str, Any]  # an instance as EC2 describes it


class InstanceState(StrEnum):
    """As in https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceState.html."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    SHUTTING_DOWN = "shutting-down"
    TERMINATED = "terminated"


UP = (InstanceState.PENDING, InstanceState.RUNNING)
DOWN = (InstanceState.STOPPING, InstanceState.STOPPED)  # states from which it can be started again
OVER = (InstanceState.SHUTTING_DOWN, InstanceState.TERMINATED)


@dataclass(frozen=True, slots=True)
class StateReason:
    """Why an instance is in its state: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html."""

    code: str = ""
    message: str = ""

    @property
    def is_aws(self) -> bool:
        """Whether AWS, not a user, caused it: the code's prefix says so."""
        return self.code.startswith("Server.")


NO_REASON = StateReason()


def state_of(instance: Mapping[str, Any]) -> InstanceState:
    return InstanceState(instance["State"]["Name"])


def state_reason_of(instance: Mapping[str, Any]) -> StateReason:
    reason = instance.get("StateReason", {})
    return StateReason(str(reason.get("Code", "")), str(reason.get("Message", "")))


def state_text(state: str, reason: str) -> str:
    return f"{state} ({reason})" if reason else state
