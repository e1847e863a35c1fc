"""The outputs that an experiment's instances uploaded to S3: which runs have some, and how each of them ended."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ec2lab.context import working_on
from ec2lab.errors import UserError
from ec2lab.events.runs import RunOutputs
from ec2lab.hosts.named_hosts import ACCESSED
from ec2lab.hosts.ssh_config import SshConfig
from ec2lab.instance_state import DOWN, OVER, InstanceState
from ec2lab.instances.status import NOT_FOUND, standing
from ec2lab.registry.history import TEARDOWN, in_order
from ec2lab.registry.record import LAUNCHED, OUTPUTS, PROVENANCE, Record
from ec2lab.runs.exit_status import Ending
from ec2lab.runs.s3_download import S3Prefix
from ec2lab.runs.s3_logs import OutputsState, S3RunLogs
from ec2lab.session import Session


@dataclass(frozen=True, slots=True)
class OutputsRun:
    """A run with outputs of its own: that of one instance, and of those that resumed it."""

    experiment: str
    host: str  # what HOST calls it: foo, or foo-2 where several were launched
    instances: tuple[str, ...]  # the first began the run
    began: str
    launch: str  # the id of the record of its launch, which launched others as well if COUNT said so, or resumed them
    uri: str
    torn_down: bool = False  # no launch resumes it any more

    @property
    def id(self) -> str:
        """What RUN_ID calls it."""
        return self.instances[0]

    def objects_in(self, session: Session) -> S3Prefix:
        """Return its objects. Raises UserError if the recorded address is none."""
        if not re.fullmatch(rf"s3://[^/]+/.*/{OUTPUTS}/", self.uri, re.DOTALL):
            raise UserError(f"{self.experiment}: the registry has {self.uri!r} for the outputs of {self.id}")
        return S3Prefix.at(session, self.uri)

    def state_in(self, session: Session) -> OutputsState:
        """Return what its instances say of its outputs besides the objects. Raises UserError."""
        return self._beside(session).outputs_state()

    def ending_in(self, session: Session) -> Ending | None:
        """Return how its command ended on its last instance, if that is known. Raises UserError."""
        first = self._beside(session)
        return replace(first, prefix=f"{first.prefix.rpartition('/')[0]}/{self.instances[-1]}".lstrip("/")).ending()

    def _beside(self, session: Session) -> S3RunLogs:
        objects = self.objects_in(session)
        return S3RunLogs(objects.client, objects.bucket, objects.prefix.removesuffix(f"/{OUTPUTS}/"))


def runs_with_outputs(records: Iterable[Record], names: Mapping[str, str]) -> list[OutputsRun]:
    """Return all runs with outputs, the newest last. `names` has the names for ssh of instances that still have one."""
    runs: dict[tuple[str, str], OutputsRun] = {}
    for record in in_order(records):
        note, experiment = record.annotation or {}, record.experiment or ""
        if record.script == TEARDOWN:
            runs |= {key: replace(run, torn_down=True) for key, run in runs.items() if run.experiment == experiment}
        launched, launch = note.get(LAUNCHED, ()), record.id
        numbered = {one: f"{experiment}-{n}" for n, one in enumerate(launched, 1)} if len(launched) > 1 else {}
        for one in note.get(PROVENANCE, ()):
            uri, instance = one.get(OUTPUTS, {}).get("uri"), one["instance"]
            if not uri:
                continue
            if known := runs.get((experiment, uri)):
                launch, instances = known.launch, (*known.instances, instance)
                runs[experiment, uri] = replace(known, instances=instances, torn_down=False)
                continue
            host = numbered.get(instance, experiment)
            runs[experiment, uri] = OutputsRun(experiment, host, (instance,), record.time, launch, uri)
    named = [replace(run, host=names.get(run.instances[-1], run.host)) for run in runs.values()]
    taken = Counter((run.launch, run.host) for run in named)  # each has a directory of its own
    return [replace(run, host=run.id) if taken[run.launch, run.host] > 1 else run for run in named]


def runs_of(session: Session, experiment: str) -> list[OutputsRun]:
    """Return the runs of an experiment with outputs, the newest last. Raises UserError where there are none."""
    records = [record for record in session.records.history(experiment) if record.experiment == experiment]
    runs = runs_with_outputs(records, SshConfig(session.directory).names(experiment))
    if not runs:
        session.expect_known(experiment)
        session.records.expect_here(experiment)
        how = "was launched without outputs" if records else "was never launched"
        raise UserError(f"{experiment}: {how} (docs/outputs.md)")
    return runs


def chosen(runs: Sequence[OutputsRun], hosts: str, run: str) -> list[OutputsRun]:
    """Return the run that RUN_ID names, or else those of the newest launch; of them those that HOST names, if any.

    Raises UserError.
    """
    experiment = runs[-1].experiment
    if run:
        found = [one for one in runs if run in one.instances]
        if not found:
            raise UserError(f"RUN_ID: {run!r} is not a run of {experiment} with outputs (`make outputs` lists them)")
    else:
        found = [one for one in runs if one.launch == runs[-1].launch]
    for host in hosts.split():
        if not any(host in (one.host, *one.instances) for one in found):
            there = ", ".join(one.host for one in found)
            raise UserError(f"HOST: {host!r} has no outputs in that run of {experiment} (it has {there})")
    return [one for one in found if not hosts or {one.host, *one.instances} & set(hosts.split())]


def record_pull(session: Session, runs: Sequence[OutputsRun]) -> None:
    """Record whose outputs are about to be fetched, as for copies from instances."""
    with working_on(runs[0].experiment):
        session.recorder.annotate(**{ACCESSED: {"hosts": [run.id for run in runs]}})


def list_outputs(session: Session, runs: Sequence[OutputsRun], pattern: str) -> Iterator[RunOutputs | UserError]:
    """Yield each run's outputs, or why they cannot be listed."""
    there = standing(session, session.records.state().matching(pattern)).resources if runs else ()
    states = {one.id: one.state for one in there if one.state != NOT_FOUND}
    for found in [session.threads.submit(_listed, session, run, states) for run in runs]:
        try:
            yield found.result()
        except UserError as problem:
            yield problem


def _state(ending: Ending | None, shown: str, *, torn_down: bool) -> str:
    """Return a run's state. `shown` is its instance's, or why that is not known: then it is taken to run."""
    if ending and not ending.interrupted:
        return "ended"
    if ending or shown in OVER:
        return "torn down" if torn_down else "interrupted"
    return shown if shown in DOWN else InstanceState.RUNNING


def _listed(session: Session, run: OutputsRun, states: Mapping[str, str]) -> RunOutputs:
    files, size, changed, deleted = 0, 0, None, run.state_in(session).deleted
    for one in run.objects_in(session).objects():
        if one.path not in deleted:
            files, size = files + 1, size + one.size
            changed = max(changed or one.changed, one.changed)
    ending = run.ending_in(session)
    shown = states.get(run.instances[-1], InstanceState.TERMINATED)
    state = _state(ending, shown, torn_down=run.torn_down)
    return RunOutputs(
        experiment=run.experiment, host=run.host, run=run.id, began=run.began, files=files, bytes=size, changed=changed,
        state=state, exit_code=ending.exit_code if ending and state == "ended" else None, uri=run.uri,
    )  # fmt: skip
