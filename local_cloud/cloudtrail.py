"""CloudTrail's event history, which moto lacks: who created or changed a resource."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from typing import Any

from local_cloud import clock
from local_cloud.request import Call
from local_cloud.responses import Answer

IDS = re.compile(rb"\b(?:i|vol|snap|sg|key|eipalloc)-[0-9a-f]{8,17}\b")


@dataclass
class EventHistory:
    _events: list[dict[str, Any]] = field(default_factory=list)

    def write(self, call: Call, answer: Answer) -> None:
        """Note a call that changed something, with everything that its response names."""
        if call.service == "ec2" and answer.code is None and call.changes_something():
            names = {found.decode() for found in IDS.findall(answer.body)}
            event = {"EventId": str(uuid.uuid4()), "EventName": call.action, "EventTime": clock.now().timestamp()}
            event |= {"Username": call.key, "EventSource": "ec2.amazonaws.com", "region": call.region}
            self._events.append({**event, "Resources": [{"ResourceName": name} for name in sorted(names)]})

    def lookup(self, call: Call) -> dict[str, Any]:
        """Answer LookupEvents by a resource's name, newest event first."""
        wanted = {item["AttributeKey"]: item["AttributeValue"] for item in call.json.get("LookupAttributes", ())}
        found = [
            {key: value for key, value in event.items() if key != "region"}
            for event in reversed(self._events)
            if event["region"] == call.region
            and any(resource["ResourceName"] == wanted.get("ResourceName") for resource in event["Resources"])
        ]
        return {"Events": found[: call.json.get("MaxResults", 50)]}
