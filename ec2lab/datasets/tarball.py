"""Unpacks tarballs of others so that nothing escapes the target directory.

It uses the system's tar, not Python's tarfile, which has let crafted archives write anywhere (CVE-2025-4517, in Python
3.11 to 3.13.3, for example), and the user's Python is not ours to choose. GNU tar and bsdtar strip absolute names,
refuse `..` and create links that lead outside only after all files are written.
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
"""The checksum in a header, in octal
(https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html#tag_20_92_13_06)."""
PACKERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
"""Decompressors by magic bytes."""
ZSTANDARD = b"\x28\xb5\x2f\xfd"  # Python 3.11 cannot read it; tar can, and no disk begins with it
TRUSTED = ("GNU tar", "bsdtar")
OPTIONS = ("--extract", "--numeric-owner", "--no-same-permissions")
"""Numeric owners when root unpacks; no setuid, and no write permission for others."""
UMASK = 0o022
KINDS = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)  # the file types allowed in a dataset


def is_tarball(source: Path) -> bool:
    """Say whether a file begins with a tar header, compressed or not."""
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
    """Yield a directory with a tarball's content, deleted afterwards. Raises UserError."""
    directory = Path(tempfile.mkdtemp(dir=work))
    try:
        _unpack(source, directory)
        _check(source, directory)
        yield directory
    finally:
        _delete(directory)


def _unpack(source: Path, directory: Path) -> None:
    # The absolute path: GNU tar takes text before a colon for a remote host, unless it contains a slash.
    words = [_tar(), *OPTIONS, "--file", str(source.resolve()), "--directory", str(directory)]
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, check=False, umask=UMASK, env=_settings()
    )
    directory.chmod(PRIVATE_DIRECTORY)  # an archive may set a mode for it
    if done.returncode:
        raise UserError(f"SOURCE: {source}: can't be unpacked: {_reason(done.stderr)}")


def _tar() -> str:
    """Return a tar with known protection. Raises UserError where there is none."""
    for name in ("tar", "gtar", "bsdtar"):
        if path := shutil.which(name):
            done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, env=_settings())
            if any(known in done.stdout for known in TRUSTED):
                return path
    raise UserError("SOURCE: a tarball requires GNU tar or bsdtar; neither is installed here (apt-get install tar)")


def _settings() -> dict[str, str]:
    """Return the environment without options for tar, which could disable its protection."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TAR_")} | {"LC_ALL": "C"}


def _reason(said: bytes) -> str:
    """Return the first error: the last one only says that there were some."""
    lines = said.decode(errors="replace").strip().splitlines() or ["tar gives no reason"]
    return next((line for line in lines if "Removing leading" not in line), lines[-1])


def _check(source: Path, directory: Path) -> None:
    """Raise UserError where anything but files, directories and links was unpacked."""
    try:
        strange = [path for path, status in entries(directory) if stat.S_IFMT(status.st_mode) not in KINDS]
    except OSError as problem:
        raise UserError(f"SOURCE: {source}: its content can't be read: {problem.strerror}") from problem
    if strange:
        raise UserError(
            f"SOURCE: {source}: {strange[0]} is a device or a pipe; a dataset has files, directories and links"
        )


def entries(tree: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the paths and stats of everything below a directory, not following links. Raises OSError.

    By descriptor, as paths in a tree may have the maximum length.
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
    """Delete a tree, whatever its directories' modes and depth.

    Python's own function follows links in some versions where permission is missing (CVE-2023-6597), and fails at a
    depth of a thousand directories.
    """
    subprocess.run(["chmod", "-R", "u+rwx", "--", str(directory)], check=False, capture_output=True)
    subprocess.run(["rm", "-rf", "--", str(directory)], check=True, capture_output=True)
