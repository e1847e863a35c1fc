"""Builds a dataset from a bucket: a launch whose scratch volume becomes the snapshot."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from ec2lab.aws.tags import DELETION_POLICY, to_aws
from ec2lab.config.models import Experiment
from ec2lab.config.volume import Scratch
from ec2lab.console import Console
from ec2lab.errors import UserError
from ec2lab.events import Emit, Step
from ec2lab.events.datasets import DatasetBuilt
from ec2lab.hosts.call_failures import Unreachable
from ec2lab.hosts.inventory import region_of, running_instances
from ec2lab.hosts.named_hosts import host_for_experiment
from ec2lab.hosts.program_packer import sent
from ec2lab.hosts.ssh import Host
from ec2lab.instances.deletion import delete_experiment
from ec2lab.launch.launcher import launch_experiment
from ec2lab.launch.resume import AlreadyRunning
from ec2lab.polling import wait_until
from ec2lab.registry.history import History
from ec2lab.registry.record import PULLS
from ec2lab.runs.exit_status import LOG, Ending, read_exit_status
from ec2lab.session import Session
from ec2lab.volumes.apply_deletion_policy import apply_deletion_policies
from ec2lab.volumes.spec import DEVICES

MOUNT = "/build"
ACCOUNT = "experiment"
POLL = 1.0, 30.0
LEAST_IOPS, IOPS_PER_GIB = 3000, 500  # https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html


def build_from_bucket(
    session: Session, console: Console, dataset: str, source: str, gib: int, version: str | None, places: list[str]
) -> None:
    """Launch an instance that copies and verifies, snapshot its volume, and terminate it. Raises UserError.

    `places` are the regions to launch in; by default the lab's. If copying fails, everything is deleted and no version
    is created. Run again after an interruption, it continues with the existing instance.
    """
    name = f"build-{dataset}"
    _launch(session, name, console.emit, _experiment(session, dataset, source, gib, version, places), source)
    failure = _failure(session, name, console)
    unseen: Mapping[str, Exception] = {}
    if failure is None:
        _create_version(session, name, " ".join(filter(None, ("snapshot", dataset, version))))
        unseen = apply_deletion_policies(session, name, console.emit)
    delete_experiment(session, name, console.emit, unseen=unseen)
    if failure is not None:
        raise UserError(
            f"{source}: was not downloaded completely: {failure}; everything was deleted, and no version was created"
        )
    console.emit(DatasetBuilt(dataset=dataset, source=source))


def _launch(session: Session, name: str, emit: Emit, experiment: Experiment, source: str) -> None:
    """Launch the instance, unless it is live and copies the same. Raises UserError."""
    earlier = History(session.records.current(name)).of(name).pulls
    if name in session.records.state(name).names and earlier != source:
        does = f"downloads {earlier}" if earlier else "is not a dataset build"
        raise UserError(f"{name} is live, and {does}; `make teardown EXP={name}` deletes it")
    # After the check of ownership: from now on anything with its name looks like this build's.
    session.recorder.annotate(**{PULLS: source})
    try:
        launch_experiment(session, name, experiment, emit)
    except AlreadyRunning:
        emit(Step(experiment=name, message=f"{name} is already live: waiting for its download"))


def _create_version(session: Session, name: str, end: str) -> None:
    """Set the volume, now complete, to be snapshotted. Raises UserError where the instance is gone."""
    instance, *_ = running_instances(session, name) or [{}]
    mapping = next((m for m in instance.get("BlockDeviceMappings", ()) if m["DeviceName"] == DEVICES[0]), None)
    if mapping is None:
        raise UserError(f"{name}: its instance no longer exists, nor does what it downloaded; build it again")
    ec2, volume = session.cloud.ec2(region_of(instance)), mapping["Ebs"]["VolumeId"]
    outlives = {"DeviceName": DEVICES[0], "Ebs": {"VolumeId": volume, "DeleteOnTermination": False}}
    ec2.modify_instance_attribute(InstanceId=instance["InstanceId"], BlockDeviceMappings=[outlives])  # type: ignore[list-item]
    ec2.create_tags(Resources=[volume], Tags=to_aws({DELETION_POLICY: end}))  # type: ignore[arg-type]


def _failure(session: Session, name: str, console: Console) -> str | None:
    """Wait until copying has ended; return the end of its log if it failed. Raises UserError without an instance."""
    seen = False

    def finished() -> tuple[Host, Ending] | None:
        nonlocal seen
        try:
            host = host_for_experiment(session, name)
            ending = read_exit_status(host)
        except Unreachable as problem:
            if not seen:
                raise UserError(f"{problem}; `make teardown EXP={name}` cancels it") from problem
            console.hint(f"  {problem}; retrying soon")
            return None
        seen = True
        if not ending:
            console.progress(f"  {host.name}: pulls")
        return (host, ending) if ending else None

    host, ending = wait_until(finished, session.pause, POLL)
    return _log_tail(host, ending) if ending.exit_code else None


def _log_tail(host: Host, ending: Ending) -> str:
    last = host.run("sudo", "-n", "tail", "-n", "5", LOG)
    return f"exit code {ending.exit_code}: {'; '.join(last.splitlines())}"


def _experiment(
    session: Session, dataset: str, source: str, gib: int, version: str | None, places: list[str]
) -> Experiment:
    build = session.lab.dataset_builder
    # gp3 has at most 500 iops per GiB, and one MiB/s per 4 iops.
    iops = max(LEAST_IOPS, min(build.iops, IOPS_PER_GIB * gib))
    scratch = Scratch(
        mount=MOUNT, size_gib=gib, dataset=dataset, version=version, owner=ACCOUNT,
        iops=iops, throughput=min(build.throughput, iops // 4),
    )  # fmt: skip
    command = f"python3 - {shlex.quote(source)} {MOUNT} <<'END_OF_PROGRAM'\n{sent('pull-from-s3.py')}END_OF_PROGRAM\n"
    return Experiment(
        instance_types=build.instance_types, regions=places or None, scratch=[scratch], command=command,
        instance_profile=build.instance_profile, on_boot_failure="teardown",
    )  # fmt: skip
