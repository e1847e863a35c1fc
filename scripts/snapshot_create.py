"""Create a version of a dataset: a snapshot of a mounted volume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ec2lab.console import Console, run
from ec2lab.errors import UserError
from ec2lab.options import AsJson, DatasetName, HostName, MountPoint, NewVersion, OptionalExperiment, VolumeId, script

if TYPE_CHECKING:
    from ec2lab.aws.error_codes import ApiError

app = script(__doc__)


@app.command()
def snapshot_create(
    dataset: DatasetName = "", version: NewVersion = "", exp: OptionalExperiment = "", host: HostName = "",
    volume: VolumeId = "", mount: MountPoint = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Snapshot a volume of EXP's instance, or of HOST, as a new version of DATASET; MOUNT or VOLUME selects it.

    The file system is frozen only until AWS has accepted the request, and is thawed even if this command is killed.
    After that you can interrupt it (Ctrl-C): AWS completes the snapshot, and the same command shows its progress.
    """
    from ec2lab.events.datasets import SnapshotComplete, SnapshotStarted
    from ec2lab.hosts.named_hosts import single_host
    from ec2lab.progress import progress_bars
    from ec2lab.session import open_session
    from ec2lab.volumes.mount_source import identified
    from ec2lab.volumes.mounted import list_mounted, select_volume
    from ec2lab.volumes.snapshot import SnapshotBuilder

    if not dataset:
        raise UserError("DATASET: a version of which dataset? (DATASET=speech EXP=foo MOUNT=/data)")
    console = Console(as_json=as_json)

    def waits(error: ApiError) -> None:
        console.hint(f"  {error}; retrying soon")

    with open_session("snapshot-create") as session:
        console.hint(session.cloud.banner)
        instance = single_host(session, exp, host)
        found, region = identified(session, select_volume(instance, list_mounted(instance), mount, volume), volume)
        creation = SnapshotBuilder(session, dataset, version or None, region, found, instance)
        snapshot, made = creation.begin(waits)
        console.emit(
            SnapshotStarted(
                id=snapshot.id, region=region, dataset=dataset, version=snapshot.version, volume=found.id,
                mount=found.mount, created=made,
            )
        )  # fmt: skip
        console.hint("  Ctrl-C exits, and AWS continues; the same command shows the progress again")
        with progress_bars(console) as bars:
            creation.follow(
                snapshot, lambda s: bars.show(s.name, s.size * s.percent / 100, s.size, f"{s.percent:.0f}%")
            )
        console.emit(SnapshotComplete(id=snapshot.id, dataset=dataset, version=snapshot.version))


if __name__ == "__main__":
    run(app)
