"""Rolls back a failed launch: deletes what it created, or records that it created nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass

from ec2lab.aws.errors import AWS_ERRORS, reason
from ec2lab.errors import UserError
from ec2lab.events import Emit
from ec2lab.events.launch import RolledBack, RollingBack
from ec2lab.instances.deletion import delete_experiment
from ec2lab.interrupts import INTERRUPTS
from ec2lab.launch.resume import AlreadyRunning
from ec2lab.launch.run_instances import RequestRejected
from ec2lab.launch.wait_for_boot import NotReached
from ec2lab.registry.record import FAILED, NOT_REACHED
from ec2lab.registry.recorder import Recorder
from ec2lab.registry.redaction import text_without_secrets
from ec2lab.registry.state import DELETED, RESOLVED
from ec2lab.session import Session


@contextmanager
def failure_recorded(recorder: Recorder) -> Iterator[None]:
    try:
        yield
    except AlreadyRunning:
        raise
    except (UserError, *AWS_ERRORS) as problem:
        note = NOT_REACHED if isinstance(problem, NotReached) else FAILED
        with suppress(UserError):  # report the launch's own error, not this one
            recorder.annotate(**{note: text_without_secrets(_why(problem))})
        raise


@dataclass
class Rollback:
    """Tracks whether AWS may have a resource of the launch, and deletes it if the launch fails."""

    session: Session
    name: str
    emit: Emit
    may_hold_something: bool = False
    """Whether AWS may have a resource of the launch: an instance, or the groups of nodes."""
    _has_asked: bool = False

    def on_failure(self) -> AbstractContextManager[None]:
        """Roll back if anything interrupts the block: an instance that nobody knows about costs money."""
        return INTERRUPTS.undone_on_failure(self._undo, f"`make teardown EXP={self.name}` deletes it")

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Surround a RunInstances call. Unless AWS rejects the call, the launch may have instances from then on."""
        held = self.may_hold_something
        self.asked_before()
        try:
            yield
        except RequestRejected:
            self.may_hold_something = held
            raise

    def asked_before(self) -> None:
        self.may_hold_something = self._has_asked = True

    def _undo(self, problem: BaseException) -> None:
        # An interrupted sweep keeps its instances; the next one resumes it.
        if not isinstance(problem, AlreadyRunning) and not self.session.over.is_set():
            self._delete(problem) if self.may_hold_something else self._record_clean_failure()

    def _record_clean_failure(self) -> None:
        """Record that every request was rejected, so that the records can be archived."""
        if self._has_asked:
            with suppress(UserError):  # report the launch's own error; the records are archived later
                self.session.recorder.annotate(**{DELETED: [], RESOLVED: []})

    def _delete(self, problem: BaseException) -> None:
        try:
            self.emit(RollingBack(experiment=self.name))
            deletion = delete_experiment(self.session, self.name, self.emit)
            if not deletion.unseen:
                self.emit(RolledBack(experiment=self.name))
        except BaseException as failure:
            first, second = (_why(error) for error in (problem, failure))
            how = f"run `make teardown EXP={self.name}`"
            raise UserError(f"{first}; and the rollback failed ({second}): {how}") from failure


def _why(error: BaseException) -> str:
    return (reason(error, place=True) if isinstance(error, Exception) else str(error)) or "interrupted"
