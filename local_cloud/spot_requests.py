"""Spot requests of instances that RunInstances created, which moto does not store.

A request follows its instance: fulfilled while that is live, and marked for two minutes before AWS takes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from local_cloud import clock
from local_cloud.lifecycle import ENDED, instances_in
from local_cloud.request import Call
from local_cloud.responses import Answer, Problem, xml_answer

MESSAGES = {  # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html
    "fulfilled": "Your spot request is fulfilled.",
    "marked-for-termination": "The Spot Instance is marked for termination.",
    "instance-terminated-no-capacity": "Your Spot Instance was terminated because there is no Spot capacity available.",
    "instance-terminated-by-user": "Spot Instance was terminated by the user.",
}
AWS_TERMINATED = "Server."


@dataclass
class SpotRequests:
    """The marked instances; everything else follows from the instances themselves."""

    marked: set[str] = field(default_factory=set)

    def describe(self, call: Call) -> Answer:
        instances = [instance for instance in instances_in(call.region) if instance.lifecycle == "spot"]
        for condition in call.numbered("Filter"):
            if condition["Name"] != "instance-id":
                raise Problem("InvalidParameterValue", f"The filter '{condition['Name']}' is not in the local cloud")
            wanted = {value for key, value in condition.items() if key.startswith("Value.")}
            instances = [instance for instance in instances if instance.id in wanted]
        items = "".join(self._item(instance) for instance in instances)
        return xml_answer(call.action, f"<spotInstanceRequestSet>{items}</spotInstanceRequestSet>")

    def _item(self, instance: Any) -> str:
        code = self._status(instance)
        state = "active" if code in ("fulfilled", "marked-for-termination") else "closed"
        at = clock.now().isoformat(timespec="seconds").replace("+00:00", "Z")
        return (
            f"<item><spotInstanceRequestId>sir-{instance.id[2:10]}</spotInstanceRequestId>"
            f"<instanceId>{instance.id}</instanceId><type>one-time</type><state>{state}</state>"
            f"<status><code>{code}</code><message>{MESSAGES[code]}</message><updateTime>{at}</updateTime></status></item>"
        )

    def _status(self, instance: Any) -> str:
        if instance.state not in ENDED:
            return "marked-for-termination" if instance.id in self.marked else "fulfilled"
        by_aws = str(instance.state_reason.code).startswith(AWS_TERMINATED)
        return "instance-terminated-no-capacity" if by_aws else "instance-terminated-by-user"
