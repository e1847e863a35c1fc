"""git, asked about one directory: nothing but that directory and the user's own configuration has a say in it.

Within a hook of git's, GIT_DIR and others name the hook's repository, and git would take that for every directory. A
repository's configuration may name programs too: those of which only a person at work has any use are not run.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

KEPT = ("GIT_CONFIG_", "GIT_EXEC_PATH", "GIT_SSH", "GIT_SSL_")
"""How the variables begin that say how git works, and not on what (git(1), ENVIRONMENT VARIABLES)."""
WITHOUT_PROGRAMS = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "log.showSignature=false")


def git(directory: Path, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run git in a directory, to its end. Raises FileNotFoundError where it is not installed."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name.startswith(KEPT)
    }
    return subprocess.run(
        ["git", *WITHOUT_PROGRAMS, "-C", str(directory), *arguments],
        input=given, capture_output=True, check=False, env={**inherited, "GIT_OPTIONAL_LOCKS": "0"},
    )  # fmt: skip
