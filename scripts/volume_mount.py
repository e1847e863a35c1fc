"""Mount a volume on a running instance."""

from __future__ import annotations

from typing import Annotated

from ec2lab.console import Console, run
from ec2lab.errors import UserError
from ec2lab.options import AsJson, DatasetName, HostName, MountPoint, Version, VolumeId, option, script

app = script(__doc__)
SnapshotId = Annotated[str, option("SNAPSHOT", "Create the volume from this snapshot: snap-….")]


@app.command()
def volume_mount(
    host: HostName = "", mount: MountPoint = "", volume: VolumeId = "", snapshot: SnapshotId = "",
    dataset: DatasetName = "", version: Version = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Mount VOLUME, or a new volume created from SNAPSHOT or DATASET, on HOST at MOUNT.

    A new volume is created in the instance's zone and deleted with the instance; VOLUME is not. If a step fails,
    the previous steps are rolled back.
    """
    from ec2lab.events import steps
    from ec2lab.events.datasets import VolumeMounted
    from ec2lab.hosts.named_hosts import locked_host_session
    from ec2lab.volumes.mount import VolumeMounter
    from ec2lab.volumes.mount_source import resolve_instance, wanted

    if len([source for source in (volume, snapshot, dataset) if source]) != 1:
        raise UserError("VOLUME, SNAPSHOT, DATASET: set one of them, to mount it (DATASET=speech)")
    console = Console(as_json=as_json)
    with locked_host_session(host, "volume-mount") as session:
        console.hint(session.cloud.banner)
        instance = resolve_instance(session, host)
        source = wanted(session, instance, mount, volume, snapshot, dataset, version or None)
        mounting = VolumeMounter(session, instance, steps(console.emit))
        found = mounting.mount(source)
        console.emit(
            VolumeMounted(
                volume=found, mount=source.mount, instance=instance.id, host=instance.host.name, created=not volume
            )
        )
        console.hint(f"  `make volume-unmount HOST={host} MOUNT={source.mount}` reverses it")


if __name__ == "__main__":
    run(app)
