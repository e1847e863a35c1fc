"""Applies deletion policies: volumes that are retained, or snapshotted and then deleted."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ec2lab import clock
from ec2lab.aws.cloud import Cloud
from ec2lab.aws.tag_forms import SAVED, disposition_in
from ec2lab.aws.tags import DELETION_POLICY, EXPERIMENT, device_in, from_aws, tag_specifications, to_aws
from ec2lab.datasets.dataset import FILESYSTEM, LABEL, LAYOUT, SOURCE, UUID, DataSnapshot, tags_of
from ec2lab.datasets.versions import numbered, wait_until_completed
from ec2lab.deletion_policy import DeletionPolicy, Disposition
from ec2lab.errors import UserError
from ec2lab.events import Emit, Step
from ec2lab.hosts.inventory import region_of, running_instances
from ec2lab.polling import wait_until
from ec2lab.registry.record import Record
from ec2lab.registry.recorder import changes_something
from ec2lab.registry.state import DISCOVERED
from ec2lab.resources.idempotency import find_or_create
from ec2lab.resources.live_in_aws import find_live_resources, seen_alive
from ec2lab.session import Session
from ec2lab.volumes.retention import marks

POLL = 0.5, 30.0
MAY_HAVE_ENDS = {"instance", "volume"}


@dataclass(frozen=True, slots=True)
class VolumeDisposition:
    volume: str
    region: str
    end: Disposition
    snapshot: str  # the snapshot that it was created from, if any
    attached: bool

    @property
    def is_snapshotted(self) -> bool:
        return self.end.policy is DeletionPolicy.SNAPSHOT


def tag_deletion_policies(session: Session, instances: Iterable[Mapping[str, Any]]) -> None:
    """Tag each volume with its deletion policy: its instance, which has it too, may be gone by then."""
    for instance in instances:
        tags = from_aws(instance.get("Tags")).items()
        ends = {device: value for key, value in tags if (device := device_in(key, DELETION_POLICY))}
        if ends:
            _mark(session, instance, ends)


def _mark(session: Session, instance: Mapping[str, Any], ends: Mapping[str, str]) -> None:
    region = region_of(instance)
    filters = [{"Name": "attachment.instance-id", "Values": [instance["InstanceId"]]}]
    for volume in session.resource_types["volume"].find(session.cloud, region, filters):
        end = ends.get(volume["Attachments"][0]["Device"])
        if end and DELETION_POLICY not in from_aws(volume.get("Tags")):
            tags = to_aws({DELETION_POLICY: end})
            session.cloud.ec2(region).create_tags(Resources=[volume["VolumeId"]], Tags=tags)  # type: ignore[arg-type]


def apply_deletion_policies(session: Session, experiment: str, emit: Emit) -> Mapping[str, Exception]:
    """Before a teardown, tag retained volumes, and snapshot volumes once their instance is gone.

    Return the regions that cannot be described, with reasons: nothing may be deleted there. May be interrupted and run
    again. Raises UserError where a snapshot fails; then nothing is deleted. AWS is not asked if all volumes are deleted
    with their instance, as most are.
    """
    if not _may_be_marked(session.records.current(experiment), experiment):
        return {}
    unseen = _unseen(session, experiment)
    tag_deletion_policies(session, running_instances(session, experiment, without=unseen))
    ending = _ending(session, experiment, unseen)
    for one in ending:
        if not one.is_snapshotted:
            _retain(session.cloud, experiment, one, emit)
    saved = [one for one in ending if one.is_snapshotted]
    if any(one.attached for one in saved):
        _terminate_instances(session, experiment, emit, unseen)
    for one in saved:
        _save(session, experiment, one, emit)
    return unseen


def _unseen(session: Session, experiment: str) -> dict[str, Exception]:
    """Return the regions whose instances or volumes cannot be described, with reasons."""
    responses = seen_alive(session, experiment, session.records.state(experiment))
    return {
        region: problem
        for (region, resource_type), problem in responses.failures.items()
        if resource_type in MAY_HAVE_ENDS
    }


def _may_be_marked(records: Iterable[Record], experiment: str) -> bool:
    """Say whether any request had a deletion policy, or any found resource has no recorded request."""
    return any(
        DELETION_POLICY in json.dumps(record.request)
        or MAY_HAVE_ENDS & {found["resource_type"] for found in (record.annotation or {}).get(DISCOVERED, ())}
        for record in records
        if record.experiment == experiment and changes_something(record.operation or "")
    )


def _ending(session: Session, experiment: str, unseen: Collection[str]) -> list[VolumeDisposition]:
    known = session.records.state(experiment).without(unseen)
    filters = [{"Name": f"tag:{EXPERIMENT}", "Values": [experiment]}, {"Name": "tag-key", "Values": [DELETION_POLICY]}]
    found = []
    ours = {resource.id for resource in find_live_resources(session, experiment, known)}
    for region in sorted(known.regions):
        for volume in session.resource_types["volume"].find(session.cloud, region, filters):
            tags = from_aws(volume["Tags"])
            if volume["VolumeId"] in ours:
                end, source = disposition_in(tags[DELETION_POLICY]), volume.get("SnapshotId", "")
                attached = bool(volume.get("Attachments"))
                found.append(VolumeDisposition(volume["VolumeId"], region, end, source, attached))
    return found


def _retain(cloud: Cloud, experiment: str, one: VolumeDisposition, emit: Emit) -> None:
    tags = marks(one.end, experiment, clock.now().date())
    cloud.ec2(one.region).create_tags(Resources=[one.volume], Tags=to_aws(tags))  # type: ignore[arg-type]
    emit(Step(experiment=experiment, message=f"{one.volume} ({one.region}) is retained"))


def _terminate_instances(session: Session, experiment: str, emit: Emit, unseen: Collection[str]) -> None:
    """Terminate the instances and wait: a file system is complete once its instance has shut down."""
    resource_type = session.resource_types["instance"]
    seen = session.records.state(experiment).without(unseen)
    for instance in find_live_resources(session, experiment, seen, only="instance"):
        if instance.resource_type == resource_type.name and not resource_type.is_deleting(instance):
            resource_type.delete(session.cloud, instance)
            text = f"deleting {instance}: its volumes are snapshotted after that"
            emit(Step(experiment=experiment, message=text))
    wait_until(
        lambda: not any(one.attached for one in _ending(session, experiment, unseen) if one.is_snapshotted),
        session.pause, POLL,
    )  # fmt: skip


def _save(session: Session, experiment: str, one: VolumeDisposition, emit: Emit) -> None:
    """Snapshot a volume as the next version of its dataset, and wait until that is complete."""

    def say(message: str) -> None:
        emit(Step(experiment=experiment, message=message))

    made, _ = find_or_create(
        session,
        ("CreateSnapshot", one.region, {SOURCE: one.volume, DELETION_POLICY: SAVED}),
        lambda: _existing_snapshot(session, one),
        lambda: _snapshot(session, one),
        lambda error: say(f"{error}; retrying soon"),
    )
    say(f"{made.name}: {made.id} of {one.volume}; waiting until it is complete (Ctrl-C: make teardown continues)")
    try:
        complete = wait_until_completed(session, one.region, made.id, lambda _: None)
    except UserError as failure:
        raise UserError(f"{failure}; {one.volume} is left alone") from failure
    say(f"{complete.name} is complete")


def _existing_snapshot(session: Session, one: VolumeDisposition) -> DataSnapshot | None:
    # Not any snapshot of the volume: `make snapshot-create` may have made one while it was still written to.
    known = {SOURCE: one.volume, DELETION_POLICY: SAVED}
    wanted = [{"Name": f"tag:{key}", "Values": [value]} for key, value in known.items()]
    # Nor one that only has the tags, such as a backup or a forgery: the volume is deleted once it is saved.
    resource_type, ours = (
        session.resource_types["snapshot"],
        session.records.ownership(session.records.state_with_history()),
    )
    there = [
        s
        for s in resource_type.find(session.cloud, one.region, wanted)
        if s["State"] != "error" and ours.proves(resource_type, s)
    ]
    return DataSnapshot.of(there[0], one.region) if there else None


def _snapshot(session: Session, one: VolumeDisposition) -> DataSnapshot:
    before = _tags_of_snapshot(session, one)
    facts = {"label": LABEL, "uuid": UUID, "filesystem": FILESYSTEM, "layout": LAYOUT}
    facts_before = {name: before.get(tag) for name, tag in facts.items()}
    with numbered(session, one.end.dataset, one.end.version, one.region, may_exist=True) as version:
        tags = {**tags_of(one.end.dataset, version, source=one.volume, **facts_before), DELETION_POLICY: SAVED}
        answer: Mapping[str, Any] = session.cloud.ec2_no_retry(one.region).create_snapshot(
            VolumeId=one.volume,
            Description=f"{one.end.dataset}@{version}, from {one.volume} at its teardown",
            TagSpecifications=tag_specifications(tags, "snapshot"),  # type: ignore[arg-type]
        )
    return DataSnapshot.of({**answer, "Tags": to_aws(tags)}, one.region)


def _tags_of_snapshot(session: Session, one: VolumeDisposition) -> Mapping[str, str]:
    """Return the tags of a volume's snapshot, whose file system it has. None where that is gone."""
    wanted = [{"Name": "snapshot-id", "Values": [one.snapshot or "snap-none"]}]
    return next(
        (from_aws(s.get("Tags")) for s in session.resource_types["snapshot"].find(session.cloud, one.region, wanted)),
        {},
    )
