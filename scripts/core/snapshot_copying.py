"""Copying a data set's snapshot to other regions, all at once, so that launches find it there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from scripts.core.asking import refusal_in
from scripts.core.aws_errors import described
from scripts.core.errors import LabError
from scripts.core.polling import growing
from scripts.core.refusals import Meaning
from scripts.core.session import Session
from scripts.core.tags import DATASET, RECORD, VERSION, tag_map, tag_specifications

Snapshot = Mapping[str, Any]
BUSY_PAUSE = 15.0
"""Seconds until a region is asked again that has as many copies under way as AWS allows (about 20)."""
FIRST_POLL, LONGEST_POLL = 0.2, 30.0
"""Seconds between looks at copies, which take minutes to hours."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is copied."""

    region: str
    snapshot: Snapshot

    @property
    def name(self) -> str:
        """The data set and its version: speech@1."""
        tags = tag_map(self.snapshot["Tags"])
        return f"{tags[DATASET]}@{tags.get(VERSION, '?')}"


@dataclass(slots=True)
class Copy:
    """One copy under way, done, or failed."""

    region: str
    id: str = ""
    state: str = ""
    progress: str = ""
    failure: str = ""

    @property
    def under_way(self) -> bool:
        """Whether it is still to be waited for."""
        return not self.failure and self.state != "completed"


def source_of(session: Session, dataset: str, version: str | None) -> Source:
    """Return the newest completed snapshot of a data set, or of a version, in the lab's first region that has one."""
    for region in session.lab.regions:
        wanted = [{"Name": f"tag:{DATASET}", "Values": [dataset]}, {"Name": "status", "Values": ["completed"]}]
        if version:
            wanted.append({"Name": f"tag:{VERSION}", "Values": [version]})
        if found := list(session.kinds["snapshot"].find(session.cloud, region, wanted)):
            return Source(region, max(found, key=lambda snapshot: snapshot["StartTime"]))
    named = f"{dataset}@{version}" if version else dataset
    raise LabError(
        f"DATASET: no region of the lab ({', '.join(session.lab.regions)}) has a completed snapshot of {named}"
    )


def copied(session: Session, source: Source, regions: Sequence[str], report: Callable[[Copy], None]) -> list[Copy]:
    """Copy a snapshot to regions, and wait until each copy is complete or has failed; one's failure stops no other.

    A copy that is there already, or on its way since an earlier try, is taken as it is. `report` hears every change.
    """
    begun = [session.threads.submit(_begin, session, source, region) for region in regions]
    copies = [answer.result() for answer in begun]
    for copy in copies:
        report(copy)
    for pause in growing(FIRST_POLL, LONGEST_POLL):
        waiting = [copy for copy in copies if copy.under_way]
        if not waiting:
            return copies
        time.sleep(pause)
        list(session.threads.map(lambda copy: _look(session, copy, report), waiting))
    return copies


def _begin(session: Session, source: Source, region: str) -> Copy:
    try:
        if there := _present(session, source, region):
            return Copy(region, there["SnapshotId"], there["State"], there.get("Progress", ""))
        return Copy(region, _copy(session, source, region), "pending")
    except ClientError as refusal:
        return Copy(region, failure=described(refusal))


def _present(session: Session, source: Source, region: str) -> Snapshot | None:
    """Look for the copy before making one: CopySnapshot has no client token."""
    tags = tag_map(source.snapshot["Tags"])
    wanted = [{"Name": f"tag:{key}", "Values": [tags[key]]} for key in (DATASET, VERSION) if key in tags]
    found = [s for s in session.kinds["snapshot"].find(session.cloud, region, wanted) if s["State"] != "error"]
    return max(found, key=lambda snapshot: snapshot["StartTime"]) if found else None


def _copy(session: Session, source: Source, region: str) -> str:
    """Begin a copy; while AWS has too many under way there, wait."""
    tags = {key: value for key, value in tag_map(source.snapshot["Tags"]).items() if key != RECORD}
    while True:
        try:
            return session.cloud.ec2(region).copy_snapshot(
                SourceRegion=source.region,
                SourceSnapshotId=source.snapshot["SnapshotId"],
                Description=f"{source.name}, from {source.region}",
                Encrypted=True,
                TagSpecifications=tag_specifications(tags, "snapshot"),  # type: ignore[arg-type]
            )["SnapshotId"]
        except ClientError as refusal:
            if refusal_in(refusal).meaning is not Meaning.TOO_FAST:
                raise
        time.sleep(BUSY_PAUSE)


def _look(session: Session, copy: Copy, report: Callable[[Copy], None]) -> None:
    found = session.cloud.ec2(copy.region).describe_snapshots(SnapshotIds=[copy.id])["Snapshots"][0]
    before = (copy.state, copy.progress)
    copy.state, copy.progress = found["State"], found.get("Progress", "")
    if copy.state == "error":
        copy.failure = found.get("StateMessage") or "the copy failed"
    if before != (copy.state, copy.progress):
        report(copy)
