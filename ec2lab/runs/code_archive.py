"""Code archives: packed as git would pack them, and stored next to lab.toml under the SHA-256 in the registry.

An archive may be the only copy of its code. It is stored in .code/, which only its owner can read.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ec2lab.config.git import git
from ec2lab.config.models import Code
from ec2lab.errors import UserError
from ec2lab.files import private_directory, read_bytes, temp_file_beside
from ec2lab.progress import working
from ec2lab.runs.source_tree import SourceFile, SourceTree, shown

MAX_PACKED = 256 << 20  # bytes; larger code contains data, which belongs on a volume of its own
SUBMODULE = b"160000 "  # the start of a submodule's entry in git's index (git-ls-files(1), --stage)
NAMED = 3  # how many files a remark names


@dataclass(frozen=True, slots=True)
class CodeArchive:
    """Packed code, and its origin."""

    tar: bytes  # a tar file, identical for identical code
    commit: str
    diff_sha256: str | None
    """Hash of the working tree's changes since the commit; None where there are none, or a commit was packed."""
    remarks: tuple[str, ...] = ()  # how it differs from the files here, as far as a user should know

    @property
    def sha256(self) -> str:
        """The hash of the tar file, in hexadecimal."""
        return hashlib.sha256(self.tar).hexdigest()

    def as_annotation(self) -> dict[str, Any]:
        """Return what is recorded of it."""
        changed = {"diff_sha256": self.diff_sha256} if self.diff_sha256 else {}
        return {"commit": self.commit, "pack_sha256": self.sha256, "bytes": len(self.tar), **changed}

    def __str__(self) -> str:
        """Describe it for people."""
        changed = " with changes" if self.diff_sha256 else ""
        return f"commit {self.commit[:12]}{changed}, {(len(self.tar) + 1023) >> 10} KiB"


@working("packing the code")
def packed(directory: Path, code: Code) -> CodeArchive:
    """Pack the code at `code.path`, relative to a directory. Raises UserError."""
    where = directory / code.path
    if not where.is_dir():
        raise UserError(f"code.path: {where}: no such directory")
    commit = _git(where, "rev-parse", "--verify", f"{code.commit or 'HEAD'}^{{commit}}").decode().strip()
    listed = ["ls-tree", "-r", commit, "."] if code.commit else ["ls-files", "--stage", "."]
    if any(line.startswith(SUBMODULE) for line in _git(where, *listed).splitlines()):
        raise UserError(f"code.path: {where}: has a submodule, which git does not pack; copy its files in")
    return _commit(where, commit) if code.commit else _working_tree(where, commit)


def _commit(where: Path, commit: str) -> CodeArchive:
    tar = _git(where, "archive", "--format=tar", commit, "--", ".")
    _check_size(len(tar), where)
    files = list(_files_in(tar))
    names = set(_names(where, "ls-tree", "-r", "--name-only", commit, "."))
    left_out = names - {file.path for file in files}
    return CodeArchive(tar, commit, None, tuple(_remarks(files, left_out)))


def _working_tree(where: Path, commit: str) -> CodeArchive:
    """Pack every file that git tracks or would add."""
    new = _names(where, "ls-files", "--others", "--exclude-standard", ".")
    names = sorted({*_names(where, "ls-files", "--cached", "."), *new})
    left_out = _export_ignored(where, names)
    files: dict[bytes, SourceFile] = {}
    size = 0
    with SourceTree.opened(where) as tree:
        for name in names:
            if name not in left_out and (file := tree.read(name, MAX_PACKED - size)):
                files[name] = file
                size += len(file.content)
                _check_size(size, where)
    tar = _tar(files.values())
    _check_size(len(tar), where)
    difference = _diff(where, [files[name] for name in sorted(new) if name in files])
    return CodeArchive(tar, commit, difference, tuple(_remarks(files.values(), left_out)))


def _tar(files: Iterable[SourceFile]) -> bytes:
    """Return a tar file with what git stores of files: name, content, and the executable bit.

    In GNU's format a name is its bytes, in any encoding.
    """
    packing = io.BytesIO()
    with tarfile.open(fileobj=packing, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8") as archive:
        for file in files:
            entry = tarfile.TarInfo(file.path.decode(errors="surrogateescape"))
            entry.uname = entry.gname = "root"
            entry.mode = 0o755 if file.is_executable or file.is_link else 0o644
            if file.is_link:
                entry.type, entry.linkname = tarfile.SYMTYPE, file.content.decode(errors="surrogateescape")
                archive.addfile(entry)
            else:
                entry.size = len(file.content)
                archive.addfile(entry, io.BytesIO(file.content))
    return packing.getvalue()


def _files_in(tar: bytes) -> Iterator[SourceFile]:
    """Yield the files of one of git's tar files."""
    with tarfile.open(fileobj=io.BytesIO(tar), encoding="utf-8") as archive:
        for entry in archive:
            name, target = (text.encode(errors="surrogateescape") for text in (entry.name, entry.linkname))
            content = archive.extractfile(entry) if entry.isreg() else None
            if content or entry.issym():
                yield SourceFile(name, content.read() if content else target, entry.issym(), bool(entry.mode & 0o100))


def _export_ignored(where: Path, names: Collection[bytes]) -> set[bytes]:
    """Return the files that git excludes from archives by an attribute of theirs, or of a directory."""
    above = {directory for name in names for directory in _directories(name)}
    asked = b"".join(name + b"\0" for name in [*names, *above])
    attributes = _git(where, "check-attr", "-z", "--stdin", "export-ignore", given=asked).split(b"\0")
    ignored = {path for path, value in zip(attributes[::3], attributes[2::3], strict=False) if value == b"set"}
    return {name for name in names if name in ignored or ignored.intersection(_directories(name))}


def _directories(name: bytes) -> Iterator[bytes]:
    """Yield the parent directories of a file as in git's attributes: a/, a/b/."""
    parts = name.split(b"/")
    return (b"/".join(parts[:depth]) + b"/" for depth in range(1, len(parts)))


def _remarks(files: Iterable[SourceFile], left_out: Collection[bytes]) -> Iterator[str]:
    found = list(files)
    if pointers := [file.path for file in found if file.is_lfs_pointer]:
        yield f"code: Git LFS pointers in place of files: {_named(pointers)}; `git lfs pull` fetches the files"
    if links := [file.path for file in found if file.leads_out]:
        yield f"code: links that lead out of it, and to nothing on an instance: {_named(links)}"
    if left_out:
        yield f"code: left out because of git's attribute export-ignore: {_named(left_out)}"


def _named(names: Collection[bytes]) -> str:
    first = ", ".join(shown(name) for name in sorted(names)[:NAMED])
    return f"{first} and {len(names) - NAMED} more" if len(names) > NAMED else first


def _diff(where: Path, new: list[SourceFile]) -> str | None:
    """Return the hash of changes and new files since the commit; None where there are none."""
    changed = _git(where, "diff", "--no-ext-diff", "--no-textconv", "--binary", "HEAD", "--", ".")
    digest = hashlib.sha256(changed)
    for file in new:
        digest.update(b"\n%b\n%d\n" % (file.path, len(file.content)) + file.content)
    return digest.hexdigest() if changed or new else None


def _check_size(size: int, where: Path) -> None:
    if size > MAX_PACKED:
        raise UserError(
            f"code.path: {where}: more than {MAX_PACKED >> 20} MiB; does it contain data? "
            "(.gitignore excludes it, `make dataset-build` makes a dataset of it)"
        )


def _names(where: Path, *arguments: str) -> list[bytes]:
    """Return the file names that a git command lists, as bytes."""
    command, *rest = arguments
    return [name for name in _git(where, command, "-z", *rest).split(b"\0") if name]


def _git(where: Path, *arguments: str, given: bytes = b"") -> bytes:
    try:
        done = git(where, *arguments, given=given)
    except FileNotFoundError as missing:
        raise UserError("git is not installed here (Debian, Ubuntu: apt-get install git)") from missing
    if done.returncode:
        said = [f"ended with {done.returncode}", *done.stderr.decode(errors="replace").strip().splitlines()]
        fatal = next((line for line in said if line.startswith("fatal: ")), said[-1])  # advice may follow it
        raise UserError(f"code: {where}: git {arguments[0]}: {fatal}")
    return done.stdout


DIRECTORY = ".code"
MAX_STORED = 512 << 20  # bytes; larger code is not packed (MAX_PACKED)


def store_code(lab: Path, content: bytes) -> str:
    """Store content and return its SHA-256 in hexadecimal. Raises UserError."""
    digest = hashlib.sha256(content).hexdigest()
    path = lab / DIRECTORY / digest
    if load_code(lab, digest) is not None:
        return digest
    try:
        private_directory(path.parent)
        with temp_file_beside(path, content, mode=0o600) as draft:
            draft.replace(path)
    except OSError as problem:
        raise UserError(
            f"{path.parent}: can't be written ({problem.strerror}); free some space or change its permissions"
        ) from problem
    return digest


def load_code(lab: Path, digest: str) -> bytes | None:
    """Return the content of a hash; None where it is missing or damaged."""
    path = lab / DIRECTORY / digest
    try:
        content = read_bytes(path, MAX_STORED)
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest() == digest else None
