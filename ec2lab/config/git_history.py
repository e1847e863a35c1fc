"""What a file of the lab was, by git, where the lab is under git."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ec2lab.config.git import git
from ec2lab.files import exists, read_text

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
