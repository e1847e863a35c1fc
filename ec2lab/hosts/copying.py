"""Copy files to and from instances, over the same robust channel as every other call (hosts/protocol.py)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ec2lab.errors import UserError
from ec2lab.hosts.file_receiver import Receiver
from ec2lab.hosts.file_stream import (
    COMPLETE,
    FILE,
    MANIFEST_LIMIT,
    Entry,
    Tree,
    manifest,
    parse_line,
    parse_manifest,
)
from ec2lab.hosts.program_packer import program
from ec2lab.hosts.ssh import Host

Progress = Callable[[int, int], None]  # gets (bytes copied, bytes to copy)
RESULT_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Copied:
    files: int
    unchanged: int
    deleted: int
    bytes: int
    skipped: Sequence[str]


def push(host: Host, tree: Tree, dest: str, progress: Progress, *, delete: bool = False) -> Copied:
    """Copy a local tree to a path of a host. Raises Unreachable, Failed, and UserError."""
    with host.talking_to(program("receive-files.py"), dest, "yes" if delete else "no") as talk:
        talk.say(json.dumps(manifest(tree)).encode() + b"\n")
        offsets = _offsets(talk.line(MANIFEST_LIMIT), tree.entries, host)
        total = _missing(tree.entries, offsets)
        talk.feed(_in_words(_counted(tree.contents(offsets), total, progress)))
        counts = _parsed(talk.line(RESULT_LIMIT), host)
        for _ in talk.rest():
            pass
    return _copied(counts, total, tree.skipped, host)


def pull(host: Host, source: str, dest: str, progress: Progress, *, delete: bool = False) -> Copied:
    """Copy a tree of a host to a local path, as `push` does; nothing of the host's can lead elsewhere."""
    with host.talking_to(program("send-files.py"), source) as talk:
        manifest = _parsed(talk.line(MANIFEST_LIMIT), host)
        try:
            single, entries, skipped = parse_manifest(manifest)
        except (ValueError, TypeError, KeyError) as problem:
            raise UserError(f"{host.name}: sent what can't be written here: {problem}") from problem
        try:
            with Receiver(dest, single, entries, delete=delete) as receiver:
                offsets = receiver.offsets()
                total = _missing(entries, offsets)
                talk.say(json.dumps(offsets).encode() + b"\n")
                for piece in _counted(talk.rest(), total, progress):
                    receiver.feed(piece)
                counts = receiver.finish()
        except OSError as problem:
            raise UserError(f"{host.name}: {problem.filename or dest}: {problem.strerror}") from problem
        except ValueError as problem:
            raise UserError(f"{host.name}: {problem}") from problem
    return _copied(counts, total, skipped, host)


def _parsed(line: bytes, host: Host) -> Any:
    try:
        return parse_line(line)
    except ValueError as problem:
        raise UserError(f"{host.name}: did not respond with JSON") from problem


def _offsets(line: bytes, entries: Sequence[Entry], host: Host) -> list[int]:
    """Return the offsets that a host asks for. Raises UserError unless there is one within each entry."""
    offsets = _parsed(line, host)
    if not isinstance(offsets, list) or [type(one) for one in offsets] != [int] * len(entries):
        raise UserError(f"{host.name}: asked for files that it was not offered")
    if any(not COMPLETE <= offset <= entry.size for offset, entry in zip(offsets, entries, strict=True)):
        raise UserError(f"{host.name}: asked for more than the files have")
    return offsets


def _missing(entries: Sequence[Entry], offsets: Sequence[int]) -> int:
    pairs = zip(entries, offsets, strict=True)
    return sum(entry.size - offset for entry, offset in pairs if entry.file_type == FILE and offset != COMPLETE)


def _counted(pieces: Iterator[bytes], total: int, progress: Progress) -> Iterator[bytes]:
    done = 0
    for piece in pieces:
        yield piece
        done += len(piece)
        progress(done, total)


def _in_words(pieces: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from pieces
    except OSError as problem:
        raise UserError(f"{problem.filename}: {problem.strerror}") from problem


def _copied(counts: Any, total: int, skipped: Sequence[str], host: Host) -> Copied:
    names = ("files", "unchanged", "deleted")
    if not isinstance(counts, dict) or any(type(counts.get(name)) is not int for name in names):
        raise UserError(f"{host.name}: responded without a result")
    return Copied(counts["files"], counts["unchanged"], counts["deleted"], total, skipped)
