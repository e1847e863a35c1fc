"""Whether a launch continues runs that were interrupted: its instances then begin with the outputs of those.

The instances of those runs are gone by then: a launch is refused while one is even shutting down (resume.py), and a
watch relaunches what AWS has terminated. So nobody else writes where the new ones do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ec2lab.config.models import Experiment
from ec2lab.errors import UserError
from ec2lab.registry.history import History
from ec2lab.registry.record import OUTPUTS, PROVENANCE, RESUMES
from ec2lab.runs.exit_status import KILLED
from ec2lab.runs.outputs import origin_in, outputs_uri
from ec2lab.runs.s3_download import S3Prefix
from ec2lab.runs.s3_logs import run_bucket
from ec2lab.session import Session
from ec2lab.units import counted, format_bytes


@dataclass(frozen=True, slots=True)
class Resumption:
    """The runs that a launch continues."""

    origins: Sequence[str] = ()
    """The instances that began them; the outputs lie under their ids. Empty if the launch starts fresh."""
    lines: Sequence[str] = ()  # what to tell the user

    def by_instance(self, instances: Sequence[str]) -> dict[str, str]:
        """Return the origin of each instance that has one, in the order of the launch."""
        return dict(zip(instances, self.origins, strict=False))


def resumption(
    session: Session, name: str, experiment: Experiment, *, fresh: bool, taken: Collection[str]
) -> Resumption:
    """Return what a launch continues, according to the registry and the bucket. Raises UserError.

    AWS has `taken` instances, as far as that is known here.
    """
    if experiment.outputs is None or experiment.artifact_uri is None:
        return Resumption()
    past = History(session.records.history(name)).of(name)
    if past.interrupted and not past.failed and past.run and RESUMES in past.run:
        origins = past.run[RESUMES]  # the launch itself was interrupted, and may have delivered to some instances
        return Resumption(origins, list(_resuming_lines(session, name, experiment.artifact_uri, origins)))
    before = [one for one in (past.ran[1].get(PROVENANCE, ()) if past.ran else ()) if OUTPUTS in one]
    if not before:
        return Resumption()
    if why := _ended(past.torn_down, None if taken else past.exit_code, fresh=fresh):
        return Resumption(lines=[f"  outputs start empty: {why}"])
    origins = list(_interrupted(session, name, experiment.artifact_uri, before, taken))
    if not origins:
        return Resumption(lines=["  outputs start empty: the command had ended, or wrote elsewhere"])
    return Resumption(origins, list(_resuming_lines(session, name, experiment.artifact_uri, origins)))


def _ended(torn_down: bool, exit_code: int | None, *, fresh: bool) -> str:
    """Return why the last run is not continued; empty if it may be."""
    if fresh:
        return "FRESH=1"
    if torn_down:
        return "the run before was torn down"
    return "" if exit_code is None else f"the command before ended with {exit_code}"


def _interrupted(
    session: Session, name: str, artifact_uri: str, before: Sequence[Mapping[str, Any]], taken: Collection[str]
) -> Iterator[str]:
    """Yield the origins of instances whose command did not end by itself. Raises UserError."""
    for one in before:
        uri, origin = one[OUTPUTS]["uri"], origin_in(one[OUTPUTS]["uri"])
        try:
            ending = run_bucket(session, artifact_uri, name, one["instance"]).ending()
        except UserError as problem:
            raise UserError(
                f"{name}: whether to resume is unknown: {problem}; FRESH=1 starts without the last outputs"
            ) from problem
        was_killed = ending and ending.exit_code > KILLED and one["instance"] in taken
        is_over = ending and not ending.interrupted and not was_killed
        if not is_over and uri == outputs_uri(artifact_uri, name, origin):
            yield origin


def _resuming_lines(session: Session, name: str, artifact_uri: str, origins: Sequence[str]) -> Iterator[str]:
    for origin in origins:
        try:
            sizes = [one.size for one in S3Prefix.at(session, outputs_uri(artifact_uri, name, origin)).objects()]
            what = f"{counted(len(sizes), 'file')}, {format_bytes(sum(sizes))}"
        except UserError as problem:  # the instance reads them by its own role
            what = f"not seen from here: {problem}"
        yield f"  resuming from {origin} ({what}); FRESH=1 starts fresh"
