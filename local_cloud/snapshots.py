"""Snapshots take time: pending with growing progress, then completed or failed, by the clock."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from moto.ec2.models.elastic_block_store import Snapshot

from local_cloud import clock
from local_cloud.lifecycle import backend
from local_cloud.request import Call
from local_cloud.responses import Answer, Problem, xml_answer
from local_cloud.scenario import Scenario

DURATIONS = range(15, 2881, 15)
"""Minutes in which AWS sells the completion of a copy
(https://docs.aws.amazon.com/ebs/latest/userguide/time-based-copies.html)."""
KEY = r"(arn:aws:kms:(?P<region>[a-z0-9-]+):\d{12}:(key|alias)/[\w/-]+|alias/[\w/-]+|[0-9a-f-]{36}|mrk-[0-9a-f]{32})"


class TimedSnapshot(Snapshot):
    began: float
    seconds: float
    state_message: str | None

    @property
    def progress(self) -> str:
        """Return "37%"."""
        if self.status == "completed":
            return "100%"
        share = (clock.monotonic() - self.began) / self.seconds if self.seconds else 1.0
        return f"{min(99, int(share * 100))}%"


@dataclass
class Snapshots:
    _pending: list[TimedSnapshot] = field(default_factory=list)
    _fast: set[tuple[str, str, str]] = field(default_factory=set)  # (region, snapshot, zone) with fast restore

    def run_due_transitions(self) -> None:
        """Complete what is due; snapshots that AWS could not encrypt fail."""
        now = clock.monotonic()
        for snapshot in [s for s in self._pending if s.began + s.seconds <= now]:
            self._pending.remove(snapshot)
            snapshot.status = "error" if snapshot.state_message else "completed"

    def begun(self, call: Call, answer: Answer, scenario: Scenario) -> None:
        """Make a snapshot that moto created take its time."""
        seconds = scenario.seconds_of(call.action, call.region)
        for identity in dict.fromkeys(re.findall(rb"<snapshotId>(snap-[0-9a-f]+)<", answer.body)):
            snapshot = backend(call.region).snapshots[identity.decode()]
            snapshot.__class__ = TimedSnapshot
            snapshot.began, snapshot.seconds = clock.monotonic(), seconds
            snapshot.state_message = _why_it_fails(call)
            _encrypt(call, snapshot)
            if minutes := call.params.get("CompletionDurationMinutes"):
                snapshot.completion_duration_minutes, snapshot.transfer_type = int(minutes), "time-based"
            if seconds or snapshot.state_message:
                snapshot.status = "pending"
                self._pending.append(snapshot)
                answer.body = answer.body.replace(b"<status>completed<", b"<status>pending<")
                answer.body = answer.body.replace(b"<progress>100%<", b"<progress>0%<")

    def enable_fast_restores(self, call: Call) -> Answer:
        asked = [(call.region, s, z) for s in call.values("SourceSnapshotId") for z in call.values("AvailabilityZone")]
        if unknown := [s for _, s, _ in asked if s not in backend(call.region).snapshots]:
            raise Problem("InvalidSnapshot.NotFound", f"The snapshot '{unknown[0]}' does not exist.")
        self._fast |= set(asked)
        return _fast_restores("EnableFastSnapshotRestores", "successful", asked)

    def describe_fast_restores(self, call: Call) -> Answer:
        wanted = {value for item in call.numbered("Filter") for key, value in item.items() if key.startswith("Value")}
        found = [f for f in sorted(self._fast) if f[0] == call.region and (not wanted or f[1] in wanted)]
        return _fast_restores("DescribeFastSnapshotRestores", "fastSnapshotRestoreSet", found)

    def validate_copy(self, call: Call, scenario: Scenario) -> None:
        """Reject a copy as its destination would."""
        source = backend(call.params["SourceRegion"]).snapshots.get(call.params["SourceSnapshotId"])
        if source is None:
            raise Problem(
                "InvalidSnapshot.NotFound", f"The snapshot '{call.params['SourceSnapshotId']}' does not exist."
            )
        if source.status != "completed":
            raise Problem("IncorrectState", f"The snapshot '{source.id}' is in the state {source.status}.")
        minutes = call.params.get("CompletionDurationMinutes")
        if minutes and int(minutes) not in DURATIONS:
            raise Problem("InvalidParameterValue", f"CompletionDurationMinutes {minutes} is not in 15 to 2880 by 15.")
        if "KmsKeyId" in call.params and call.params.get("Encrypted") != "true" and not source.encrypted:
            raise Problem("InvalidParameterDependency", "KmsKeyId requires Encrypted.")
        there = [s for s in self._pending if s.ec2_backend.region_name == call.region]
        if len(there) >= scenario.concurrent_copies:
            raise Problem(
                "ResourceLimitExceeded", "Too many snapshot copies in progress. Wait until some are complete."
            )


def _fast_restores(operation: str, name: str, found: list[tuple[str, str, str]]) -> Answer:
    items = "".join(
        f"<item><snapshotId>{s}</snapshotId><availabilityZone>{z}</availabilityZone><state>enabled</state></item>"
        for _, s, z in found
    )
    return xml_answer(operation, f"<{name}>{items}</{name}>")


def _encrypt(call: Call, snapshot: Any) -> None:
    if call.action == "CopySnapshot" and call.params.get("Encrypted") == "true":
        snapshot.encrypted = True
    if snapshot.encrypted and not snapshot.kms_key_id:
        snapshot.kms_key_id = f"arn:aws:kms:{call.region}:{snapshot.owner_id}:key/2b1f7a52-52c5-4c0f-9d0f-0c4c1e7f5a10"


def _why_it_fails(call: Call) -> str | None:
    """Return why a copy ends in `error`: its key is not the destination's."""
    key = call.params.get("KmsKeyId")
    found = re.fullmatch(KEY, key) if key else None
    if key is None or (found and found["region"] in (None, call.region)):
        return None
    return "Given key ID is not accessible"
