"""Placement groups, which moto lacks: named, tagged, and not deleted while an instance is in them.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/placement-groups.html
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from local_cloud.request import Call
from local_cloud.responses import Answer, Problem, xml_answer
from local_cloud.tags import tags_for

KIND = "placement-group"
UNSUPPORTED_TYPES = ("t1.", "t2.", "t3.", "t3a.", "t4g.")


@dataclass
class PlacementGroup:
    name: str
    strategy: str
    tags: dict[str, str]
    id: str = field(default_factory=lambda: f"pg-0{secrets.token_hex(8)}")
    instances: list[Any] = field(default_factory=list)  # all instances ever launched into it

    def as_xml(self) -> str:
        tags = "".join(
            f"<item><key>{escape(key)}</key><value>{escape(value)}</value></item>" for key, value in self.tags.items()
        )
        return (
            f"<groupName>{escape(self.name)}</groupName><strategy>{self.strategy}</strategy><state>available</state>"
            f"<groupId>{self.id}</groupId><tagSet>{tags}</tagSet>"
        )

    def matches(self, wanted: dict[str, str]) -> bool:
        name = wanted["Name"]
        values = [value for key, value in wanted.items() if key.startswith("Value.")]
        if name == "tag-key":
            return any(value in self.tags for value in values)
        if name.startswith("tag:"):
            return self.tags.get(name.removeprefix("tag:")) in values
        known = {"group-name": self.name, "strategy": self.strategy, "state": "available"}
        if name not in known:
            raise Problem("InvalidParameterValue", f"The filter '{name}' is invalid")
        return known[name] in values


@dataclass
class PlacementGroups:
    groups: dict[tuple[str, str], PlacementGroup] = field(default_factory=dict)

    def create(self, call: Call) -> Answer:
        name, strategy = call.params.get("GroupName"), call.params.get("Strategy", "cluster")
        if not name:
            raise Problem("MissingParameter", "The request must contain the parameter groupName")
        if (call.region, name) in self.groups:
            raise Problem("InvalidPlacementGroup.Duplicate", f"The Placement Group '{name}' already exists.")
        group = self.groups[call.region, name] = PlacementGroup(name, strategy, tags_for(call, KIND))
        return xml_answer(call.action, f"<placementGroup>{group.as_xml()}</placementGroup>")

    def describe(self, call: Call) -> Answer:
        names, filters = call.values("GroupName"), call.numbered("Filter")
        for name in names:
            self._named(call.region, name)
        found = [
            group
            for (region, name), group in self.groups.items()
            if region == call.region and (not names or name in names) and all(map(group.matches, filters))
        ]
        items = "".join(f"<item>{group.as_xml()}</item>" for group in found)
        return xml_answer(call.action, f"<placementGroupSet>{items}</placementGroupSet>")

    def delete(self, call: Call) -> Answer:
        group = self._named(call.region, call.params.get("GroupName", ""))
        if any(instance.state != "terminated" for instance in group.instances):
            raise Problem(
                "InvalidPlacementGroup.InUse", f"The placement group '{group.name}' is in use and may not be deleted."
            )
        del self.groups[call.region, group.name]
        return xml_answer(call.action, "<return>true</return>")

    def check_launch(self, call: Call) -> None:
        if name := call.params.get("Placement.GroupName"):
            group, wanted = self._named(call.region, name), call.params.get("InstanceType", "")
            if group.strategy == "cluster" and wanted.startswith(UNSUPPORTED_TYPES):
                raise Problem(
                    "InvalidParameterCombination",
                    f"Cluster placement groups are not supported by the '{wanted}' instance type.",
                )

    def check_single_zone(self, call: Call, zone: str) -> None:
        """Raise the Problem of instances in another zone than the cluster's other ones, including those shutting down.

        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/placement-strategies.html#placement-groups-limitations-cluster
        """
        if name := call.params.get("Placement.GroupName"):
            group = self._named(call.region, name)
            there = {instance.availability_zone for instance in group.instances if instance.state != "terminated"}
            if group.strategy == "cluster" and there - {zone}:
                raise Problem(
                    "InvalidPlacementGroup.InUse",
                    f"The placement group '{name}' is in use in another availability zone: {min(there)}",
                )

    def launched(self, call: Call, instances: list[Any]) -> None:
        if name := call.params.get("Placement.GroupName"):
            self._named(call.region, name).instances += instances

    def everything(self) -> Iterator[dict[str, Any]]:
        for (region, name), group in self.groups.items():
            yield {"kind": KIND, "id": name, "state": "", "tags": group.tags, "region": region}

    def _named(self, region: str, name: str) -> PlacementGroup:
        if (region, name) not in self.groups:
            raise Problem("InvalidPlacementGroup.Unknown", f"The Placement Group '{name}' is unknown.")
        return self.groups[region, name]
