"""What contradicts itself in an experiment's file. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import combinations
from typing import TYPE_CHECKING

from ec2lab.config.container import ecr_repository
from ec2lab.units import duration_text

if TYPE_CHECKING:
    from ec2lab.config.models import Experiment

NO_CLUSTER_PLACEMENT = ("t1.", "t2.", "t3.", "t3a.", "t4g.")
"""https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/placement-strategies.html#placement-groups-limitations-cluster"""
MIN_IDLE = timedelta(minutes=1)
COMMANDS_OWN = ("code", "artifact_uri", "secrets", "container", "outputs")
"""What an experiment without a command has no use for."""
SYNC_LIMITS = timedelta(seconds=10), timedelta(days=1)


def contradictions(experiment: Experiment) -> Iterator[str]:
    """Yield each contradiction in one line, with what would be valid."""
    for found in (
        _of_types, _of_times, _of_command, _of_outputs, _of_nodes, _of_variables, _of_secrets, _of_mounts,
    ):  # fmt: skip
        yield from found(experiment)


def _of_types(experiment: Experiment) -> Iterator[str]:
    if not experiment.instance_types and not experiment.gpu:
        yield 'instance_types: is missing (try instance_types = ["p4d.24xlarge", "g5.12xlarge"], or gpu = "A100:8")'
    if experiment.instance_types and experiment.gpu:
        yield "gpu: instance_types are named too; leave one of the two out"


def _of_times(experiment: Experiment) -> Iterator[str]:
    if experiment.idle_timeout is not None and experiment.idle_timeout < MIN_IDLE:
        yield f'idle_timeout = "{duration_text(experiment.idle_timeout)}": instances check once a minute (try "30m")'


def _of_command(experiment: Experiment) -> Iterator[str]:
    if experiment.command is None and (lonely := next((key for key in COMMANDS_OWN if getattr(experiment, key)), "")):
        yield f'{lonely} requires a command; add one (command = "python3 train.py")'
    if experiment.artifact_uri and not experiment.instance_profile:
        yield "artifact_uri requires an instance_profile that lets the instance write there"
    if experiment.container and ecr_repository(experiment.container) and not experiment.instance_profile:
        yield "container: is in Amazon ECR, and requires an instance_profile with which the instance can pull it"
    if experiment.on_completion == "teardown" and not experiment.artifact_uri:
        yield (
            'on_completion = "teardown" requires an artifact_uri ("s3://…"), or the log and the exit code '
            "would go with the instance"
        )


def _of_outputs(experiment: Experiment) -> Iterator[str]:
    if experiment.outputs is None and "sync_every" in experiment.model_fields_set:
        yield 'sync_every is of use to outputs alone; add the directory to upload (outputs = "/outputs")'
    if experiment.outputs is None:
        return
    if not experiment.artifact_uri:
        yield 'outputs requires an artifact_uri ("s3://…"), where its files go'
    shortest, longest = SYNC_LIMITS
    if not shortest <= experiment.sync_every <= longest:
        yield (
            f'sync_every = "{duration_text(experiment.sync_every)}": must be between '
            f'{duration_text(shortest)} and {duration_text(longest)} (try "60s")'
        )
    if data := next(
        (one.mount for one in experiment.data if f"{experiment.outputs}/".startswith(f"{one.mount}/")), None
    ):
        yield f"outputs: {experiment.outputs} is on the dataset mounted on {data}; choose another directory"
    if inner := next((one.mount for one in experiment.mounted if one.mount.startswith(f"{experiment.outputs}/")), None):
        yield f"outputs: {inner} is mounted in {experiment.outputs}, and would be uploaded with it"


def _of_nodes(experiment: Experiment) -> Iterator[str]:
    if experiment.nodes > 1 and (
        burstable := next((kind for kind in experiment.instance_types if kind.startswith(NO_CLUSTER_PLACEMENT)), None)
    ):
        yield f"nodes: {burstable} can't be in a cluster placement group, which supports no t types"
    if experiment.nodes > 1 and experiment.on_interruption == "relaunch":
        yield (
            'on_interruption = "relaunch" is for one instance; nodes work together, and all would start '
            "again: leave it out"
        )


def _of_variables(experiment: Experiment) -> Iterator[str]:
    sections = {
        "parameters": {*experiment.parameters},
        "matrix": {*experiment.matrix},
        "secrets": {*experiment.secrets},
    }
    for (one, names), (other, others) in combinations(sections.items(), 2):
        if both := names & others:
            yield f"{min(both)} is in {one} and in {other}; remove it from one"


def _of_secrets(experiment: Experiment) -> Iterator[str]:
    on_instance = next((name for name, source in experiment.secrets.items() if not source.is_from_launcher), None)
    if on_instance and not experiment.instance_profile:
        yield f"secrets.{on_instance} requires an instance_profile that lets the instance read it"


def _of_mounts(experiment: Experiment) -> Iterator[str]:
    mounts = [volume.mount for volume in experiment.mounted]
    if len(set(mounts)) < len(mounts):
        yield f"two volumes can't share a mount point: {', '.join(mounts)}"
    for outer in (volume for volume in experiment.mounted if not volume.is_roots_alone):
        if inner := next((mount for mount in mounts if mount.startswith(f"{outer.mount}/")), None):
            yield f"{inner} lies in {outer.mount}, whose owner could place a link; mount it elsewhere"
