"""Records as launches, stops and teardowns leave them, at times and by people of a test's choosing."""

from __future__ import annotations

from itertools import count

from ec2lab.costs.pricer import pricers
from ec2lab.costs.pricing import Pricing
from ec2lab.costs.rates import SpotRate
from ec2lab.plugins import Plugins
from ec2lab.registry.record import Event, Record
from ec2lab.resource import resource_types

NUMBERS = count(1)
BUILT_IN = Plugins(None)
KINDS = resource_types(BUILT_IN)


def priced(book, plugins=BUILT_IN):
    return Pricing(resource_types(plugins), pricers(plugins), book)


def answer(time, operation, request=None, response=None, *, by="alice@desk", experiment=None, region="us-east-1"):
    """One answer of AWS."""
    return Record(
        event=Event.RESPONSE, time=time, operation=operation, request=request or {}, response=response or {},
        parent_id=f"{next(NUMBERS):032x}", region=region, actor=f"{by}:7", experiment=experiment, service="ec2",
    )  # fmt: skip


def note(time, *, experiment=None, by="alice@desk", **told):
    return Record(event=Event.ANNOTATION, time=time, annotation=told, experiment=experiment, actor=f"{by}:7")


def launched(time, identity, instance_type="g5.xlarge", *, experiment="speech", mappings=(), zone="a", **more):
    """A RunInstances answer for one instance."""
    market, region = more.pop("market", None), more.get("region", "us-east-1")
    request = {
        "InstanceType": instance_type, "BlockDeviceMappings": list(mappings), "ClientToken": identity * 2,
        "TagSpecifications": [
            {"ResourceType": "instance", "Tags": [{"Key": "lab:experiment", "Value": experiment}]}
        ],
    }  # fmt: skip
    found = {
        "InstanceId": identity, "InstanceType": instance_type, "LaunchTime": time,
        "State": {"Name": "pending"}, "Placement": {"AvailabilityZone": f"{region}{zone}"},
    }  # fmt: skip
    if market:
        found["InstanceLifecycle"] = market
    return answer(time, "RunInstances", request, {"Instances": [found]}, experiment=experiment, **more)


def disk(device, gib=None, *, keep=False, **more):
    """A block device mapping of a request."""
    size = {"VolumeSize": gib} if gib else {}
    return {"DeviceName": device, "Ebs": {"VolumeType": "gp3", "DeleteOnTermination": not keep, **size, **more}}


def described(time, identity, state="running", *, address=None, volumes=(), code=None, transition=None, **more):
    """A DescribeInstances answer that shows one instance; volumes are (device, id, goes with it)."""
    found = {
        "InstanceId": identity, "State": {"Name": state},
        "BlockDeviceMappings": [
            {"DeviceName": device, "Ebs": {"VolumeId": volume, "DeleteOnTermination": goes}}
            for device, volume, goes in volumes
        ],
    }  # fmt: skip
    found |= {"PublicIpAddress": address} if address else {}
    found |= {"StateReason": {"Code": code}} if code else {}
    found |= {"StateTransitionReason": transition} if transition else {}
    return answer(time, "DescribeInstances", {}, {"Reservations": [{"Instances": [found]}]}, **more)


def acted(time, operation, identity, **more):
    """An answer to StopInstances, StartInstances or TerminateInstances."""
    return answer(time, operation, {"InstanceIds": [identity]}, **more)


class Prices:
    """A source that knows what it is told, and asks nobody."""

    def __init__(self, listed, spot=None):
        self.known, self.changes = listed, spot or {}

    def listed(self, wanted):
        return self.known.get(str(wanted))

    def spot(self, *asked):
        _, zone, instance_type, _, ended = asked
        return SpotRate(self.changes.get((zone, instance_type), ()), ended)

    def spot_now(self, *asked):
        return {kind: self.known[f"spot {kind}"] for kind in asked[1] if f"spot {kind}" in self.known}

    def unknown(self):
        return []

    def origins(self):
        return ()
