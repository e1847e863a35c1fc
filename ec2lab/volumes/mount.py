"""Mounts a volume on a running instance: created if needed, attached, mounted; and the reverse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from ec2lab.aws.error_codes import ErrorCategory
from ec2lab.aws.errors import AWS_ERRORS, api_error, ignoring, reason
from ec2lab.aws.tags import INSTANCE, MOUNTED, from_aws, tag_specifications
from ec2lab.context import current_experiment
from ec2lab.datasets.dataset import UUID
from ec2lab.errors import UserError
from ec2lab.hosts.ssh import Host
from ec2lab.interrupts import INTERRUPTS
from ec2lab.polling import wait_until
from ec2lab.resources.idempotency import find_or_create
from ec2lab.session import Session
from ec2lab.volumes.mounted import AttachedVolume, VolumesOnHost
from ec2lab.volumes.spec import VolumeSpec, free_device

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

POLL = 0.2, 5.0
OVER = ("deleting", "deleted", "error")
PATIENCE = 600.0  # seconds to wait for a volume to become available, attached or detached

Description = Mapping[str, Any]


@dataclass(frozen=True)
class Instance:
    """A running instance: AWS's description, and ssh access."""

    host: Host
    region: str
    description: Description

    @property
    def id(self) -> str:
        return str(self.description["InstanceId"])

    @property
    def zone(self) -> str:
        """A volume can be attached only within its zone."""
        return str(self.description["Placement"]["AvailabilityZone"])


@dataclass(frozen=True)
class MountRequest:
    """What to mount: a volume, or one created from a snapshot."""

    mount: str
    volume: str = ""
    snapshot: Description = field(default_factory=dict)
    read_only: bool = False


@dataclass(frozen=True)
class VolumeMounter:
    """Mounts a volume on an instance. `say` is called for each step."""

    session: Session
    instance: Instance
    say: Callable[[str], None]

    @property
    def ec2(self) -> EC2Client:
        return self.session.cloud.ec2(self.instance.region)

    def mount(self, wanted: MountRequest) -> str:
        """Mount what is wanted and return the volume's id. If a step fails, the steps before it are undone.

        A volume that an earlier run created for this mount point and instance, and did not mount, is used.
        """
        self.instance.host.run_as_root("")  # where nothing can run as root, nothing is created in AWS
        undoing = ExitStack()
        with INTERRUPTS.undone_on_failure(lambda _: undoing.close(), "run the same command again to continue"):
            volume = wanted.volume or self._make(wanted, undoing)
            device = self._attach(volume, undoing)
            if not wanted.volume:
                # An existing volume outlives the instance; one created for it is deleted with it.
                self._delete_with_instance(volume, device)
            document = VolumeSpec(
                mount=wanted.mount, device=device, volume=volume, read_only=wanted.read_only,
                uuid=from_aws(wanted.snapshot.get("Tags")).get(UUID),
            )  # fmt: skip
            self._mount_there(document, undoing)
            undoing.pop_all()
        return volume

    def unmount(self, attached: AttachedVolume) -> bool:
        """Unmount and detach a volume; delete it, and return True, if it was created for this mount point.

        Nothing is detached before the instance has proved that nothing uses it.
        """
        document = VolumeSpec(mount=attached.mount, device=attached.device, volume=attached.id)
        self._on_host.unmount(document)
        try:
            return self._give_back(attached)
        except BaseException:
            again = f"`make volume-unmount HOST={self.instance.host.name} VOLUME={attached.id}`"
            self.say(
                f"{attached.id} is unmounted, but may still be attached, or cost money; {again} continues from here"
            )
            raise

    def _give_back(self, attached: AttachedVolume) -> bool:
        """Detach an unmounted volume; delete it, and return True, if it was created for its mount point."""
        self._detach(attached.id)
        return self._delete_if_made_for(attached.id, attached.mount)

    def finish_unmount(self, volume: str) -> bool:
        """Delete a volume that an earlier run unmounted and detached but did not delete; False for any other."""
        attached = [one.get("Ebs", {}).get("VolumeId") for one in self.instance.description["BlockDeviceMappings"]]
        return volume not in attached and self._delete_if_made_for(volume, "")

    def _delete_if_made_for(self, volume: str, mount: str) -> bool:
        """Delete a volume, and return True, if it was created to be mounted on this instance, there or anywhere."""
        found = self._described(volume)
        tags = from_aws(found.get("Tags"))
        made_for, here = tags.get(MOUNTED, ""), tags.get(INSTANCE) == self.instance.id
        made_for_it = bool(made_for) and mount in ("", made_for) and here and self._is_ours(found)
        if made_for_it:
            self.ec2.delete_volume(VolumeId=volume)
        return made_for_it

    @property
    def _on_host(self) -> VolumesOnHost:
        return VolumesOnHost(self.instance.host, self.say)

    def _mount_there(self, document: VolumeSpec, undoing: ExitStack) -> None:
        """Have the instance mount a volume. If something may use it afterwards, nothing is undone."""
        try:
            self._on_host.mount(document)
        except BaseException as problem:
            if not self._on_host.is_left_alone(problem):
                undoing.pop_all()
                self.say(f"{document.volume} stays attached: {self.instance.host.name} may be using it")
            raise

    def _make(self, wanted: MountRequest, undoing: ExitStack) -> str:
        tags = {MOUNTED: wanted.mount, INSTANCE: self.instance.id}
        snapshot = wanted.snapshot["SnapshotId"]
        request: dict[str, Any] = {
            "AvailabilityZone": self.instance.zone,
            "SnapshotId": snapshot,
            "VolumeType": "gp3",
            "TagSpecifications": tag_specifications(tags, "volume"),
        }
        if not wanted.snapshot.get("Encrypted"):
            request["Encrypted"] = True
        with self._telling_what_may_be_there():
            volume, made = find_or_create(
                self.session,
                ("CreateVolume", self.instance.region, tags),
                lambda: self._made_earlier(tags, snapshot),
                lambda: str(self.session.cloud.ec2_no_retry(self.instance.region).create_volume(**request)["VolumeId"]),
                lambda error: self.say(f"{error}; retrying soon"),
            )
        undoing.callback(self._undo, self._delete, volume)
        self.say(f"{volume} {'was created' if made else 'was created earlier'} from {snapshot} in {self.instance.zone}")
        self._wait_until(volume, lambda found: found["State"] in ("available", "in-use"), "available")
        return volume

    @contextmanager
    def _telling_what_may_be_there(self) -> Iterator[None]:
        """On an early end, report that a volume may have been created whose id is unknown."""
        try:
            yield
        except BaseException:
            open_intents = self.session.records.state(current_experiment()).unresolved
            if any(intent.operation == "CreateVolume" for intent in open_intents):
                self.say(
                    "a volume may have been created; run the same command again to continue, "
                    f"`make teardown EXP={current_experiment()}` deletes it"
                )
            raise

    def _made_earlier(self, tags: Mapping[str, str], snapshot: str) -> str | None:
        filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()]
        found = self.session.resource_types["volume"].find(self.session.cloud, self.instance.region, filters)
        there = [v for v in found if v.get("SnapshotId") == snapshot and v["State"] not in OVER]
        return next((str(volume["VolumeId"]) for volume in there if self._is_ours(volume)), None)

    def _is_ours(self, found: Description) -> bool:
        """Say whether this registry created a volume, whatever its tags say."""
        return self.session.records.ownership(self.session.records.state()).proves(
            self.session.resource_types["volume"], found
        )

    def _attach(self, volume: str, undoing: ExitStack) -> str:
        """Attach a volume and return its device name; one already attached here stays attached, whatever happens.

        It may be in use: an earlier run got that far, or further.
        """
        for attachment in self._described(volume).get("Attachments", ()):
            if attachment["InstanceId"] != self.instance.id:
                raise UserError(f"VOLUME: {volume} is attached to {attachment['InstanceId']}; detach it there first")
            undoing.pop_all()
            return str(attachment["Device"])
        device = free_device(self.instance.description)
        try:
            self.ec2.attach_volume(VolumeId=volume, InstanceId=self.instance.id, Device=device)
        except BaseException as problem:
            # Repeated by botocore after a lost response, the call reports the volume in use: here, by itself.
            if not (_code(problem) == "VolumeInUse" and self._is_attached(volume)):
                if not _is_rejected(problem):
                    undoing.callback(self._undo, self._detach, volume)
                raise
        undoing.callback(self._undo, self._detach, volume)
        self.say(f"{volume} is attached as {device}")
        self._wait_until(volume, lambda found: _attachment(found) == "attached", "attached")
        return device

    def _is_attached(self, volume: str) -> bool:
        there = self._described(volume).get("Attachments", ())
        return any(attachment["InstanceId"] == self.instance.id for attachment in there)

    def _delete_with_instance(self, volume: str, device: str) -> None:
        self.ec2.modify_instance_attribute(
            InstanceId=self.instance.id,
            BlockDeviceMappings=[{"DeviceName": device, "Ebs": {"VolumeId": volume, "DeleteOnTermination": True}}],
        )

    def _detach(self, volume: str) -> None:
        with ignoring("IncorrectState"):  # not attached, or being detached
            self.ec2.detach_volume(VolumeId=volume, InstanceId=self.instance.id)
        self._wait_until(volume, lambda found: found["State"] == "available", "detached")
        self.say(f"{volume} is detached")

    def _undo(self, step: Callable[[str], None], volume: str) -> None:
        """Undo a step; if that fails too, report it and keep the first error."""
        try:
            step(volume)
        except (*AWS_ERRORS, UserError) as problem:
            self.say(f"{volume} could not be rolled back: {reason(problem)}; run the same command again to continue")

    def _delete(self, volume: str) -> None:
        self.ec2.delete_volume(VolumeId=volume)
        self.say(f"{volume} is deleted")

    def _described(self, volume: str) -> Description:
        return self.ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]

    def _wait_until(self, volume: str, there: Callable[[Description], bool], state: str) -> None:
        def is_there() -> bool:
            with ignoring("InvalidVolume.NotFound"):  # too new to be visible
                found = self._described(volume)
                if found["State"] == "error" and not there(found):
                    raise UserError(f"{volume}: AWS could not create it (often because a KMS key may not be used)")
                return there(found)
            return False

        if not wait_until(is_there, self.session.pause, POLL, PATIENCE):
            raise UserError(f"{volume}: not {state} after {PATIENCE:.0f} s")


def _code(problem: BaseException) -> str:
    return str(problem.response["Error"].get("Code")) if isinstance(problem, ClientError) else ""


def _is_rejected(problem: BaseException) -> bool:
    """Say whether a call certainly did nothing: AWS rejected its only try."""
    if not isinstance(problem, ClientError) or problem.response["ResponseMetadata"].get("RetryAttempts"):
        return False
    return api_error(problem).category is not ErrorCategory.AMBIGUOUS


def _attachment(found: Description) -> str:
    return next((str(attachment["State"]) for attachment in found.get("Attachments", ())), "")
