"""Corrects what moto ignores of a RunInstances request, on the instances that it created."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Self

from local_cloud.lifecycle import backend
from local_cloud.request import Call
from local_cloud.tags import tags_for


@dataclass(frozen=True)
class Inventory:
    """A region's resources before a launch, to be restored: moto finds some errors when half of it is done."""

    region: str
    stores: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, region: str) -> Self:
        names = ("reservations", "volumes", "enis", "tags")
        return cls(region, {name: getattr(backend(region), name).copy() for name in names})

    def restore(self) -> None:
        for name, store in self.stores.items():
            setattr(backend(self.region), name, store)


def complete(call: Call, instances: list[Any]) -> None:
    """Give instances everything requested, and their volumes and network interfaces too."""
    market = call.params.get("InstanceMarketOptions.MarketType")
    of_interfaces = tags_for(call, "network-interface")
    for instance in instances:
        instance.lifecycle = market
        instance.disable_api_termination = call.params.get("DisableApiTermination") == "true"
        instance.client_token = call.params.get("ClientToken", "")
        for mapping in call.numbered("BlockDeviceMapping"):
            _set_iops(call, instance, mapping)
        for interface in instance.nics.values():
            interface.add_tags(of_interfaces)
    for instance in instances[1:]:  # moto gives the first one its profile
        _set_instance_profile(call, instance)


def as_initial_response(body: bytes) -> bytes:
    """Return a RunInstances response as EC2 gives it, before volumes and public addresses exist."""
    for element in (b"blockDeviceMapping", b"association", b"ipAddress", b"dnsName"):
        body = re.sub(rb"<%b>.*?</%b>" % (element, element), b"<%b/>" % element, body, flags=re.DOTALL)
    return re.sub(rb"<(association|ipAddress)/>", b"", body)


def _set_iops(call: Call, instance: Any, mapping: dict[str, str]) -> None:
    attached = instance.block_device_mapping.get(mapping["DeviceName"])
    if attached is None or not attached.volume_id:
        return
    volume = backend(call.region).get_volume(attached.volume_id)
    for key, attribute in (("Ebs.Iops", "iops"), ("Ebs.Throughput", "throughput")):
        if key in mapping:
            setattr(volume, attribute, int(mapping[key]))


def _set_instance_profile(call: Call, instance: Any) -> None:
    name, arn = call.params.get("IamInstanceProfile.Name"), call.params.get("IamInstanceProfile.Arn")
    if name or arn:
        backend(call.region).associate_iam_instance_profile(instance.id, name, arn)
