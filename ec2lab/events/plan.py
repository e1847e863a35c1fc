"""Events of plans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ec2lab.events import GREEN, Event
from ec2lab.units import forecast_text

USER_DATA_ROOM = 16
"""KiB, before base64."""


class Candidate(Event, commands="plan"):
    """A capacity pool, in the order of the search."""

    region: str
    zone: str | None
    """null if EC2 chooses."""
    subnet: str | None
    """null if EC2 chooses."""
    instance_type: str
    market: str
    """on-demand, spot, reservation:cr-… or capacity-block:cr-…"""
    dollars_per_hour: float | None
    """null if unknown."""
    excluded: str | None
    """Why it would not be tried; null if it would."""
    position: int
    price: str
    """dollars_per_hour in words."""


class GpuSelection(Event, commands="plan"):
    """The instance types that match an experiment's gpu, cheapest first."""

    gpu: list[str]
    instance_types: list[str]

    def lines(self) -> str:
        return f"gpu {' or '.join(self.gpu)}: {', '.join(self.instance_types)}"


class CodeToUpload(Event, commands="plan", text="code: {summary}"):
    """The code that a launch would upload."""

    commit: str
    pack_sha256: str
    bytes: int
    diff_sha256: str | None = None
    """Of the uncommitted changes; null if there are none."""
    summary: str


class PlannedContainer(Event, commands="plan"):
    """The container in which the command would run. The instance pulls its image from the boot on."""

    image: str

    def lines(self) -> str:
        return f"container: {self.image}, which the instance pulls as it boots"


class PlannedSecret(Event, commands="plan"):
    """A secret that the command would find in its environment."""

    name: str
    source: str
    """Where it is kept: env:VARIABLE, ssm:PARAMETER or secretsmanager:SECRET#KEY."""
    is_set: bool | None
    """Whether the variable is set where the plan is made; null where the instance reads the secret."""

    def lines(self) -> str:
        lacks = ", which is not set here: a launch would refuse" if self.is_set is False else ""
        return f"secret: {self.name} from {self.source}{lacks}"


class Forecast(Event, commands="plan"):
    """The maximum cost of a launch."""

    dollars: float
    unknown: int
    """Number of unknown prices."""
    hours: float
    is_assumed: bool
    """Whether the hours are an assumption, because there is no ttl."""
    unpriced: list[str]
    """What has an unknown price: instance types, and volumes by their mount point."""

    def lines(self) -> str:
        return f"cost: {forecast_text(self.dollars, self.unpriced, self.hours, is_assumed=self.is_assumed)}"


class PlannedRequest(Event, commands="plan"):
    """The request to the first pool, and the instance's cloud-init document."""

    region: str
    request: dict[str, Any]
    """Of RunInstances, without secrets."""
    cloud_init: str
    image: str = ""
    """The id and name of the image; empty if AWS does not return them."""
    prerequisites: list[str]
    """What would be created first, one line each."""

    def lines(self) -> list[str]:
        asked, user_data = self.request, self.request.get("UserData", {}).get("bytes", 0)
        fields = {
            "image": self.image or asked.get("ImageId", "that of the launch template"),
            "volumes": "; ".join(map(_mapping_text, asked.get("BlockDeviceMappings", ()))),
            "network": _network_text(asked),
            "profile": " ".join(asked.get("IamInstanceProfile", {}).values()),
            "user data": f"{user_data / 1024:.1f} of {USER_DATA_ROOM} KiB",
            "created": "; ".join(self.prerequisites),
        }
        place = asked.get("SubnetId") or asked.get("Placement", {}).get("AvailabilityZone") or "any zone"
        market = asked.get("InstanceMarketOptions", {}).get("MarketType", "on-demand")
        many = f"{asked['MaxCount']} x " if asked.get("MaxCount", 1) > 1 else ""
        first = f"first request: {many}{asked.get('InstanceType', '')}, {market}, in {self.region}, {place}"
        return [first, *(f"  {name:<9}  {text}" for name, text in fields.items() if text)]


class DryRunAllowed(Event, commands="plan", text="allowed by a dry run in {region}", style=GREEN):
    """AWS would allow the request, according to a dry run."""

    region: str


def _mapping_text(mapping: Mapping[str, Any]) -> str:
    disk = mapping.get("Ebs", {})
    size, origin = f"{disk['VolumeSize']} GiB" if "VolumeSize" in disk else "", disk.get("SnapshotId", "")
    words = (size, disk.get("VolumeType"), disk.get("Encrypted") and "encrypted", origin and f"from {origin}")
    return " ".join(filter(None, (mapping["DeviceName"], *words)))


def _network_text(asked: Mapping[str, Any]) -> str:
    faces = asked.get("NetworkInterfaces", ())
    groups = asked.get("SecurityGroupIds") or [group for face in faces[:1] for group in face.get("Groups", ())]
    return ", ".join([*([f"{len(faces)} interfaces"] if len(faces) > 1 else []), *groups])
