"""The options with which the lab runs ssh: they override every configuration, the user's own too."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

OVERRIDDEN = {
    "BatchMode": "yes",
    # Our program runs without a terminal, with our bytes on its standard input.
    "RemoteCommand": "none",
    "RequestTTY": "no",
    "EscapeChar": "none",
    "PermitLocalCommand": "no",
    # Debug output is not an error message, and QUIET hides errors.
    "LogLevel": "INFO",
    "VisualHostKey": "no",
    # A connection of our own: a shared one may hang, lead to another instance with the same address, or have been
    # checked by other rules; and a background master keeps our standard error open.
    "ControlMaster": "no",
    "ControlPath": "none",
    # Nothing of the user's is exposed to the host, and an occupied port ends no call.
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "Tunnel": "no",
    "ClearAllForwardings": "yes",
    # A host that is gone is noticed within a minute.
    "ServerAliveInterval": "15",
    "ServerAliveCountMax": "3",
}
SINCE_8_7 = {"SessionType": "default", "StdinNull": "no", "ForkAfterAuthentication": "no"}
SESSION_TYPE = (8, 7)
"""https://www.openssh.com/txt/release-8.7; an older ssh knows them neither here nor in a configuration."""


def forced_options(strictness: str) -> list[str]:
    """Return arguments with which host keys are checked as `strictness` says."""
    return _options({**OVERRIDDEN, "StrictHostKeyChecking": strictness})


def terminal_command(config: Path, host: str, *words: str) -> list[str]:
    """Return an ssh command that runs `words` on a remote terminal. The login shell parses them: only plain words."""
    on_terminal = {"RequestTTY": "force", "EscapeChar": "~", "StrictHostKeyChecking": "yes"}
    return ["ssh", "-F", str(config), *_options({**OVERRIDDEN, **on_terminal}), "--", host, *words]


def master_command(config: Path, host: str, socket: Path) -> list[str]:
    """Return an ssh command that runs nothing, for connections that share `socket`. Nobody else's are shared."""
    alone = client_version() < SESSION_TYPE
    values = {
        **OVERRIDDEN,
        **({} if alone else {**SINCE_8_7, "SessionType": "none"}),
        "ControlMaster": "yes", "ControlPath": str(socket), "ControlPersist": "no", "StrictHostKeyChecking": "yes",
    }  # fmt: skip
    return ["ssh", "-F", str(config), *_as_arguments(values), *(["-N"] if alone else []), "--", host]


def _options(values: Mapping[str, str]) -> list[str]:
    """Return options as `-o` arguments, after those that reset the type of session."""
    return _as_arguments({**(SINCE_8_7 if client_version() >= SESSION_TYPE else {}), **values})


def _as_arguments(values: Mapping[str, str]) -> list[str]:
    return [word for name, value in values.items() for word in ("-o", f"{name}={value}")]


@cache
def client_version() -> tuple[int, int]:
    """Return the installed ssh's version; (0, 0) where it is missing or does not say."""
    try:
        done = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except OSError:
        return 0, 0
    return version_in(done.stderr + done.stdout)


def version_in(output: str) -> tuple[int, int]:
    found = re.search(r"OpenSSH\D*(\d+)\.(\d+)", output)
    return (int(found[1]), int(found[2])) if found else (0, 0)
