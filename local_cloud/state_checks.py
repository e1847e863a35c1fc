"""What an instance, a volume or a group allows in its state."""

from __future__ import annotations

from typing import Any

from local_cloud.lifecycle import backend
from local_cloud.request import Call
from local_cloud.responses import Problem


def check_attach_volume(call: Call) -> None:
    """Reject attaching to a dead instance, across zones, twice, or under a used device name."""
    instance: Any = backend(call.region).get_instance(call.params["InstanceId"])
    volume: Any = backend(call.region).get_volume(call.params["VolumeId"])
    device = call.params["Device"]
    if instance.state not in ("running", "stopped"):
        raise Problem("IncorrectState", f"Instance '{instance.id}' is not 'running'.")
    if volume.attachment is not None:
        raise Problem("VolumeInUse", f"{volume.id} is already attached to an instance")
    if volume.zone.name != instance.availability_zone:
        raise Problem(
            "InvalidVolume.ZoneMismatch",
            f"The volume '{volume.id}' is not in the same availability zone as instance '{instance.id}'",
        )
    if device in instance.block_device_mapping:
        raise Problem(
            "InvalidParameterValue",
            f"Invalid value '{device}' for unixDevice. Attachment point {device} is already in use",
        )


def check_start_instances(call: Call) -> None:
    for instance in _instances(call):
        if instance.state not in ("stopped", "running", "pending"):
            raise Problem(
                "IncorrectInstanceState",
                f"The instance '{instance.id}' is not in a state from which it can be started.",
            )


def check_stop_instances(call: Call) -> None:
    """Reject stopping what is not running, and spot instances, whose requests here are all one-time."""
    for instance in _instances(call):
        if instance.state not in ("stopped", "running", "stopping"):
            raise Problem(
                "IncorrectInstanceState",
                f"This instance '{instance.id}' is not in a state from which it can be stopped.",
            )
        if instance.lifecycle == "spot":
            raise Problem(
                "UnsupportedOperation",
                f"You can't stop the Spot Instance '{instance.id}' because it is associated with a one-time Spot "
                "Instance request. You can only stop Spot Instances associated with persistent Spot Instance requests.",
            )


def check_terminate_instances(call: Call) -> None:
    """Reject terminating unknown instances, all or nothing, and protected ones."""
    for instance in _instances(call):
        if instance.disable_api_termination in (True, "true"):
            raise Problem(
                "OperationNotPermitted",
                f"The instance '{instance.id}' may not be terminated. Modify its 'disableApiTermination' instance "
                "attribute and try again.",
            )


def check_delete_security_group(call: Call) -> None:
    """Reject deleting a group that contains a network interface, or that another group's rule names."""
    known = backend(call.region)
    identity = call.params.get("GroupId", "")
    interfaces = [
        interface
        for interface in known.enis.values()
        if identity in {group.id for group in interface.group_set}
        and (interface.instance is None or interface.instance.state != "terminated")
    ]
    named = [
        group
        for groups in known.groups.values()
        for group in groups.values()
        if group.id != identity
        for rule in (*group.ingress_rules, *group.egress_rules)
        if rule.source_group.get("GroupId") == identity
    ]
    if interfaces or named:
        raise Problem("DependencyViolation", f"resource {identity} has a dependent object")


def _instances(call: Call) -> list[Any]:
    known = backend(call.region)
    wanted = call.values("InstanceId")
    unknown = [identity for identity in wanted if known.get_instance_by_id(identity) is None]
    if unknown:
        what = f"ID '{unknown[0]}' does" if len(unknown) == 1 else f"IDs '{', '.join(unknown)}' do"
        raise Problem("InvalidInstanceID.NotFound", f"The instance {what} not exist")
    return [known.get_instance(identity) for identity in wanted]
