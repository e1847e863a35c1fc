"""Building a version of a data set from a bucket: a launch with parts, whose scratch volume becomes the snapshot."""

from __future__ import annotations

import shlex

from scripts.core.config import Experiment
from scripts.core.console import Console
from scripts.core.ending import UNIT, ending_on
from scripts.core.errors import LabError
from scripts.core.experiment_launch import launch_experiment
from scripts.core.host_program import sent
from scripts.core.hosts import host_of
from scripts.core.launch_report import LaunchReport
from scripts.core.polling import growing
from scripts.core.remote import Host
from scripts.core.removal import remove_everything
from scripts.core.session import Session
from scripts.core.volume_config import Scratch
from scripts.core.volume_ends import save_volumes

MOUNT = "/build"
ACCOUNT = "experiment"
FIRST_POLL, LONGEST_POLL = 1.0, 30.0
LEAST_IOPS, IOPS_PER_GIB = 3000, 500
"""https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html"""


def build_from_bucket(
    session: Session, console: Console, dataset: str, source: str, gib: int, version: str | None, places: list[str]
) -> None:
    """Launch a machine that pulls and compares, snapshot its volume, and take it down. Raises LabError.

    `places` are the regions that it may be launched in; the lab's where there are none.
    Where the pull fails, everything is taken down and no version is made.
    """
    name = f"build-{dataset}"
    experiment = _experiment(session, dataset, source, gib, version, places)
    report = LaunchReport(console, name)
    launch_experiment(session, name, experiment, report)
    failure = _failure(session, host_of(session, name), console)
    if failure is None:
        save_volumes(session, name, lambda said: console.say(f"  {said}", "saving", said=said))
    remove_everything(session, name, report.deleted)
    if failure is not None:
        raise LabError(f"{source}: was not pulled whole: {failure}; everything is taken down, nothing was made of it")
    console.say(f"{dataset}: built from {source}", "complete", style="green", dataset=dataset)


def _failure(session: Session, host: Host, console: Console) -> str | None:
    """Wait until the pull has ended; return its last words if it failed, None if it did well."""
    pauses = growing(FIRST_POLL, LONGEST_POLL)
    while not (ending := ending_on(host)):
        console.progress(f"  {host.name}: pulls")
        session.pause(next(pauses))
    if not ending.exit_code:
        return None
    last = host.run("sudo", "-n", "journalctl", "-u", UNIT, "--no-pager", "-n", "5", "-o", "cat")
    return f"exit code {ending.exit_code}: {'; '.join(last.splitlines())}"


def _experiment(
    session: Session, dataset: str, source: str, gib: int, version: str | None, places: list[str]
) -> Experiment:
    build = session.lab.build
    # gp3 has at most 500 iops for a GiB, and a MiB/s for every 4 iops.
    iops = max(LEAST_IOPS, min(build.iops, IOPS_PER_GIB * gib))
    scratch = Scratch(
        mount=MOUNT, gib=gib, dataset=dataset, version=version, at_teardown="snapshot", owner=ACCOUNT,
        iops=iops, throughput=min(build.throughput, iops // 4),
    )  # fmt: skip
    command = f"python3 - {shlex.quote(source)} {MOUNT} <<'END_OF_PROGRAM'\n{sent('pull-from-s3.py')}END_OF_PROGRAM\n"
    return Experiment(
        types=build.types, regions=places or None, scratch=[scratch], command=command, instance_profile=build.instance_profile,
        on_failed_boot="teardown",
    )  # fmt: skip
