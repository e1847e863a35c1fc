"""The volumes of an instance: what its program mounts, unmounts and says of them, and which of them is meant.

The instance knows what is mounted and on which disk, AWS what is attached under which name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ec2lab.errors import UserError
from ec2lab.hosts.call_failures import Failed
from ec2lab.hosts.program_packer import with_modules
from ec2lab.hosts.protocol import parse_json
from ec2lab.hosts.ssh import Host
from ec2lab.registry.shapes import LINE, YES_OR_NO, members, pattern, whole
from ec2lab.volumes.spec import VolumeSpec, letters_of

PROGRAM = ("volumes-over-ssh.py", "mount-volumes.py")
NOT_MOUNTED = members(mount=LINE, in_use=YES_OR_NO, others="ignore")
UNMOUNTED = members(unmounted=LINE, disk=LINE, others="ignore")
LONGEST_MOUNT = 3600.0  # seconds: a file system that was not unmounted cleanly is checked first
TROUBLE = ("NOT MOUNTED: ", "PROBLEM: ")


class NotDone(UserError):
    """The instance refused, with a reason."""

    def __init__(self, message: str, answer: str) -> None:
        super().__init__(message)
        self.answer = answer  # the last line of JSON that it printed; empty where there is none


@dataclass(frozen=True, slots=True)
class VolumesOnHost:
    """An instance's volumes as the instance sees them. `say` is called for each step."""

    host: Host
    say: Callable[[str], None]

    def mount(self, document: VolumeSpec) -> None:
        """Mount a volume, now and at every boot. Raises NotDone, Unreachable."""
        self._do("add", document)

    def unmount(self, document: VolumeSpec) -> None:
        """Unmount a volume that nothing uses, and prove that its disk is unused. Raises NotDone, Unreachable."""
        answer = self._do("unmount", document)
        proof = parse_json(answer, UNMOUNTED, self.host.name)
        if proof["unmounted"] != document.mount:
            raise UserError(f"{self.host.name}: does not confirm that {document.mount or document.volume} is unmounted")

    def is_left_alone(self, error: BaseException) -> bool:
        """Say whether an instance that could not mount a volume reports its disk as unused."""
        if not isinstance(error, NotDone) or not error.answer:
            return False
        return not parse_json(error.answer, NOT_MOUNTED, self.host.name)["in_use"]

    def _do(self, what: str, document: VolumeSpec) -> str:
        """Run the program, and return the last line of JSON that it printed."""
        answers, trouble = [""], []

        def heard(line: str) -> None:
            text = line.removeprefix("ec2-lab: ")
            if line.startswith("{"):
                answers.append(line)
            elif text.startswith(TROUBLE):
                trouble.append(text)
            else:
                self.say(text)

        program, given = with_modules(*PROGRAM), document.as_json().encode()
        try:
            self.host.run_as_root(program, what, "-", given=given, heard=heard, within=LONGEST_MOUNT)
        except Failed as failure:
            if not trouble:
                raise
            raise NotDone(f"{self.host.name}: {_in_words(trouble[-1])}", answers[-1]) from failure
        for text in trouble:
            self.say(_in_words(text))
        return answers[-1]


def _in_words(text: str) -> str:
    mount, _, why = text.removeprefix("NOT MOUNTED: ").partition(": ")
    return f"{mount} is not mounted: {why}" if text.startswith("NOT MOUNTED: ") else text.removeprefix("PROBLEM: ")


@dataclass(frozen=True, slots=True)
class MountedVolume:
    mount: str
    device: str
    disk: str  # the disk of its device; empty where there are several, or none
    id: str  # vol-…; empty where the host cannot tell
    filesystem: str
    uuid: str
    label: str
    read_only: bool
    bytes_used: int
    bytes_total: int


MOUNTED = members(
    mount=LINE, device=LINE, disk=LINE, id=pattern(r"(vol-[0-9a-f]{1,32})?"), filesystem=LINE, uuid=LINE, label=LINE,
    read_only=YES_OR_NO, bytes_used=whole(0, 2**62), bytes_total=whole(0, 2**62), others="ignore",
)  # fmt: skip


def list_mounted(host: Host) -> list[MountedVolume]:
    """Ask a host for its mounted volumes. Raises Unreachable, Failed."""
    output = host.run_as_root(with_modules(*PROGRAM), "describe")
    return mounted_in(output, host.name)


def mounted_in(text: str, who: str) -> list[MountedVolume]:
    """Parse the output of templates/volumes-over-ssh.py. Raises UserError, which names `who` printed it."""
    return [MountedVolume(**parse_json(line, MOUNTED, who)) for line in text.splitlines() if line.startswith("{")]


def select_volume(host: Host, mounted: Sequence[MountedVolume], mount: str, volume: str) -> MountedVolume:
    """Return the volume that is meant: by mount point, by id, or because it is the only one. Raises UserError."""
    # A disk without a volume id (not NVMe) may be the named volume.
    wanted = [m for m in mounted if mount in ("", m.mount) and (not volume or m.id in ("", volume))]
    if len(wanted) == 1:
        return wanted[0]
    there = ", ".join(f"{m.id or m.device} on {m.mount}" for m in mounted) or "none"
    named = " ".join(filter(None, (volume, mount and f"MOUNT={mount}"))) or "no VOLUME and no MOUNT"
    raise UserError(f"{host.name}: {named} names {len(wanted)} of its volumes (it has {there})")


@dataclass(frozen=True, slots=True)
class AttachedVolume:
    id: str
    device: str  # the device name in AWS
    mount: str  # empty where it is not mounted, and no mount point is known


def attached_volume(
    host: Host, description: Mapping[str, Any], mounted: Sequence[MountedVolume], mount: str, volume: str
) -> AttachedVolume:
    """Return the volume that is meant, mounted or not: an earlier run may have unmounted it.

    Raises UserError where that is not certain: nothing is detached by guessing.
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
            f"{host.name}: {found.mount} is on {found.disk or found.device}, which reports no volume id, and AWS has "
            "none attached under that name; unmount it there, and detach it by hand"
        )
    if identity not in attached or volume not in ("", identity):
        raise UserError(
            f"{host.name}: {found.mount} is on {identity}, "
            + (f"not on {volume}" if volume not in ("", identity) else "which AWS does not show as attached")
        )
    return AttachedVolume(identity, attached[identity], found.mount)


def _may_be(one: MountedVolume, mount: str, volume: str, device: str) -> bool:
    """Say whether a mounted file system may be a volume's: by id or, without one, by device name or mount point."""
    if one.id or mount == one.mount:
        return one.id == volume or mount == one.mount
    return "" in (letters_of(one.disk), letters_of(device)) or letters_of(one.disk) == letters_of(device)
