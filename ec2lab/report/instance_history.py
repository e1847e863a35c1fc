"""What a report shows of the past: every instance, and every refusal on the way to one. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ec2lab.aws.error_codes import CATEGORIES, REGION_OUT, ApiError, ErrorCategory
from ec2lab.registry.history import History, LaunchError
from ec2lab.registry.instance_timeline import InstanceTimeline, Run

INSTANCE = "instance"
REFUSED_LATE = {ErrorCategory.INSUFFICIENT_CAPACITY, ErrorCategory.COMPUTE_QUOTA, *REGION_OUT}


@dataclass(frozen=True, slots=True)
class Past:
    """All instances and refusals that are on record."""

    lives: Sequence[InstanceTimeline]
    refused: Sequence[LaunchError]
    base: Callable[[str], str]
    """Gives the name that an experiment is shown under: a sweep's trials all have the sweep's."""


def past(history: History, now: datetime) -> Past:
    """Return what became of each instance until now: it ran when it is paid for, and died where it never came to run.

    An instance that died for lack of capacity or quota is a refusal as well.
    """
    ended = (instance.as_of(now) for instance in history.instances.values())
    lives = [replace(life, runs=life.runs or [Run(life.began, life.ended)]) for life in ended]
    late = [error for life in lives for error in _late_error(life)]
    return Past(lives, [*history.errors, *late], history.base)


def _late_error(life: InstanceTimeline) -> Iterator[LaunchError]:
    code = life.fate.removeprefix("Server.").removeprefix("Client.")
    if life.ended and CATEGORIES.get(code) in REFUSED_LATE:
        yield LaunchError(
            id=life.id, at=life.ended.isoformat(), experiment=life.experiment or "", region=life.region, zone=life.zone,
            type=life.type, market=life.market, instances=(), error=ApiError(life.fate, "", late=True),
        )  # fmt: skip
