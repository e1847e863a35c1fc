"""A run on its instances: which they are, their logs, and their exit status."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ec2lab.aws.errors import in_words
from ec2lab.context import ContextThreadPool, working_on
from ec2lab.errors import UserError
from ec2lab.events import Log
from ec2lab.hosts.call_failures import Unreachable
from ec2lab.hosts.inventory import absent, instances_of, login_name
from ec2lab.hosts.named_hosts import running_hosts
from ec2lab.hosts.ssh import Host
from ec2lab.hosts.ssh_config import SshConfig
from ec2lab.instance_state import InstanceState, state_of
from ec2lab.instances.teardown import live_experiments
from ec2lab.polling import wait_until
from ec2lab.registry.history import History
from ec2lab.registry.record import COMMAND_DIGEST, CONTAINERS, EXITED, LAUNCHED
from ec2lab.runs.exit_status import Ending, read_exit_status
from ec2lab.runs.s3_logs import S3RunLogs, run_bucket
from ec2lab.session import Session
from ec2lab.validators import is_pattern

POLL = 1.0, 30.0


@dataclass(frozen=True)
class Run:
    """One instance of a run."""

    session: Session
    experiment: str
    instance: str
    bucket: S3RunLogs | None
    name: str  # its name for ssh, or its id

    def wait(self, say: Log) -> Ending:
        """Wait until the command has ended. Raises UserError where that can no longer be known."""

        def ended() -> Ending | None:
            state = self.state()
            if found := self._ending(say):
                return found
            if state is InstanceState.STOPPED:
                raise UserError(f"{self.name}: is stopped, and so is its command; `make start` does not start it again")
            if not state:
                raise self.lost("its exit code")
            return None

        return wait_until(ended, self.session.pause, POLL)

    def _ending(self, say: Log) -> Ending | None:
        """Return how the command ended, from the instance or the bucket; None while neither knows."""
        try:
            found = read_exit_status(host) if (host := self.host()) else None
            waiting = f"waiting for its exit status in {self.bucket or 'the instance'}"
            say(f"{self.name}: {'its command is running' if host else waiting}")
        except Unreachable as problem:
            found = None
            say(str(problem))
        return found or (self.bucket.ending() if self.bucket else None)

    def state(self) -> InstanceState | None:
        """Return the instance's state; None where it is gone."""
        there = {instance["InstanceId"]: instance for instance in instances_of(self.session, self.experiment)}
        return state_of(there[self.instance]) if self.instance in there else None

    def host(self) -> Host | None:
        """Return the instance if it is running and accessible; None where its bucket must be read instead.

        Raises UserError, Unreachable where ssh cannot log in.
        """
        if (self.bucket and not login_name(self.session.directory)) or self.state() is not InstanceState.RUNNING:
            return None
        if not self.session.cloud.boot_timeout and not self.bucket:
            raise UserError(f"{self.experiment}: the instances of the local cloud never boot, so no command runs there")
        files = SshConfig(self.session.directory)
        return next(
            host
            for host in running_hosts(self.session, self.experiment)
            if files.instance_of(host.name) == self.instance
        )

    def lost(self, what: str) -> UserError:
        """Return the error for something that was lost with its instance."""
        if self.bucket:
            return UserError(f"{self.name}: the instance is gone, and {what} never reached {self.bucket}")
        return UserError(
            f"{self.name}: {what} was on the instance, which is gone; "
            'set a bucket in the experiment to keep it (artifact_uri = "s3://…")'
        )


def runs_of(session: Session, experiment: str) -> list[Run]:
    """Return the last run of an experiment by instance. Raises UserError where none is on record."""
    session.records.expect_here(experiment)
    return last_run_in(session, History(session.records.history(experiment)), experiment)


def last_run_in(session: Session, history: History, experiment: str) -> list[Run]:
    """Return the last run of an experiment. Raises UserError where there is none."""
    found = history.of(experiment).ran
    if found is None:
        raise absent(session, experiment, "was never launched")
    recorded, instances = found[0], found[1][LAUNCHED]
    written: Mapping[str, Any] = recorded["experiment"]
    if COMMAND_DIGEST not in recorded:
        raise UserError(
            f"{experiment}: was launched without a command (`make exec EXP={experiment} CMD=…` runs one; "
            f'command = "…" in the experiment file starts one at launch)'
        )
    address = written.get("artifact_uri", "")
    names = SshConfig(session.directory).names(experiment)
    return [
        Run(
            session, experiment, instance,
            run_bucket(session, address, experiment, instance) if address else None,
            names.get(instance, instance),
        )
        for instance in instances
    ]  # fmt: skip


def run_for_host(runs: Sequence[Run], experiment: str, host: str) -> Run:
    """Return the run on the instance that HOST names, foo-2 or an id; by default the first one.

    Raises UserError.
    """
    if not host:
        return runs[0]
    # An instance that is gone no longer has a name, but it had its number.
    named = {name: run for n, run in enumerate(runs, 1) for name in (run.name, run.instance, f"{experiment}-{n}")}
    if host not in named:
        names = ", ".join(run.name for run in runs)
        raise UserError(f"HOST: {host!r} is not an instance of {experiment} (it has {names})")
    return named[host]


AT_ONCE = 64  # experiments polled concurrently; each mostly waits for its next poll


@dataclass(frozen=True, slots=True)
class Waited:
    """How an experiment's command ended, or why that is not known."""

    name: str
    exit_code: int = 0
    why: str = ""  # why the exit code is not the command's own, if so
    problem: str = ""


def wait_for_commands(session: Session, name: str, say: Log) -> Iterator[Waited]:
    """Yield how the commands of matching experiments ended, sorted by name.

    Each is recorded. One that cannot be determined delays no other. Raises UserError where nothing matches.
    """
    names = live_experiments(session.records, name) if is_pattern(name) else [name]
    if not names:
        session.expect_known(name)
        raise UserError(f"EXP: {name}: no live experiment matches")
    with ContextThreadPool(AT_ONCE) as threads:
        ends = [threads.submit(_waited, session, one, say) for one in names]
        try:
            for end in ends:
                yield end.result()
        except BaseException:
            session.over.set()
            threads.shutdown(wait=True, cancel_futures=True)
            raise


def _waited(session: Session, name: str, say: Log) -> Waited:
    try:
        end = _wait(session, name, say)
        return Waited(name, end.exit_code, end.why)
    except UserError as problem:
        return Waited(name, problem=str(problem))


def containers_of(digests: Iterable[str]) -> dict[str, list[str]]:
    """Return the annotation of the image digests that instances report; nothing without any."""
    known = sorted({digest for digest in digests if digest})
    return {CONTAINERS: known} if known else {}


def _wait(session: Session, name: str, say: Log) -> Ending:
    """Return the first end whose exit code is not 0, else that of the first instance."""
    with in_words(), working_on(name):
        ends = [instance.wait(say) for instance in runs_of(session, name)]
        end = next((end for end in ends if end.exit_code), ends[0])
        exited = {} if any(e.interrupted for e in ends) else {EXITED: {"exit_code": end.exit_code}}
        if note := {**exited, **containers_of(e.container for e in ends)}:
            session.recorder.annotate(**note)
        return end
