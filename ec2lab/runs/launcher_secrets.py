"""The launcher's secrets: read from this process's environment, and kept only in its memory."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pydantic import SecretStr

from ec2lab.config.models import Experiment
from ec2lab.errors import UserError


def launcher_secrets(
    name: str, experiment: Experiment, environ: Mapping[str, str] = os.environ
) -> dict[str, SecretStr]:
    """Return the values of an experiment's `env:` secrets.

    Raises UserError, in one line for all of them, where this process does not have them.
    """
    wanted = {secret: source.name for secret, source in experiment.secrets.items() if source.is_from_launcher}
    if missing := [variable for variable in wanted.values() if not environ.get(variable)]:
        raise UserError(
            f"{name}: secrets: not set in this command's environment: {', '.join(missing)} (export {missing[0]}=…)"
        )
    if odd := [variable for variable in wanted.values() if not _is_text(environ[variable])]:
        raise UserError(f"{name}: secrets: not UTF-8 text: {', '.join(odd)} (give it in base64)")
    return {secret: SecretStr(environ[variable]) for secret, variable in wanted.items()}


def is_set(variable: str) -> bool:
    """Say whether this process could deliver a variable."""
    return bool(os.environ.get(variable))


def _is_text(value: str) -> bool:
    """Say whether a value is UTF-8: other bytes are surrogates in Python, and systemd passes none of them on."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
