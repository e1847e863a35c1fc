"""Runs git on one directory, and reads earlier versions of a file of the lab.

Only that directory and the user's own configuration affect it. In a git hook, GIT_DIR and other variables name the
hook's repository, and git would use that for every directory. Programs that a repository's configuration names for
interactive use are not run.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ec2lab.files import exists, read_text

INHERITED = ("GIT_CONFIG_", "GIT_EXEC_PATH", "GIT_SSH", "GIT_SSL_")
"""Prefixes of the variables that configure git itself, not the repository (git(1), ENVIRONMENT VARIABLES)."""
WITHOUT_PROGRAMS = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "log.showSignature=false")


def git(directory: Path, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run git in a directory. Raises FileNotFoundError if git is not installed."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name.startswith(INHERITED)
    }
    return subprocess.run(
        ["git", *WITHOUT_PROGRAMS, "-C", str(directory), *arguments],
        input=given, capture_output=True, check=False, env={**inherited, "GIT_OPTIONAL_LOCKS": "0"},
    )  # fmt: skip


MAX_COMMITS = 200  # number of commits that are searched, newest first


def file_versions(directory: Path, path: Path) -> Iterator[str]:
    """Yield a file's current text, then its text in each commit that changed it, newest first."""
    if exists(directory / path):
        yield read_text(directory / path)
    for commit in _git(directory, "log", f"--max-count={MAX_COMMITS}", "--format=%H", "--", str(path)).split():
        yield _git(directory, "show", f"{commit}:./{path}")


def _git(directory: Path, *arguments: str) -> str:
    """Return git's output; an empty string if there is no git, or the lab is not in a repository."""
    try:
        done = git(directory, *arguments)
    except FileNotFoundError:
        return ""
    return "" if done.returncode else done.stdout.decode(errors="replace")
