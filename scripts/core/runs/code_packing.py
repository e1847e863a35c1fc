"""An experiment's code as it is sent to a machine: a commit, or the working tree as it is."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.core.errors import LabError
from scripts.core.lab.config import Code

LARGEST = 256 << 20
"""Bytes; code that is larger holds data, which has a volume of its own."""
SUBMODULE = b"160000 "
"""How git's index begins the entry of a submodule (git-ls-files(1), --stage)."""


@dataclass(frozen=True, slots=True)
class Pack:
    """Code, packed, and where it is from."""

    tar: bytes
    """A tar file, the same bytes for the same code."""
    commit: str
    diff_sha256: str | None
    """Of what the working tree has beyond the commit; None where a commit was packed, or nothing was changed."""

    @property
    def sha256(self) -> str:
        """The digest of the tar file, in hexadecimal digits."""
        return hashlib.sha256(self.tar).hexdigest()

    def as_note(self) -> dict[str, Any]:
        """Return what is recorded of it."""
        changed = {"diff_sha256": self.diff_sha256} if self.diff_sha256 else {}
        return {"commit": self.commit, "pack_sha256": self.sha256, "bytes": len(self.tar), **changed}

    def __str__(self) -> str:
        """Tell it to a person."""
        changed = " with changes" if self.diff_sha256 else ""
        return f"commit {self.commit[:12]}{changed}, {(len(self.tar) + 1023) >> 10} KiB"


def packed(directory: Path, code: Code) -> Pack:
    """Pack the code that is at `code.path`, seen from a directory. Raises LabError."""
    where = directory / code.path
    if not where.is_dir():
        raise LabError(f"code.path: {where}: no such directory")
    commit = _git(where, "rev-parse", "--verify", f"{code.commit or 'HEAD'}^{{commit}}").decode().strip()
    listed = ["ls-tree", "-r", commit, "."] if code.commit else ["ls-files", "--stage", "."]
    if any(line.startswith(SUBMODULE) for line in _git(where, *listed).splitlines()):
        raise LabError(f"code.path: {where}: has a submodule, which git does not pack; copy its files in")
    if code.commit:
        tar = _git(where, "archive", "--format=tar", commit, "--", ".")
        _check_size(len(tar), where)
        return Pack(tar, commit, None)
    return Pack(_working_tree(where), commit, _difference(where))


def _working_tree(where: Path) -> bytes:
    """Return every file that git knows, or would if it were added, as a tar file."""
    packing = io.BytesIO()
    with tarfile.open(fileobj=packing, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in _files(where):
            archive.add(where / path, arcname=path, recursive=False, filter=_plain)
            _check_size(packing.tell(), where)
    return packing.getvalue()


def _files(where: Path) -> Iterator[str]:
    listed = _git(where, "ls-files", "-z", "--cached", "--others", "--exclude-standard", ".")
    for path in sorted(set(listed.decode().split("\0"))):
        file = where / path
        if path and (file.is_symlink() or file.is_file()):  # what was deleted is still in git's list
            yield path


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Keep of a file what git keeps: its name, its content, and whether it can be run."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mtime = 0
    entry.mode = 0o755 if entry.mode & 0o100 else 0o644
    return entry


def _difference(where: Path) -> str | None:
    """Return the digest of what is changed or new since the commit; None where nothing is."""
    changed = _git(where, "diff", "--binary", "HEAD", "--", ".")
    new = _git(where, "ls-files", "-z", "--others", "--exclude-standard", ".").decode().split("\0")
    told = hashlib.sha256(changed)
    for path in sorted(filter(None, new)):
        file = where / path
        content = str(file.readlink()).encode() if file.is_symlink() else file.read_bytes()
        told.update(f"\n{path}\n{len(content)}\n".encode() + content)
    return told.hexdigest() if changed or any(new) else None


def _check_size(size: int, where: Path) -> None:
    if size > LARGEST:
        raise LabError(
            f"code.path: {where}: more than {LARGEST >> 20} MiB; is data among it? "
            "(.gitignore keeps it out, `make dataset-build` makes a data set of it)"
        )


def _git(where: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(where), *arguments], capture_output=True, check=False)
    except FileNotFoundError as missing:
        raise LabError("git is not installed here (Debian, Ubuntu: apt-get install git)") from missing
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise LabError(f"code: {where}: git {arguments[0]}: {said[-1] if said else f'ended with {done.returncode}'}")
    return done.stdout
