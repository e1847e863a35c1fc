"""git, asked about one directory, and what a file of the lab was, where the lab is under git.

Nothing but that directory and the user's own configuration has a say in it. Within a hook of git's, GIT_DIR and others
name the hook's repository, and git would take that for every directory. A repository's configuration may name programs
too: those of which only a person at work has any use are not run.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ec2lab.files import exists, read_text

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


MAX_COMMITS = 200
"""Commits that changed the file, from the newest."""


def file_versions(directory: Path, path: Path) -> Iterator[str]:
    """Yield a file's text as it is, then as it was in each commit that changed it, the newest first."""
    if exists(directory / path):
        yield read_text(directory / path)
    for commit in _git(directory, "log", f"--max-count={MAX_COMMITS}", "--format=%H", "--", str(path)).split():
        yield _git(directory, "show", f"{commit}:./{path}")


def _git(directory: Path, *arguments: str) -> str:
    """Return what git prints; nothing where there is no git, or nothing of the lab in it."""
    try:
        done = git(directory, *arguments)
    except FileNotFoundError:
        return ""
    return "" if done.returncode else done.stdout.decode(errors="replace")
