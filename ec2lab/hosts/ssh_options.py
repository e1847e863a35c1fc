"""What ssh is told beside the user's own configuration: what of that is shut out of calls that nobody types into.

docs/ssh.md lists, for each option, whether the user's own counts.
"""

from __future__ import annotations

import re
import subprocess
from functools import cache

OVERRIDDEN = {
    "BatchMode": "yes",
    # A program of ours runs, without a terminal, with our bytes on its standard input.
    "RemoteCommand": "none",
    "RequestTTY": "no",
    "EscapeChar": "none",
    "PermitLocalCommand": "no",
    # Debugging is no error message, and QUIET hides the error.
    "LogLevel": "INFO",
    "VisualHostKey": "no",
    # A connection of its own: one that is shared may hang, be to another instance of the same address, or have had its
    # host key checked by other rules; and a background master keeps our standard error open.
    "ControlMaster": "no",
    "ControlPath": "none",
    # Nothing of the user's is to be reached from there, and a port that is taken here ends no call.
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "Tunnel": "no",
    "ClearAllForwardings": "yes",
    # A host that is gone is noticed within a minute.
    "ServerAliveInterval": "15",
    "ServerAliveCountMax": "3",
}
SINCE_8_7 = {"SessionType": "default", "StdinNull": "no", "ForkAfterAuthentication": "no"}
"""https://www.openssh.com/txt/release-8.7; an older ssh knows them neither here nor in a configuration."""


def overriding(strictness: str) -> list[str]:
    """Return the arguments that win over every configuration; host keys are checked as `strictness` says."""
    options = {**OVERRIDDEN, **(SINCE_8_7 if client_version() >= (8, 7) else {}), "StrictHostKeyChecking": strictness}
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


@cache
def client_version() -> tuple[int, int]:
    """Return the version of the ssh that is installed here; (0, 0) where it does not say, or there is none."""
    try:
        told = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except OSError:
        return 0, 0
    return version_in(told.stderr + told.stdout)


def version_in(told: str) -> tuple[int, int]:
    """Return the version in what `ssh -V` says; (0, 0) where there is none."""
    found = re.search(r"OpenSSH\D*(\d+)\.(\d+)", told)
    return (int(found[1]), int(found[2])) if found else (0, 0)
