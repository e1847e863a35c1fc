"""Extend the retention of a retained volume."""

from __future__ import annotations

from typing import Annotated

from ec2lab.console import Console, run
from ec2lab.options import AsJson, VolumeId, option, script

app = script(__doc__)
KeepFor = Annotated[str, option("RETAIN_FOR", "Time from today: 30d.")]
Why = Annotated[str, option("REASON", "Reason. Default: unchanged.")]


@app.command()
def volume_retain(volume: VolumeId = "", length: KeepFor = "", reason: Why = "", as_json: AsJson = False) -> None:
    """Retain VOLUME, which a teardown retained, until RETAIN_FOR from today; `make audit` reports it after that.

    The date and the reason are tags of the volume, lab:retain-until and lab:retain-reason, which everybody can see.
    """
    from ec2lab.errors import UserError
    from ec2lab.events.datasets import VolumeRetained
    from ec2lab.session import open_session
    from ec2lab.volumes.retention import get_retained_volume, retain_for

    if not volume:
        raise UserError("VOLUME: which one? (`make audit` lists retained volumes)")
    console = Console(as_json=as_json)
    with open_session("volume-retain") as session:
        console.hint(session.cloud.banner)
        retention = retain_for(session, get_retained_volume(session, volume), length, reason)
        console.emit(
            VolumeRetained(
                id=volume, retain_until=retention.until, reason=retention.reason, message=f"is retained {retention}"
            )
        )


if __name__ == "__main__":
    run(app)
