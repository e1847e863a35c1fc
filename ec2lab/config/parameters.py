"""Parameters of an experiment: those set on the command line, and the combinations of a matrix. Pure."""

from __future__ import annotations

import hashlib
import json
import math
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import PurePath
from typing import Any

from ec2lab.config.fields import parameter_name, parameter_value
from ec2lab.errors import UserError
from ec2lab.validators import did_you_mean

LONGEST_NAME = 63
MOST = 10_000  # limit for the combinations of a matrix; more are likely a typing error
DIGEST = 8

Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Variation:
    """One combination, with the name of its trial."""

    name: str
    parameters: Mapping[str, Value]


def parse_parameters(words: str) -> dict[str, str]:
    """Parse `lr=0.1 note='a b'` into {"lr": "0.1", "note": "a b"}. Raises UserError."""
    try:
        pairs = [word.partition("=") for word in shlex.split(words)]
    except ValueError as problem:
        raise UserError(f"PARAMS: {str(problem).lower()}") from problem
    for name, equals, value in pairs:
        try:
            parameter_name(name)
            if not equals:
                raise UserError(f'PARAMS: {name!r} has no value (try PARAMS="{name}=0.1")')
            parameter_value(value)
        except ValueError as problem:
            raise UserError(f"PARAMS: {problem}") from problem
    if twice := [name for name, count in Counter(name for name, _, _ in pairs).items() if count > 1]:
        raise UserError(f"PARAMS: {twice[0]} is given twice")
    return {name: value for name, _, value in pairs}


def chosen(written: Mapping[str, Any], parameters: Mapping[str, Value], where: str) -> dict[str, Any]:
    """Return an experiment as written, with the parameters applied and without a matrix.

    Raises UserError if a parameter is unknown to an experiment that names its parameters, or if one of the matrix has
    no value.
    """
    matrix, defaults = written.get("matrix", {}), written.get("parameters", {})
    known = [*defaults, *matrix]
    if strangers := [name for name in parameters if known and name not in known]:
        raise UserError(f"{where}: has no parameter {strangers[0]}{did_you_mean(strangers[0], known)}")
    if left := [name for name in matrix if name not in parameters]:
        first = next(iter(matrix[left[0]]))
        raise UserError(
            f'{where}: {", ".join(left)} has several values; choose one (PARAMS="{left[0]}={as_text(first)}"), '
            f"or `make sweep EXP={PurePath(where).stem}` launches an instance for each"
        )
    rest = {key: value for key, value in written.items() if key not in ("matrix", "parameters")}
    together = {**defaults, **parameters}
    return {**rest, "parameters": together} if together else rest


def variations(base: str, matrix: Mapping[str, Sequence[Value]], fixed: Mapping[str, Value]) -> list[Variation]:
    """Return all combinations of a matrix, in order; `fixed` parameters have one value. Raises UserError."""
    open_to_choice = {name: values for name, values in matrix.items() if name not in fixed}
    _check(base, open_to_choice)
    combinations = [
        {**dict(zip(open_to_choice, values, strict=True)), **fixed} for values in product(*open_to_choice.values())
    ]
    names = [variation_name(base, {name: one[name] for name in matrix}) for one in combinations]
    doubled = {name for name, count in Counter(names).items() if count > 1}
    return [
        Variation(_with_digest(name, one) if name in doubled else name, one)
        for name, one in zip(names, combinations, strict=True)
    ]


def _check(base: str, matrix: Mapping[str, Sequence[Value]]) -> None:
    """Raise UserError if two trials would be identical, or there are too many."""
    for name, values in matrix.items():
        if twice := [text for text, count in Counter(map(as_text, values)).items() if count > 1]:
            raise UserError(f"experiments/{base}.toml: matrix.{name}: {twice[0]} is listed twice")
    if (combinations := math.prod(map(len, matrix.values()))) > MOST:
        raise UserError(f"experiments/{base}.toml: matrix: has {combinations:,} combinations; the maximum is {MOST:,}")


def variation_name(base: str, parameters: Mapping[str, Value]) -> str:
    """Return a name such as `speech-lr0_1-seed3`. It does not change when the matrix grows."""
    suffix = "-".join(
        re.sub(r"[^a-z0-9]+", "_", f"{name}{as_text(value)}".lower()) for name, value in parameters.items()
    )
    name = f"{base}-{suffix}".rstrip("_-")
    return name if len(name) <= LONGEST_NAME else _with_digest(name, parameters)


def as_text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _with_digest(name: str, parameters: Mapping[str, Value]) -> str:
    content = json.dumps({parameter: as_text(value) for parameter, value in parameters.items()}, sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:DIGEST]
    return f"{name[: LONGEST_NAME - DIGEST - 1].rstrip('_-')}-{digest}"
