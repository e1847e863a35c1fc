"""Teardown of an experiment, or of all that match a pattern: volumes are saved first, then everything is deleted."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from ec2lab.aws.errors import in_words
from ec2lab.context import ContextThreadPool, working_on
from ec2lab.errors import UserError
from ec2lab.events import Emit, RegionsUnavailable
from ec2lab.events.teardown import TeardownComplete, TeardownFailed
from ec2lab.hosts.ssh_config import SshConfig
from ec2lab.instances.deletion import Deletion, delete_experiment
from ec2lab.interrupts import INTERRUPTS
from ec2lab.registry.account_records import AccountRecords
from ec2lab.registry.history import History
from ec2lab.registry.state import DELETED, RESOLVED
from ec2lab.session import Session
from ec2lab.validators import few
from ec2lab.volumes.apply_deletion_policy import apply_deletion_policies
from ec2lab.volumes.retention import retained_events, retained_volumes

AT_ONCE = 32  # concurrent teardowns


def take_down(session: Session, experiment: str, emit: Emit) -> Deletion:
    """Tear down one experiment, whose lock the caller holds.

    Raises UserError where it was never launched, and where something is left that no plugin here can delete.
    """
    session.records.expect_here(experiment)
    # Even if the registry says that all of it is gone, AWS is asked.
    ever = None if session.records.state(experiment).names else session.records.state_with_history(experiment)
    if ever and not ever.seen:
        session.expect_known(experiment)
        names = live_experiments(session.records)
        lives = f"live: {few(names)}" if names else "nothing is live"
        raise UserError(f"{experiment}: was never launched from this registry ({lives})")
    unseen = apply_deletion_policies(session, experiment, emit)
    removal = delete_experiment(session, experiment, emit, ever, unseen)
    SshConfig(session.directory).remove(experiment)
    if left := session.records.state(experiment).unknown:
        raise UserError(
            f"{experiment}: left alone, because no plugin here defines its resource type: {', '.join(map(str, left))}; "
            "run the teardown where that plugin is installed"
        )
    emit(
        TeardownComplete(
            experiment=experiment,
            deleted=list(removal.deleted),
            deleted_with_parent=list(removal.went_along),
            deleted_types=removal.deleted_types,
        )
    )
    retained = retained_volumes(session, History(session.records.current(experiment)), experiment)
    emit(*retained_events(retained), *RegionsUnavailable.by_reason(retained.unseen))
    return removal


def drop_records(session: Session, experiment: str) -> list[str]:
    """Mark resources of a local cloud that no longer exists (never of an AWS account) as deleted; return their ids."""
    dropped: list[str] = []
    for one in session.records.elsewhere(experiment):
        if one.may_be_over:
            ids = sorted(resource.id for resource in one.known.live)
            resolved = [intent.id for intent in one.known.unresolved]
            session.recorder.note_of(one.account, **{DELETED: ids, RESOLVED: resolved})
            dropped += ids or ["possibly created resources"]
    return dropped


def live_experiments(records: AccountRecords, pattern: str = "*") -> list[str]:
    return sorted(name for name in records.state().names if fnmatchcase(name, pattern))


def teardown_many(session: Session, experiments: Iterable[str], emit: Emit) -> tuple[int, dict[str, str]]:
    """Tear down experiments in parallel; return the number of failures, and the regions without a response.

    Nothing is known of the experiments there. After Ctrl-C, teardowns in progress finish.
    """

    def one(experiment: str) -> Deletion | None:
        try:
            with in_words(), working_on(experiment), session.registry.lock_experiment(experiment, "teardown"):
                return take_down(session, experiment, emit)
        except UserError as problem:
            emit(TeardownFailed(experiment=experiment, reason=str(problem)))
            return None

    with ContextThreadPool(AT_ONCE) as threads:
        ends = [threads.submit(one, experiment) for experiment in experiments]
        with INTERRUPTS.undone_on_failure(
            lambda _: threads.shutdown(wait=True, cancel_futures=True),
            "run the same command again to continue",
            "waiting for the teardowns that are on their way",
        ):
            removals = [end.result() for end in ends]
    unseen = {region: why for removal in removals if removal for region, why in removal.unseen.items()}
    return removals.count(None), unseen
