"""What an experiment is: its file, or what was recorded when it was launched under a name without one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scripts.core.config import Experiment, written_experiment
from scripts.core.errors import LabError
from scripts.core.parameters import Value, chosen
from scripts.core.resuming import RUN
from scripts.core.session import Session
from scripts.core.toml_file import checked


@dataclass(frozen=True, slots=True)
class Definition:
    """An experiment as it is launched: written as in its file, its parameters chosen."""

    written: Mapping[str, Any]
    base: str
    """Whose file it is from."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """What else is recorded of a run: which code, which one it repeats."""

    @property
    def experiment(self) -> Experiment:
        """The checked model. Raises LabError."""
        return checked(self.written, Experiment, shown_as=f"experiments/{self.base}.toml")

    def as_note(self) -> dict[str, Any]:
        """Return what is recorded of it."""
        return {"from": self.base, "experiment": dict(self.written), **self.more}


def definition(
    session: Session,
    name: str,
    base: str = "",
    parameters: Mapping[str, Value] | None = None,
    *,
    first_of_matrix: bool = False,
) -> Definition:
    """Return what `name` is: the file of `base` or its own, or what was recorded, with parameters chosen.

    One that lives has the parameters that it was launched with, unless others are chosen; with `first_of_matrix` what
    is open has its first value. Raises LabError.
    """
    own = session.directory / "experiments" / f"{name}.toml"
    if base and base != name and own.exists():
        raise LabError(f"FROM: experiments/{name}.toml exists; leave FROM out, or give EXP another name")
    recorded = recorded_run(session, name)
    if not base and not own.exists() and recorded:
        where = recorded["from"]
        return Definition(chosen(recorded["experiment"], parameters or {}, name), where)
    where = base or name
    written = written_experiment(session.directory, where)
    checked(written, Experiment, shown_as=f"experiments/{where}.toml")
    if not parameters and not base and recorded and _lives(session, name):
        parameters = recorded["experiment"].get("parameters", {})
    if first_of_matrix:
        first = {parameter: values[0] for parameter, values in written.get("matrix", {}).items()}
        parameters = {**first, **(parameters or {})}
    return Definition(chosen(written, parameters or {}, f"experiments/{where}.toml"), where)


def recorded_run(session: Session, name: str, *, ever: bool = False) -> dict[str, Any] | None:
    """Return what was last recorded of a run of `name`; `ever` looks into the archive too."""
    records = session.registry.history(name) if ever else session.registry.records(name)
    runs = [r.note[RUN] for r in records if r.experiment == name and r.note and RUN in r.note]
    return runs[-1] if runs else None


def _lives(session: Session, name: str) -> bool:
    known = session.holdings(name)
    return bool(known.living or known.unsettled)
