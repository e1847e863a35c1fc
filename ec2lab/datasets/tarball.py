"""Tarballs that others made, unpacked so that nothing of them gets out of the directory that they are unpacked into.

The system's tar does it, not Python's tarfile: that one has let crafted archives write anywhere (CVE-2025-4517, in
Python 3.11 to 3.13.3, for one), and which Python a user has is not ours to say. GNU tar and bsdtar strip absolute
names, refuse `..` and make links that lead out only when all files are written.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import stat
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ec2lab.errors import UserError
from ec2lab.files import PRIVATE_DIRECTORY

BLOCK = 512
CHECKSUM = slice(148, 156)
"""Where a header has the sum of its bytes, in octal digits
(https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html#tag_20_92_13_06)."""
PACKERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
"""How what begins so is read."""
ZSTANDARD = b"\x28\xb5\x2f\xfd"
"""Python 3.11 can't look into it; tar can, and no disk begins so."""
TRUSTED = ("GNU tar", "bsdtar")
OPTIONS = ("--extract", "--numeric-owner", "--no-same-permissions")
"""Owners by their numbers where root unpacks; no setuid, and no rights to write for others."""
UMASK = 0o022
KINDS = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)
"""What a dataset may have."""


def is_tarball(source: Path) -> bool:
    """Say whether a file begins with the header of a file in a tar archive, packed or not."""
    try:
        with source.open("rb") as file:
            begin = file.read(BLOCK)
        if begin.startswith(ZSTANDARD):
            return True
        for magic, opened in PACKERS.items():
            if begin.startswith(magic):
                with opened(source) as unpacked:
                    begin = unpacked.read(BLOCK)
    except (OSError, EOFError, lzma.LZMAError, zlib.error):
        return False
    return _is_header(begin)


def _is_header(block: bytes) -> bool:
    digits = block[CHECKSUM].strip(b" \0")
    if len(block) < BLOCK or not digits.isdigit() or set(digits) & set(b"89"):
        return False
    return int(digits, 8) == sum(block) - sum(block[CHECKSUM]) + 8 * ord(" ")


@contextmanager
def unpacked(source: Path, work: Path) -> Iterator[Path]:
    """Give a directory with what is in a tarball, which is deleted afterwards. Raises UserError."""
    directory = Path(tempfile.mkdtemp(dir=work))
    try:
        _unpack(source, directory)
        _check(source, directory)
        yield directory
    finally:
        _delete(directory)


def _unpack(source: Path, directory: Path) -> None:
    # The whole path: GNU tar takes what stands before a colon for another computer, unless a slash comes first.
    words = [_tar(), *OPTIONS, "--file", str(source.resolve()), "--directory", str(directory)]
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, check=False, umask=UMASK, env=_settings()
    )
    directory.chmod(PRIVATE_DIRECTORY)  # an archive may have a mode for it too
    if done.returncode:
        raise UserError(f"SOURCE: {source}: can't be unpacked: {_reason(done.stderr)}")


def _tar() -> str:
    """Return a tar whose protection is known. Raises UserError where there is none."""
    for name in ("tar", "gtar", "bsdtar"):
        if path := shutil.which(name):
            told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, env=_settings())
            if any(known in told.stdout for known in TRUSTED):
                return path
    raise UserError("SOURCE: a tarball takes GNU tar or bsdtar, and neither is installed here (apt-get install tar)")


def _settings() -> dict[str, str]:
    """Return the environment without options for tar, which could turn its protection off."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TAR_")} | {"LC_ALL": "C"}


def _reason(said: bytes) -> str:
    """Return the first complaint: the last one only says that there were some."""
    lines = said.decode(errors="replace").strip().splitlines() or ["tar does not say why"]
    return next((line for line in lines if "Removing leading" not in line), lines[-1])


def _check(source: Path, directory: Path) -> None:
    """Raise UserError where something else than files, directories and links came out."""
    try:
        strange = [path for path, status in entries(directory) if stat.S_IFMT(status.st_mode) not in KINDS]
    except OSError as problem:
        raise UserError(f"SOURCE: {source}: what is in it can't be read: {problem.strerror}") from problem
    if strange:
        raise UserError(
            f"SOURCE: {source}: {strange[0]} is a device or a pipe; a dataset has files, directories and links"
        )


def entries(tree: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the paths and states of all that is below a directory; no link is followed. Raises OSError.

    By a descriptor, as paths in a tree may be as long as paths can be.
    """
    root = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    try:
        waiting = ["."]
        while waiting:
            place = waiting.pop()
            descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=root)
            try:
                with os.scandir(descriptor) as found:
                    for entry in found:
                        path, status = f"{place}/{entry.name}".removeprefix("./"), entry.stat(follow_symlinks=False)
                        yield path, status
                        if stat.S_ISDIR(status.st_mode):
                            waiting.append(path)
            finally:
                os.close(descriptor)
    finally:
        os.close(root)


def _delete(directory: Path) -> None:
    """Delete a tree, whatever its directories' modes and however deep.

    Not with Python's own, which in some versions follows links where it has no permission (CVE-2023-6597), and can go
    no deeper than a thousand directories.
    """
    subprocess.run(["chmod", "-R", "u+rwx", "--", str(directory)], check=False, capture_output=True)
    subprocess.run(["rm", "-rf", "--", str(directory)], check=True, capture_output=True)
