"""Download what lies under an S3 prefix into a directory: several objects at once, by boto3's own transfer manager."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
import unicodedata
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from queue import Queue
from typing import IO, TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from s3transfer.exceptions import RetriesExceededError, S3DownloadFailedError
from s3transfer.manager import TransferConfig, TransferManager
from s3transfer.subscribers import BaseSubscriber

from ec2lab.errors import UserError
from ec2lab.files import exists
from ec2lab.hosts.copying import Copied, Progress
from ec2lab.hosts.file_receiver import Target
from ec2lab.hosts.file_stream import COMPLETE, DIRECTORY, FILE, LINK, PARTIAL, Entry, stays_inside
from ec2lab.runs.s3_logs import OutputsState, s3_client, unreadable
from ec2lab.session import Session
from ec2lab.units import format_bytes

if TYPE_CHECKING:
    from s3transfer.futures import TransferFuture

PART = 16 << 20  # bytes: larger objects are fetched in parts, several at once
REQUESTS = 16
OPEN_FILES = 64
LONGEST_NAME = 255  # bytes of a file's name, on every file system in use
CHANGED = ("InvalidRange", "416", "NoSuchKey", "404")
"""Error codes for an object that has become shorter, or was deleted, since it was listed."""
TRIES = NAMED = 3
NOTHING_ELSE = OutputsState()


@dataclass(frozen=True, slots=True)
class S3Object:
    """An object, as S3 lists it."""

    path: str
    """Its key without the prefix. Anybody who may write to the bucket chose it."""
    size: int
    changed: datetime
    etag: str

    @property
    def entry(self) -> Entry:
        """The file that it becomes. Its modification time has microseconds of the ETag, so that it names the version.

        A file of the same size and modification time thus holds the same version, and another object does not match.
        """
        version = int(hashlib.sha256(self.etag.encode()).hexdigest(), 16) % 1_000_000
        return Entry(self.path, FILE, self.size, (int(self.changed.timestamp()) * 1_000_000 + version) * 1000)


@dataclass(frozen=True, slots=True)
class S3Prefix:
    """Objects whose keys begin with the same text."""

    client: Any
    bucket: str
    prefix: str  # with a trailing slash

    @classmethod
    def at(cls, session: Session, address: str) -> S3Prefix:
        """Return the prefix with an address such as `s3://bucket/prefix/`, read by the session's own client."""
        bucket, _, prefix = address.removeprefix("s3://").partition("/")
        return cls(session.once(s3_client), bucket, prefix)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    def objects(self, within: str = "") -> Iterator[S3Object]:
        """Yield all objects, but for the empty ones by which S3's console shows directories. Raises UserError."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"{self.prefix}{within}"
        )
        with self.in_words():
            for found in (one for page in pages for one in page.get("Contents", ())):
                if not (found["Key"].endswith("/") and found["Size"] == 0):
                    path = found["Key"].removeprefix(self.prefix)
                    yield S3Object(path, found["Size"], found["LastModified"], found["ETag"])

    @contextmanager
    def in_words(self) -> Iterator[None]:
        """Convert S3's errors to a UserError."""
        try:
            yield
        except ClientError as problem:
            raise unreadable(self, problem) from problem


def download(
    source: S3Prefix, dest: str, progress: Progress, state: OutputsState = NOTHING_ELSE, *, delete: bool = False
) -> Copied:
    """Download what is missing in `dest`, or there in another version. Raises UserError.

    A file has its name only when it is complete. Nothing is written outside of `dest`, whatever the objects' keys.
    """
    objects = [one for one in source.objects() if one.path not in state.deleted]
    links = [Entry(path, LINK, target=target) for path, target in state.links.items()]
    if not objects:
        raise UserError(f"{source}: holds no outputs")
    try:
        Path(dest).mkdir(parents=True, exist_ok=True)
        entries, skipped = entries_of([*(one.entry for one in objects), *links], fold if ignores_case(dest) else str)
        with Target(dest, entries, delete=delete) as target:
            missing = {
                entry.path for entry, offset in zip(entries, target.offsets(), strict=True) if offset != COMPLETE
            }
            transfer = _Transfer(source, target, progress, (one for one in objects if one.path in missing))
            expect_room(dest, transfer.total)
            with source.in_words():
                transfer.run()
            if transfer.problems:
                raise UserError(f"{source}: {'; '.join(transfer.problems[:NAMED])} (run it again)")
            counts = target.finish()
    except OSError as problem:
        raise UserError(f"{problem.filename or dest}: {problem.strerror or problem}") from problem
    return Copied(**counts, bytes=transfer.fetched, skipped=skipped)


def entries_of(wanted: Iterable[Entry], fold: Callable[[str], str]) -> tuple[list[Entry], list[str]]:
    """Return the files and links that can be, after the directories that they take, and why others cannot.

    `fold` returns the same for names that the file system does not distinguish.
    """
    valid, skipped, taken = list[Entry](), list[str](), dict[str, Entry]()
    for one in wanted:
        if why := problem_of(one):
            skipped.append(f"{one.path}: {why}")
        else:
            valid.append(one)
    directories = {parent: fold(parent) for one in valid for parent in _parents(one.path)}
    above = set(directories.values())
    for one in valid:
        if (name := fold(one.path)) in above:
            skipped.append(f"{one.path}: others lie below its name, as if it were a directory")
        elif first := taken.get(name):
            skipped.append(f"{one.path}: has the same name as {first.path} on that file system")
        else:
            taken[name] = one
    return [*(Entry(path, DIRECTORY) for path in sorted(directories)), *taken.values()], skipped


def problem_of(entry: Entry) -> str:
    """Return why a file or link cannot be in a directory; empty if it can."""
    path, names = entry.path, entry.path.split("/")
    if {"", ".", ".."} & set(names):
        return "leads out of the directory, or is no path"
    if "\0" in path:
        return "has a NUL in its name"
    if any(PARTIAL.fullmatch(name) for name in names):
        return "has the name of a partial file"
    if entry.file_type == LINK and ("\0" in entry.target or not stays_inside(path, entry.target)):
        return "leads out of the directory"
    longest = max(len(name.encode(errors="surrogatepass")) for name in names)
    return f"has a name of {longest} bytes" if longest > LONGEST_NAME else ""


def _parents(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def fold(path: str) -> str:
    """Return a path as a file system has it that distinguishes neither case nor Unicode's forms, as macOS's."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def ignores_case(directory: str) -> bool:
    """Return whether a directory's file system finds a file by its name in other case. Raises OSError."""
    with tempfile.NamedTemporaryFile(prefix=".ec2-lab-case-", dir=directory) as probe:
        return exists(Path(directory, Path(probe.name).name.upper()))


def expect_room(dest: str, size: int) -> None:
    """Raise UserError if so many bytes do not fit."""
    if size > (free := shutil.disk_usage(dest).free):
        raise UserError(
            f"{dest}: {format_bytes(size)} are to be fetched, but {format_bytes(free)} are free (DEST= names another)"
        )


class _Fetch(BaseSubscriber):
    """One object on its way into a partial file."""

    def __init__(self, one: S3Object, file: IO[bytes], transfer: _Transfer) -> None:
        self.object, self.file, self._transfer = one, file, transfer

    def on_queued(self, future: TransferFuture, **_: Any) -> None:
        """Spare the request for what the listing told, and demand the listed version."""
        future.meta.provide_transfer_size(self.object.size)
        future.meta.provide_object_etag(self.object.etag)

    def on_progress(self, future: TransferFuture, bytes_transferred: int, **_: Any) -> None:
        """Count what came; negative when a part is fetched again."""
        self._transfer.count(bytes_transferred)

    def on_done(self, future: TransferFuture, **_: Any) -> None:
        """Hand the result to the main thread."""
        self._transfer.ended.put((self, future))


class _Transfer:
    """Objects on their way. The main thread alone opens and renames files."""

    def __init__(self, source: S3Prefix, target: Target, progress: Progress, objects: Iterable[S3Object]) -> None:
        self.ended: Queue[tuple[_Fetch, TransferFuture]] = Queue()
        self.fetched = 0  # bytes of complete files
        self.problems: list[str] = []  # what could not be fetched, and why
        self._source, self._target, self._progress = source, target, progress
        self._waiting = deque(objects)
        self.total, self._arrived = sum(one.size for one in self._waiting), 0
        self._open: dict[str, _Fetch] = {}
        self._tries = Counter[str]()
        self._lock = threading.Lock()

    def count(self, arrived: int) -> None:
        """Report progress."""
        with self._lock:
            self._arrived += arrived
            self._progress(self._arrived, self.total)

    def run(self) -> None:
        """Fetch all. Raises ClientError, UserError, OSError."""
        config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_request_concurrency=REQUESTS)
        try:
            with TransferManager(self._source.client, config) as manager:
                while self._waiting or self._open:
                    while self._waiting and len(self._open) < OPEN_FILES:
                        self._begin(manager, self._waiting.popleft())
                    self._end(*self.ended.get())
        finally:
            for fetch in self._open.values():
                fetch.file.close()
                self._target.discard(fetch.object.entry)

    def _begin(self, manager: TransferManager, one: S3Object) -> None:
        file = os.fdopen(self._target.open(one.entry, 0), "wb")
        fetch = self._open[one.path] = _Fetch(one, file, self)
        manager.download(self._source.bucket, f"{self._source.prefix}{one.path}", file, subscribers=[fetch])

    def _end(self, fetch: _Fetch, future: TransferFuture) -> None:
        """Give a complete file its name; of an object that has changed since it was listed, fetch the new version."""
        one = fetch.object
        try:
            future.result()
            fetch.file.flush()
            if os.fstat(fetch.file.fileno()).st_size == one.size:
                self._target.complete(one.entry, fetch.file.fileno())
                self.fetched += one.size
                del self._open[one.path]
                fetch.file.close()
                return
        except RetriesExceededError as problem:
            raise UserError(f"{self._source}{one.path}: {problem.last_exception}") from problem
        except S3DownloadFailedError:
            pass  # one of its parts is of another version
        except ClientError as problem:
            if problem.response["Error"]["Code"] not in CHANGED:
                raise
        del self._open[one.path]
        fetch.file.close()
        self._target.discard(one.entry)
        self._again(one)

    def _again(self, one: S3Object) -> None:
        self._tries[one.path] += 1
        now = next((found for found in self._source.objects(one.path) if found.path == one.path), None)
        if now is None:
            self.problems.append(f"{one.path} was deleted meanwhile")
        elif self._tries[one.path] == TRIES:
            self.problems.append(f"{one.path} changes faster than it is fetched")
        else:
            self._waiting.append(now)
