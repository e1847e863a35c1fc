"""Waiting until the commands of experiments have ended, however many they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from scripts.core.aws.aws_errors import in_words
from scripts.core.current_experiment import Threads, working_on
from scripts.core.errors import LabError
from scripts.core.machines.taking_down import living_experiments
from scripts.core.names import is_pattern
from scripts.core.runs.ending import ENDED
from scripts.core.runs.experiment_run import Run, runs_of
from scripts.core.session import Session

AT_ONCE = 64
"""Experiments that are looked at at once; most of the time each waits for its next look."""


def wait_for_all(session: Session, name: str, say: Callable[[str], None]) -> Iterator[tuple[str, int]]:
    """Yield each experiment that a name or a pattern means, and the exit code that its command ended with.

    In the order of their names; each is put on record. Raises LabError.
    """
    names = living_experiments(session, name) if is_pattern(name) else [name]
    if not names:
        raise LabError(f"EXP: {name}: nothing that lives matches")
    runs = {one: runs_of(session, one) for one in names}
    with Threads(AT_ONCE) as threads:
        ends = {one: threads.submit(_wait, session, one, machines, say) for one, machines in runs.items()}
        try:
            for one, end in ends.items():
                yield one, end.result()
        except BaseException:
            session.over.set()
            threads.shutdown(wait=True, cancel_futures=True)
            raise


def _wait(session: Session, name: str, machines: list[Run], say: Callable[[str], None]) -> int:
    """Return the first exit code of an experiment's machines that is not 0, or 0."""
    with in_words(), working_on(name):
        codes = [machine.wait(say).exit_code for machine in machines]
        code = next((code for code in codes if code), 0)
        session.recorder.note(**{ENDED: {"exit_code": code}})
        return code
