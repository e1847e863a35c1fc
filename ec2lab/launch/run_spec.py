"""What is launched: an experiment's file, or the record of an earlier launch if the name has no file."""

from __future__ import annotations

import hashlib
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ec2lab.config.container import at_digest
from ec2lab.config.git import file_versions
from ec2lab.config.lab_files import has_file, written_experiment
from ec2lab.config.models import Code, Experiment
from ec2lab.config.parameters import Value, chosen
from ec2lab.config.toml_files import checked
from ec2lab.console import warn
from ec2lab.errors import UserError
from ec2lab.launch.gpus import cheapest_types
from ec2lab.launch.search import placement_preferences
from ec2lab.registry.account_records import AccountRecords
from ec2lab.registry.history import ExperimentHistory, History
from ec2lab.registry.record import COMMAND_DIGEST, RESUMES
from ec2lab.runs.code_archive import CodeArchive, load_code, packed
from ec2lab.session import Session

CODE, COMMAND, CONTAINER, GPU, INSTANCE_TYPES = "code", "command", "container", "gpu", "instance_types"


@dataclass(frozen=True, slots=True)
class RunSpec:
    written: Mapping[str, Any]
    base: str  # the experiment whose file it comes from
    more: Mapping[str, Any] = field(default_factory=dict)
    """Additional fields of the recorded run, such as the run that it repeats."""
    pack: CodeArchive | None = None  # its code, if that is already packed
    recorded_of: str = ""  # the run that it was recorded for, if it comes from no file
    trials: int = 1  # how many combinations of parameters its file has, of which this is the first

    @property
    def experiment(self) -> Experiment:
        """The validated model. Raises UserError that names the file, or the record."""
        where = f"the record of {self.recorded_of}" if self.recorded_of else f"experiments/{self.base}.toml"
        return checked(self.written, Experiment, shown_as=where)

    def as_annotation(self) -> dict[str, Any]:
        """Return the fields to record. Of the command, only the digest: it may contain a secret."""
        rest = {key: value for key, value in self.written.items() if key != COMMAND}
        digest = {COMMAND_DIGEST: digest_of(self.written[COMMAND])} if COMMAND in self.written else {}
        code = {CODE: self.pack.as_annotation()} if self.pack else {}
        return {"from": self.base, "experiment": rest, **digest, **code, **self.more}

    def with_code(self, directory: Path) -> RunSpec:
        """Return the spec with its code packed, unless it already is. Raises UserError."""
        code = self.experiment.code
        if code is None or self.pack is not None:
            return self
        pack = packed(directory, code)
        for remark in pack.remarks:
            warn(remark)
        return replace(self, pack=pack)


def definition(
    session: Session,
    name: str,
    base: str = "",
    parameters: Mapping[str, Value] | None = None,
    *,
    first_of_matrix: bool = False,
    again: bool = False,
) -> RunSpec:
    """Return the spec of `name`, from the file of `base`, its own file or its record, with parameters applied.

    A live experiment, or one that is launched `again`, keeps the parameters of its launch unless others are given. With
    `first_of_matrix`, open parameters take their first value. Raises UserError.
    """
    has_a_file = has_file(session.directory, name)
    if base and base != name and has_a_file:
        raise UserError(f"BASE: experiments/{name}.toml exists; leave BASE out, or give EXP another name")
    past = _past(session, name, ever=again or not has_a_file)
    recorded = past.run
    launched = recorded if again or (recorded and _lives(session.records, name)) else None
    if not base and not has_a_file and recorded:
        written = from_record(session.directory, recorded, name)
        pack = load_pack(session.directory, recorded, name)
        spec = RunSpec(chosen(written, parameters or {}, name), recorded["from"], pack=pack, recorded_of=name)
        return with_pulled_image(spec, past, again=again) if launched else spec
    where = base or name
    written = written_experiment(session.directory, where)
    checked(written, Experiment, shown_as=f"experiments/{where}.toml")
    if not parameters and not base and launched:
        parameters = launched["experiment"].get("parameters", {})
    trials = 1
    if first_of_matrix:
        matrix = {name: values for name, values in written.get("matrix", {}).items() if name not in (parameters or {})}
        trials = math.prod(map(len, matrix.values()))
        parameters = {**{name: values[0] for name, values in matrix.items()}, **(parameters or {})}
    spec = RunSpec(chosen(written, parameters or {}, f"experiments/{where}.toml"), where, trials=trials)
    return with_gpu_types(session, with_pulled_image(spec, past, again=again) if launched else spec, launched)


def with_pulled_image(spec: RunSpec, past: ExperimentHistory, *, again: bool) -> RunSpec:
    """Return what goes on with a run in the image that it began with, unless the file names another one by now.

    A resumed launch keeps the image as it was written. One that is launched `again` gets the digest that was pulled, as
    the tag may have moved; the name is recorded too.
    """
    image, run = spec.written.get(CONTAINER), past.run or {}
    began = run.get("experiment", {}).get(CONTAINER)
    if not image or image != run.get(CONTAINER, began):
        return spec
    pulled = past.containers if again and past.ran and past.ran[0] is run else ()
    pinned = at_digest(image, pulled[0]) if len(pulled) == 1 else began
    if pinned == image:
        return spec
    return replace(spec, written={**spec.written, CONTAINER: pinned}, more={**spec.more, CONTAINER: image})


def continuing(session: Session, name: str, spec: RunSpec, origins: Sequence[str]) -> RunSpec:
    """Return the spec of a launch that continues the runs that instances began, in the container that they had."""
    pinned = with_pulled_image(spec, _past(session, name, ever=True), again=True)
    return replace(pinned, more={**pinned.more, RESUMES: list(origins)})


def with_gpu_types(session: Session, spec: RunSpec, launched: Mapping[str, Any] | None = None) -> RunSpec:
    """Return what is launched with instance types in place of its `gpu`: those it was `launched` with, else the
    cheapest first.

    Both are recorded. Raises UserError.
    """  # noqa: D205
    if not (requests := spec.written.get(GPU)):
        return spec
    if launched and launched.get(GPU) == requests:
        types = launched["experiment"][INSTANCE_TYPES]
    else:
        experiment = spec.experiment
        regions = placement_preferences(session.lab, spec.base, experiment).regions
        where = f"experiments/{spec.base}.toml: {GPU}"
        types = cheapest_types(session, regions, experiment.gpu, experiment.markets, where)
    rest = {key: value for key, value in spec.written.items() if key != GPU}
    return replace(spec, written={**rest, INSTANCE_TYPES: types}, more={**spec.more, GPU: requests})


def from_record(directory: Path, recorded: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a recorded run's experiment as written. Raises UserError if its command cannot be found."""
    written = dict(recorded["experiment"])
    if digest := recorded.get(COMMAND_DIGEST):
        written[COMMAND] = _command(directory, recorded["from"], digest, name)
    return written


def _command(directory: Path, base: str, digest: str, name: str) -> str:
    """Return the command with a digest, from the experiment's file or its git history. Raises UserError."""
    for text in file_versions(directory, Path("experiments") / f"{base}.toml"):
        try:
            command = tomllib.loads(text).get(COMMAND)
        except (ValueError, RecursionError):  # as toml_files.read returns them
            continue
        if isinstance(command, str) and digest_of(command) == digest:
            return command
    raise UserError(
        f"{name}: can't be reproduced: its command is neither in experiments/{base}.toml nor in its git history; "
        f"restore it, or launch the current one (EXP={name} BASE={base})"
    )


def load_pack(directory: Path, recorded: Mapping[str, Any], name: str) -> CodeArchive | None:
    """Return the code of a recorded run, byte for byte; None if it had none. Raises UserError."""
    if not (code := recorded.get(CODE)):
        return None
    commit, digest, difference = code["commit"], code["pack_sha256"], code.get("diff_sha256")
    if content := load_code(directory, digest):
        return CodeArchive(content, commit, difference)
    if difference is None:
        # A commit is the same everywhere. An unchanged working tree is packed differently from its commit.
        path = recorded["experiment"][CODE]["path"]
        again = packed(directory, Code(path=path, commit=commit))
        return CodeArchive(again.tar, commit, None)
    raise UserError(
        f"{name}: its code was a working tree with changes, stored only in .code/{digest[:12]}… of the member "
        "who launched it; copy that file here, or launch the commit alone"
    )


def digest_of(command: str) -> str:
    return hashlib.sha256(command.encode()).hexdigest()


def last_recorded_run(session: Session, name: str) -> Mapping[str, Any] | None:
    return _past(session, name, ever=False).run


def _past(session: Session, name: str, *, ever: bool) -> ExperimentHistory:
    records = session.registry.history(name) if ever else session.records.current(name)
    return History(records).of(name)


def _lives(records: AccountRecords, name: str) -> bool:
    known = records.state(name)
    return bool(known.live or known.unresolved)
