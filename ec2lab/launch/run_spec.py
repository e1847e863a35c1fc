"""What an experiment is: its file, or what was recorded when it was launched under a name without one."""

from __future__ import annotations

import hashlib
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ec2lab.config.git import file_versions
from ec2lab.config.lab_files import has_file, written_experiment
from ec2lab.config.models import Code, Experiment
from ec2lab.config.parameters import Value, chosen
from ec2lab.config.toml_files import checked
from ec2lab.console import warn
from ec2lab.errors import UserError
from ec2lab.registry.history import History
from ec2lab.runs.code_archive import CodeArchive, kept, packed
from ec2lab.session import Session

CODE, COMMAND = "code", "command"
COMMAND_DIGEST = "command_sha256"


@dataclass(frozen=True, slots=True)
class RunSpec:
    """An experiment as it is launched: written as in its file, its parameters chosen."""

    written: Mapping[str, Any]
    base: str
    """Whose file it is from."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """What else is recorded of a run: which one it repeats."""
    pack: CodeArchive | None = None
    """Its code, where that is not to be packed now."""
    recorded_of: str = ""
    """Whose run on record it is, where no file says it."""
    trials: int = 1
    """How many combinations of parameters its file has, of which this is the first."""

    @property
    def experiment(self) -> Experiment:
        """The checked model. Raises UserError, which blames the file, or the record."""
        where = f"the record of {self.recorded_of}" if self.recorded_of else f"experiments/{self.base}.toml"
        return checked(self.written, Experiment, shown_as=where)

    def as_annotation(self) -> dict[str, Any]:
        """Return what is recorded of it: of its command the digest alone, which is safe whatever stands in it."""
        rest = {key: value for key, value in self.written.items() if key != COMMAND}
        digest = {COMMAND_DIGEST: digest_of(self.written[COMMAND])} if COMMAND in self.written else {}
        code = {CODE: self.pack.as_annotation()} if self.pack else {}
        return {"from": self.base, "experiment": rest, **digest, **code, **self.more}

    def with_code(self, directory: Path) -> RunSpec:
        """Return it with its code packed as it is now, if it has some that is not yet packed. Raises UserError."""
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
    """Return what `name` is: the file of `base` or its own, or what was recorded, with parameters chosen.

    One that lives, or is launched `again`, has the parameters that it was launched with, unless others are chosen;
    with `first_of_matrix` what is open has its first value. Raises UserError.
    """
    has_a_file = has_file(session.directory, name)
    if base and base != name and has_a_file:
        raise UserError(f"BASE: experiments/{name}.toml exists; leave BASE out, or give EXP another name")
    recorded = last_recorded_run(session, name, ever=again or not has_a_file)
    if not base and not has_a_file and recorded:
        written = from_record(session, recorded, name)
        pack = load_pack(session.directory, recorded, name)
        return RunSpec(chosen(written, parameters or {}, name), recorded["from"], pack=pack, recorded_of=name)
    where = base or name
    written = written_experiment(session.directory, where)
    checked(written, Experiment, shown_as=f"experiments/{where}.toml")
    if not parameters and not base and recorded and (again or _lives(session, name)):
        parameters = recorded["experiment"].get("parameters", {})
    trials = 1
    if first_of_matrix:
        matrix = {name: values for name, values in written.get("matrix", {}).items() if name not in (parameters or {})}
        trials = math.prod(map(len, matrix.values()))
        parameters = {**{name: values[0] for name, values in matrix.items()}, **(parameters or {})}
    return RunSpec(chosen(written, parameters or {}, f"experiments/{where}.toml"), where, trials=trials)


def from_record(session: Session, recorded: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the experiment of a recorded run as it was written. Raises UserError where its command is not found."""
    written = dict(recorded["experiment"])
    if digest := recorded.get(COMMAND_DIGEST):
        written[COMMAND] = _command(session.directory, recorded["from"], digest, name)
    return written


def _command(directory: Path, base: str, digest: str, name: str) -> str:
    """Find the command of a digest in the experiment's file, as it is or as git had it. Raises UserError."""
    for text in file_versions(directory, Path("experiments") / f"{base}.toml"):
        try:
            command = tomllib.loads(text).get(COMMAND)
        except (ValueError, RecursionError):  # as toml_file.read has them
            continue
        if isinstance(command, str) and digest_of(command) == digest:
            return command
    raise UserError(
        f"experiments/{base}.toml: its command is not the one that {name} ran, of which the registry has the digest "
        f"alone, nor was it in any commit; put it back, or launch what stands there now (EXP={name} BASE={base})"
    )


def load_pack(directory: Path, recorded: Mapping[str, Any], name: str) -> CodeArchive | None:
    """Return the code of a recorded run, the same to the last byte; None where it had none. Raises UserError."""
    if not (told := recorded.get(CODE)):
        return None
    commit, digest, difference = told["commit"], told["pack_sha256"], told.get("diff_sha256")
    if content := kept(directory, digest):
        return CodeArchive(content, commit, difference)
    if difference is None:
        # A commit is the same everywhere; a working tree without changes is packed otherwise than its commit.
        path = recorded["experiment"][CODE]["path"]
        again = packed(directory, Code(path=path, commit=commit))
        return CodeArchive(again.tar, commit, None)
    raise UserError(
        f"{name}: its code was a working tree with changes, which is in .code/{digest[:12]}… of whoever launched it "
        "and not here; bring that file, or launch the commit alone"
    )


def digest_of(command: str) -> str:
    """Return the SHA-256 of a command, in hexadecimal digits."""
    return hashlib.sha256(command.encode()).hexdigest()


def last_recorded_run(session: Session, name: str, *, ever: bool = False) -> Mapping[str, Any] | None:
    """Return what was last recorded of a run of `name`; `ever` looks into the archive too."""
    records = session.registry.history(name) if ever else session.records_here(name)
    return History(records).of(name).run


def _lives(session: Session, name: str) -> bool:
    known = session.holdings(name)
    return bool(known.living or known.unsettled)
