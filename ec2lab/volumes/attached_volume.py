"""Which volume of an instance is meant: AWS tells what is attached under which name, the instance what is mounted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ec2lab.errors import UserError
from ec2lab.hosts.ssh import Host
from ec2lab.volumes.devices import letters_of
from ec2lab.volumes.mounted import MountedVolume, select_volume


@dataclass(frozen=True, slots=True)
class AttachedVolume:
    """A volume that is attached to an instance."""

    id: str
    device: str
    """The name that AWS has it attached under."""
    mount: str
    """Empty where it is mounted nowhere, and nobody said where it was."""


def attached_volume(
    host: Host, description: Mapping[str, Any], mounted: Sequence[MountedVolume], mount: str, volume: str
) -> AttachedVolume:
    """Return the volume that is meant, mounted or not: an earlier run may have come as far as unmounting it.

    Raises UserError where that is not certain: nothing is detached on a guess.
    """
    attached = {
        str(mapping["Ebs"]["VolumeId"]): str(mapping["DeviceName"])
        for mapping in description.get("BlockDeviceMappings", ())
        if "Ebs" in mapping
    }
    if volume in attached and not any(_may_be(one, mount, volume, attached[volume]) for one in mounted):
        return AttachedVolume(volume, attached[volume], mount)
    found = select_volume(host, mounted, mount, volume)
    named = [one for one, device in attached.items() if letters_of(device) == letters_of(found.disk) != ""]
    identity = found.id or (named[0] if len(named) == 1 else "")
    if not identity:
        raise UserError(
            f"{host.name}: {found.mount} is on {found.disk or found.device}, which tells no volume's id, and AWS has "
            "none attached under that name; unmount it there, and detach it by hand"
        )
    if identity not in attached or volume not in ("", identity):
        raise UserError(
            f"{host.name}: {found.mount} is on {identity}, and {volume or 'that'} is not what AWS has there"
        )
    return AttachedVolume(identity, attached[identity], found.mount)


def _may_be(one: MountedVolume, mount: str, volume: str, device: str) -> bool:
    """Say whether what is mounted may be a volume: by its id, or where it tells none, by its name or its place."""
    if one.id or mount == one.mount:
        return one.id == volume or mount == one.mount
    return "" in (letters_of(one.disk), letters_of(device)) or letters_of(one.disk) == letters_of(device)
