"""Unmount a volume from a running instance."""

from __future__ import annotations

from ec2lab.console import Console, run
from ec2lab.options import AsJson, HostName, MountPoint, VolumeId, script

app = script(__doc__)


@app.command()
def volume_unmount(host: HostName = "", mount: MountPoint = "", volume: VolumeId = "", as_json: AsJson = False) -> None:
    """Unmount and detach the volume at MOUNT of HOST (or VOLUME).

    A volume that `make volume-mount` created is deleted. One that existed before, or came with the instance, is
    not.
    """
    from ec2lab.events import steps
    from ec2lab.events.datasets import VolumeUnmounted
    from ec2lab.hosts.named_hosts import locked_host_session
    from ec2lab.volumes.mount import VolumeMounter
    from ec2lab.volumes.mount_source import resolve_instance
    from ec2lab.volumes.mounted import attached_volume, list_mounted

    console = Console(as_json=as_json)
    with locked_host_session(host, "volume-unmount") as session:
        console.hint(session.cloud.banner)
        instance = resolve_instance(session, host)
        mounting = VolumeMounter(session, instance, steps(console.emit))
        if volume and mounting.finish_unmount(volume):
            console.emit(VolumeUnmounted(volume=volume, mount=mount, deleted=True))
            return
        found = attached_volume(instance.host, instance.description, list_mounted(instance.host), mount, volume)
        deleted = mounting.unmount(found)
        console.emit(VolumeUnmounted(volume=found.id, mount=found.mount, deleted=deleted))


if __name__ == "__main__":
    run(app)
