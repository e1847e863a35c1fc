"""Delete a retained volume."""

from __future__ import annotations

from ec2lab.console import Console, run
from ec2lab.options import AsJson, Confirm, VolumeId, script

app = script(__doc__)


@app.command()
def volume_delete(volume: VolumeId = "", yes: Confirm = False, as_json: AsJson = False) -> None:
    """Show VOLUME, which a teardown retained; YES=1 deletes it and its data.

    Only retained volumes: `make teardown` deletes an experiment's. A volume that is attached is refused.
    """
    from ec2lab.errors import UserError
    from ec2lab.events.datasets import Deleted, VolumeRetained
    from ec2lab.session import open_session
    from ec2lab.volumes.retention import get_retained_volume

    if not volume:
        raise UserError("VOLUME: which one? (`make audit` lists retained volumes)")
    console = Console(as_json=as_json)
    with open_session("volume-delete") as session:
        console.hint(session.cloud.banner)
        found = get_retained_volume(session, volume)
        resource, retention = found.resource, found.retention
        size = resource.details.get("size", "")
        message = f"({resource.region}), {size}, retained {retention}"
        console.emit(VolumeRetained(id=volume, retain_until=retention.until, reason=retention.reason, message=message))
        if resource.state == "in-use":
            raise UserError(f"{volume} is attached to an instance; run `make volume-unmount` first")
        if not yes:
            console.hint(f"{volume}: nothing was deleted; run again with YES=1 to delete it and its data")
            return
        session.resource_types["volume"].delete(session.cloud, resource)
        console.emit(Deleted(id=volume))


if __name__ == "__main__":
    run(app)
