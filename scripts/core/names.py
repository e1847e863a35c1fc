"""What experiments, data sets and labs may be called."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from scripts.core.errors import LabError

NAME = r"[a-z0-9][a-z0-9_-]{0,62}"
NAME_RULE = "a name of lower-case letters, digits, - and _ (at most 63, a letter or digit first)"


def experiment_name(name: str) -> str:
    """Return `name` if an experiment may be called so. Raises LabError."""
    if not name:
        raise LabError("EXP: which experiment? (EXP=demo, for one)")
    if not re.fullmatch(NAME, name):
        raise LabError(f"EXP: {name!r} is not {NAME_RULE}")
    return name


def closest(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean "…"?)`, or nothing where no known name is close."""
    match = difflib.get_close_matches(name, list(known), n=1)
    return f' (did you mean "{match[0]}"?)' if match else ""
