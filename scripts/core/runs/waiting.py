"""Waiting until the commands of experiments have ended, however many they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scripts.core.aws.aws_errors import in_words
from scripts.core.current_experiment import Threads, working_on
from scripts.core.errors import LabError
from scripts.core.machines.taking_down import living_experiments
from scripts.core.names import is_pattern
from scripts.core.runs.ending import ENDED
from scripts.core.runs.experiment_run import runs_of
from scripts.core.session import Session

AT_ONCE = 64
"""Experiments that are looked at at once; most of the time each waits for its next look."""


@dataclass(frozen=True, slots=True)
class Waited:
    """How the command of an experiment ended, or why that is not known."""

    name: str
    exit_code: int = 0
    problem: str = ""


def wait_for_all(session: Session, name: str, say: Callable[[str], None]) -> Iterator[Waited]:
    """Yield how the commands ended of each experiment that a name or a pattern means, in the order of their names.

    Each is put on record. One of which that can't be known keeps no other. Raises LabError where none is meant.
    """
    names = living_experiments(session, name) if is_pattern(name) else [name]
    if not names:
        raise LabError(f"EXP: {name}: nothing that lives matches")
    with Threads(AT_ONCE) as threads:
        ends = [threads.submit(_waited, session, one, say) for one in names]
        try:
            for end in ends:
                yield end.result()
        except BaseException:
            session.over.set()
            threads.shutdown(wait=True, cancel_futures=True)
            raise


def _waited(session: Session, name: str, say: Callable[[str], None]) -> Waited:
    try:
        return Waited(name, _wait(session, name, say))
    except LabError as problem:
        return Waited(name, problem=str(problem))


def _wait(session: Session, name: str, say: Callable[[str], None]) -> int:
    """Return the first exit code of an experiment's machines that is not 0, or 0."""
    with in_words(), working_on(name):
        codes = [machine.wait(say).exit_code for machine in runs_of(session, name)]
        code = next((code for code in codes if code), 0)
        session.recorder.note(**{ENDED: {"exit_code": code}})
        return code
