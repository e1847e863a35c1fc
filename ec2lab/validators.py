"""Valid names of experiments, datasets, members and labs."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ec2lab.errors import UserError
from ec2lab.login_names import LOGIN, valid_login

NAME = r"[a-z0-9][a-z0-9_-]{0,62}"
FEW = 10  # how many names a message lists
NAME_HELP = "a name of lower-case letters, digits, - and _ (at most 63, a letter or digit first)"


def experiment_name(name: str) -> str:
    if not name:
        raise UserError(f"EXP: which experiment? ({_experiments_here()})")
    return optional_name("EXP")(name)


def optional_name(variable: str) -> Callable[[str], str]:
    """Return a validator of a variable that may be empty."""

    def validated(name: str) -> str:
        if name and not re.fullmatch(NAME, name):
            raise UserError(f"{variable}: {name!r} is not {NAME_HELP}")
        return name

    return validated


def _experiments_here() -> str:
    names = sorted(path.stem for path in Path("experiments").glob("*.toml"))
    return f"experiments/ has {few(names)}" if names else "`make new EXP=demo` writes the first"


def few(names: Sequence[str]) -> str:
    """Return names for a message; of many, the first and how many more there are."""
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return ", ".join(names[:FEW]) + more


def is_pattern(name: str) -> bool:
    """Say whether a name is a shell pattern for experiments: speech-*."""
    return bool(re.fullmatch(r"[a-z0-9_*?-]*[*?][a-z0-9_*?-]*", name))


def experiment_or_glob(name: str) -> str:
    return name if is_pattern(name) else experiment_name(name)


def any_experiments(name: str) -> str:
    """Return the pattern of experiments that is meant: all of them, if there is none. Raises UserError."""
    return experiment_or_glob(name) if name else "*"


def one_experiment(name: str) -> str:
    return experiment_name(name) if name else name


def new_version(version: str) -> str:
    if version and not re.fullmatch(r"\S{1,64}", version):
        raise UserError(f"VERSION: {version!r} is not a version (no spaces, at most 64 characters)")
    return version


def member_name(name: str) -> str:
    if not name:
        raise UserError("NAME: which member? (NAME=alice)")
    try:
        return valid_login(name)
    except ValueError as problem:
        raise UserError(f"NAME: {problem}") from problem


def leaving_member(name: str) -> str:
    """Return `name` if a member may ever have had it; the accounts of images are not allowed for new ones."""
    return name if re.fullmatch(LOGIN, name) else member_name(name)


def volume_id(name: str) -> str:
    if name and not re.fullmatch(r"vol-[0-9a-z]+", name):
        raise UserError(f"VOLUME: {name!r} is not a volume's id (try vol-0123456789abcdef0)")
    return name


def did_you_mean(name: str, known: Iterable[str], at_most: int = 1) -> str:
    """Return ` (did you mean "…"?)`, or nothing where no known name is close."""
    close = difflib.get_close_matches(name, list(known), n=at_most)
    meant = " or ".join(f'"{one}"' for one in close)
    return f" (did you mean {meant}?)" if close else ""
