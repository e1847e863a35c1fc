"""What moto forgets of a RunInstances request, put right on the machines that it made."""

from __future__ import annotations

import re
from typing import Any

from scripts.local_cloud.call import Call
from scripts.local_cloud.machines import backend


def complete(call: Call, machines: list[Any]) -> None:
    """Give machines their market, protection, token and profile, and their volumes the speed that was asked for."""
    market = call.params.get("InstanceMarketOptions.MarketType")
    for machine in machines:
        machine.lifecycle = market
        machine.disable_api_termination = call.params.get("DisableApiTermination") == "true"
        machine.client_token = call.params.get("ClientToken", "")
        for mapping in call.numbered("BlockDeviceMapping"):
            _give_speed(call, machine, mapping)
    for machine in machines[1:]:  # moto gives the first one its profile
        _give_profile(call, machine)


def without_block_devices(body: bytes) -> bytes:
    """Return a RunInstances answer as EC2 gives it, while the volumes are not attached yet."""
    return re.sub(rb"<blockDeviceMapping>.*?</blockDeviceMapping>", b"<blockDeviceMapping/>", body, flags=re.DOTALL)


def _give_speed(call: Call, machine: Any, mapping: dict[str, str]) -> None:
    attached = machine.block_device_mapping.get(mapping["DeviceName"])
    if attached is None or not attached.volume_id:
        return
    volume = backend(call.region).get_volume(attached.volume_id)
    for key, attribute in (("Ebs.Iops", "iops"), ("Ebs.Throughput", "throughput")):
        if key in mapping:
            setattr(volume, attribute, int(mapping[key]))


def _give_profile(call: Call, machine: Any) -> None:
    name, arn = call.params.get("IamInstanceProfile.Name"), call.params.get("IamInstanceProfile.Arn")
    if name or arn:
        backend(call.region).associate_iam_instance_profile(machine.id, name, arn)
