"""The outputs of an experiment's command, on their way to a bucket and back. Python 3.9 or later: instances run it.

An object appears as a whole or not at all, and what is put under a file's name is what the file held at one moment
while nobody was in the middle of writing it. docs/outputs.md says what is promised; the rules stand in `_due` and
`_upload`.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import itertools
import json
import os
import stat
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from ec2lab.hosts.changing_files import Changed, Found, Tree, blocks, digest, found, opened, tree, version_of, writers
from ec2lab.hosts.s3_requests import Altered, Bucket, Listed
from ec2lab.hosts.signed_requests import Later, Refused

FILES, STATE_OBJECT = "outputs/", "outputs.json"
"""What precedes the names of files; and the object that says which of them are deleted, and what the links are."""
PART, PARTS = 16 << 20, 10_000
"""Bytes of a part of a large file, at least; and how many parts S3 takes
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html)."""
LONGEST_NAME = 1024  # bytes of a key
QUIET = 2.0  # seconds since its last change in which a file may still be in the middle of one
ROUNDS = 10  # after so many times sync_every, what somebody goes on writing is taken as it is
STATE_ENTRY = ""  # the journal's name for the state, by its digest; no file has it
DELETED = ""  # what the journal has for a file that is recorded as deleted
TEMPORARY = ".ec2-lab-restored-"
OF_A_FILE = ("KeyTooLong", "EntityTooLarge", "InvalidURI", "InvalidPart", "NoSuchUpload")
"""Refusals that concern one file only."""


class Task(NamedTuple):
    """A file to upload."""

    name: str
    version: str
    is_loose: bool  # whether somebody writes it, so that what it holds now has to do
    is_fresh: bool  # whether its last change is so recent that the clock of the file system could hide another
    is_small: bool  # whether it is uploaded in one request, by one of several threads
    is_overdue: bool  # whether it has to do even if it never stays the same for as long as it takes to read it twice


class Journal:
    """Which version of each file is uploaded, kept on disk: no more than a restart of its reader is lost with it."""

    def __init__(self, path: str) -> None:
        """Read it."""
        self.path, self._lock = path, threading.Lock()
        self.known: dict[str, str] = {}
        with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
            for line in file:
                with contextlib.suppress(ValueError):  # the power was cut while it was written
                    name, version = json.loads(line)
                    self.known[name] = version

    def note(self, name: str, version: str) -> None:
        """Add what is uploaded; where the disk is full, it is uploaded again after a restart."""
        with self._lock:
            self.known[name] = version
            with contextlib.suppress(OSError), open(self.path, "a", encoding="utf-8") as file:
                file.write(f"{json.dumps([name, version])}\n")


class Outputs:
    """A directory and its prefix in a bucket."""

    def __init__(
        self, root: str, bucket: Bucket, journal: Journal, every: float, say: Callable[[str], None],
        pause: Callable[[float], bool],
    ) -> None:  # fmt: skip
        """Take both. `say` writes a line for the user; `pause` waits, and returns whether to give up."""
        self.root, self.bucket, self.journal, self.every = root, bucket, journal, every
        self.say, self.pause = say, pause
        self._since: dict[str, float] = {}  # since when files wait
        self._deleted = {name for name, version in journal.known.items() if version == DELETED}
        self._missing = set(self._deleted)
        self._failed: dict[str, float] = {}
        """When files could not be uploaded. They are tried after all others, which may not have the same trouble."""
        self._failure = ""
        self._said: set[str] = set()
        self._device = os.stat(root).st_dev

    # Uploading

    def sync(self, leave: Collection[str] = (), *, is_last: bool = False) -> bool:
        """Upload what has changed, but for some names; return whether all of it is there now."""
        seen = tree(self.root)
        if seen.device != self._device:
            raise OSError(errno.ESTALE, "is another file system than at the beginning", self.root)
        for problem in seen.problems:
            self._once(f"can't be read: {problem}")
        names = {name: file for name, file in seen.files.items() if name not in leave and self._has_key(name)}
        try:
            if self._deleted & names.keys():  # first, or they would be in the bucket and not be restored
                self._upload_state(seen)
            fresh = self._pass(names, is_last=is_last, is_second=False)
            if fresh:
                self._upload_state(seen)
                self.pause(QUIET)
                fresh = self._pass(dict(self._again(fresh)), is_last=is_last, is_second=True)
            if not fresh and not seen.problems:
                self._find_deleted(seen)
            self._upload_state(seen)
        except (Refused, Later) as problem:
            if not self._failure and not self.pause(0):
                self.say(f"can't be uploaded to s3://{self.bucket.name}/{self.bucket.prefix}{FILES}: {problem}")
            self._failure = str(problem)
            return False
        if self._failure:
            self.say("uploaded again")
            self._failure = ""
        return not fresh

    def _pass(self, files: Mapping[str, Found], *, is_last: bool, is_second: bool) -> list[str]:
        """Upload what is due, and return what is not. Raises Refused, Later."""
        changed = {name: file for name, file in files.items() if self.journal.known.get(name) != file.version}
        if not changed:
            self._since.clear()
            return []
        held = writers(self._device)
        due, rest = [], []
        for name, file in changed.items():
            mode = self._due(name, file, held, is_last=is_last, is_second=is_second)
            if mode is None:
                rest.append(name)
            else:
                due.append(
                    Task(name, file.version, mode, is_second, file.size <= PART, self._waited(name) > 2 * ROUNDS)
                )
        due.sort(key=lambda task: (self._failed.get(task.name, 0.0), not task.is_small))
        for is_small, tasks in itertools.groupby(due, lambda task: task.is_small):
            attempt = functools.partial(self.bucket.each if is_small else map, self._tried)
            rest += filter(None, attempt(tasks))
        self._since = {name: self._since[name] for name in rest}
        return rest

    def _due(self, name: str, file: Found, held: Mapping[int, bool], *, is_last: bool, is_second: bool) -> bool | None:
        """Return None for a file that has to wait, and else whether it is to be taken as it is, being written."""
        age = time.time() - file.changed
        has_waited = self._waited(name) > ROUNDS
        if file.inode not in held:
            return None if age < QUIET and not is_second else has_waited
        if held[file.inode]:  # whatever its writers do, its beginning stays
            return True
        if has_waited or (is_last and is_second):
            return True
        return False if age > self.every else None

    def _waited(self, name: str) -> float:
        """Return how many rounds a file has waited for."""
        waited = time.monotonic() - self._since.setdefault(name, time.monotonic())
        return waited / max(self.every, 1e-9)

    def _tried(self, task: Task) -> str:
        """Upload a file, and return its name if it has to wait. Raises Refused and Later that concern all files."""
        try:
            with opened(self.root, task.name) as file:
                self._upload(task, file)
        except (Changed, Altered):
            return task.name
        except OSError as problem:
            if problem.errno in (errno.ELOOP, errno.ENXIO):  # something else has its name now
                return task.name
            self._once(f"{task.name!r} can't be read: {problem.strerror}")
            return task.name
        except Refused as refused:
            if not str(refused).startswith(OF_A_FILE):
                self._failed[task.name] = time.monotonic()
                raise
            self._once(f"{task.name!r} can't be uploaded: {refused}")
            return task.name
        except Later:
            self._failed[task.name] = time.monotonic()
            raise
        self._failed.pop(task.name, None)
        return ""

    def _upload(self, task: Task, file: int) -> None:
        """Upload an open file. Raises Changed unless what is uploaded is what it held at one moment."""
        status = os.fstat(file)
        if (version_of(status) != task.version and not task.is_loose) or (task.is_small and status.st_size > PART):
            raise Changed
        modified = f"{status.st_mtime_ns // 10**9}.{status.st_mtime_ns % 10**9:09}"
        headers = {"x-amz-meta-mtime": modified, "x-amz-meta-mode": f"{stat.S_IMODE(status.st_mode):o}"}
        if status.st_size <= PART:
            content = b"".join(blocks(file, 0, status.st_size))
            known = hashlib.sha256(content).hexdigest()
            self._expect(task, file, status, [(0, status.st_size, known)])
            self.bucket.put(FILES + task.name, lambda: content, len(content), known, headers)
        else:
            self._upload_parts(task, file, status, headers)
        self.journal.note(task.name, version_of(status))

    def _upload_parts(self, task: Task, file: int, status: os.stat_result, headers: Mapping[str, str]) -> None:
        name, size = FILES + task.name, status.st_size
        length = max(PART, -(-size // PARTS))
        upload = self.bucket.begin(name, headers)

        def put(first: int) -> tuple[str, tuple[int, int, str]]:
            number, most = first // length + 1, min(length, size - first)
            content = functools.partial(blocks, file, first, most)
            if task.is_overdue:
                content = functools.partial(iter, [*content()])
            known = digest(content())
            return self.bucket.put_part(name, upload, number, content, most, known), (first, most, known)

        try:
            done = list(self.bucket.each(put, range(0, size, length)))
            self._expect(task, file, status, [part for _, part in done])
            self.bucket.complete(name, upload, [etag for etag, _ in done])
        except BaseException:
            with contextlib.suppress(Refused, Later):
                self.bucket.abort(name, upload)
            raise

    def _expect(self, task: Task, file: int, before: os.stat_result, parts: list[tuple[int, int, str]]) -> None:
        """Raise Changed unless a file held what was read, all of it at one moment.

        Where its times can't say so, it is read twice: what is the same before and after the moment in between was the
        same at that moment.
        """
        if task.is_overdue:
            return
        is_doubtful = task.is_loose or task.is_fresh
        if is_doubtful and any(digest(blocks(file, first, size)) != known for first, size, known in parts):
            raise Changed
        if not task.is_loose and version_of(os.fstat(file)) != version_of(before):
            raise Changed

    def _again(self, names: Collection[str]) -> Iterator[tuple[str, Found]]:
        for name in names:
            with contextlib.suppress(OSError, Changed), opened(self.root, name) as file:
                yield name, found(os.fstat(file))

    def _find_deleted(self, seen: Tree) -> None:
        """Note deletions, once they are seen twice, as a file may be renamed meanwhile.

        Where something is still to be uploaded, it may be what a file is renamed to: then it is too early.
        """
        missing = {name for name in self.journal.known if name not in seen.files} - {STATE_ENTRY}
        deleted, self._missing = missing & self._missing, missing
        for name in deleted - self._deleted:
            self.journal.note(name, DELETED)
        self._deleted |= deleted

    def _upload_state(self, seen: Tree) -> None:
        """Upload what no object says: links and deletions."""
        self._deleted -= seen.files.keys()
        links = {name: target for name, target in seen.links.items() if self._has_key(name) and is_inside(name, target)}
        content = state_of(self._deleted, links)
        known = hashlib.sha256(content).hexdigest()
        if self.journal.known.get(STATE_ENTRY, NO_STATE) != known:
            self.bucket.put(STATE_OBJECT, lambda: content, len(content), known, {})
            self.journal.note(STATE_ENTRY, known)

    def _has_key(self, name: str) -> bool:
        """Return whether a file's name can be an object's."""
        try:
            if len((self.bucket.prefix + FILES + name).encode()) <= LONGEST_NAME:
                return True
            why = "is too long"
        except UnicodeEncodeError:
            why = "is not UTF-8"
        self._once(f"{name!r} is not uploaded: its name {why}")
        return False

    def _once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self.say(line)

    # Restoring

    def restore(self, owner: tuple[int, int]) -> tuple[int, int]:
        """Download everything, and return how many files and bytes. Raises Refused, Later, OSError."""
        objects = {one.name: one for one in self.bucket.listed("outputs")}
        content = self.bucket.get(STATE_OBJECT).body if STATE_OBJECT in objects else state_of((), {})
        gone, links = _state_in(content)
        wanted = [one._replace(name=one.name[len(FILES) :]) for one in objects.values() if one.name.startswith(FILES)]
        wanted = [one for one in wanted if is_name(one.name) and one.name not in gone]
        directories = {*_parents(one.name for one in wanted), *_parents(links)}
        wanted = [one for one in wanted if one.name not in directories]  # it was a file before
        total = sum(one.size for one in wanted)
        room = os.statvfs(self.root)
        if total > room.f_bavail * room.f_frsize:
            raise Refused(f"{total >> 20} MiB must be restored, but {self.root} has less space")
        for path in sorted(directories):
            with contextlib.suppress(FileExistsError):
                os.mkdir(os.path.join(self.root, path))
                os.chown(os.path.join(self.root, path), *owner)
        list(self.bucket.each(functools.partial(self._fetch, owner), [one for one in wanted if one.size <= PART]))
        for one in wanted:
            if one.size > PART:
                self._fetch(owner, one)
        for name, target in links.items():
            if is_inside(name, target):
                with contextlib.suppress(FileExistsError):
                    os.symlink(target, os.path.join(self.root, name))
                    os.chown(os.path.join(self.root, name), *owner, follow_symlinks=False)
        for name in gone:
            self.journal.note(name, DELETED)
        if STATE_OBJECT in objects:
            self.journal.note(STATE_ENTRY, hashlib.sha256(content).hexdigest())
        return len(wanted), total

    def _fetch(self, owner: tuple[int, int], one: Listed) -> None:
        """Download an object to a temporary name, and give it its own. Raises Refused, Later, OSError."""
        path = os.path.join(self.root, one.name)
        draft = os.path.join(os.path.dirname(path), TEMPORARY + hashlib.sha256(os.fsencode(one.name)).hexdigest()[:16])
        file = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            if one.size <= PART:
                headers = self._take(file, one, 0, one.size)
            else:

                def take(first: int) -> Mapping[str, str]:
                    return self._take(file, one, first, min(PART, one.size - first))

                headers = list(self.bucket.each(take, range(0, one.size, PART))).pop()
            os.fchmod(file, int(headers.get("x-amz-meta-mode", "644"), 8) & 0o777)
            os.fchown(file, *owner)
            modified = _nanoseconds(headers.get("x-amz-meta-mtime", ""))
            if modified is not None:
                os.utime(file, ns=(modified, modified))
            os.rename(draft, path)
            self.journal.note(one.name, version_of(os.fstat(file)))
        finally:
            os.close(file)

    def _take(self, file: int, one: Listed, first: int, size: int) -> Mapping[str, str]:
        """Download a part into its place, and return the object's headers. Raises Refused, Later, OSError."""
        answer = self.bucket.get(FILES + one.name, first, size if one.size > PART else -1, one.etag)
        if len(answer.body) != size:
            raise Later(f"{one.name!r} has another size by now")
        if os.pwrite(file, answer.body, first) != size:
            raise OSError(errno.ENOSPC, "no space left", self.root)
        return answer.headers


def state_of(deleted: Collection[str], links: Mapping[str, str]) -> bytes:
    """Return the object that says what no other does."""
    return json.dumps({"deleted": sorted(deleted), "links": links}, sort_keys=True).encode()


NO_STATE = hashlib.sha256(state_of((), {})).hexdigest()


def _state_in(content: bytes) -> tuple[set[str], dict[str, str]]:
    """Return deleted files, and links, by an object that anybody may have written. Raises Refused."""
    try:
        state = json.loads(content)
        links = {str(name): str(target) for name, target in state.get("links", {}).items() if is_name(str(name))}
        return {str(name) for name in state.get("deleted", ())}, links
    except (ValueError, AttributeError, TypeError) as problem:
        raise Refused(f"{STATE_OBJECT} is not what the lab writes ({problem})") from problem


def _parents(names: Iterable[str]) -> Iterator[str]:
    """Yield all directories of files."""
    for name in names:
        parts = name.split("/")
        yield from ("/".join(parts[:number]) for number in range(1, len(parts)))


def is_name(name: str) -> bool:
    """Return whether an object's name can be a file's within the directory."""
    return "\0" not in name and not {"", ".", ".."} & set(name.split("/"))


def is_inside(name: str, target: str) -> bool:
    """Return whether a link leads to a place within the directory."""
    place = os.path.normpath(os.path.join(os.path.dirname(name), target))
    return not target.startswith("/") and place.partition("/")[0] != ".." and "\0" not in target


def _nanoseconds(text: str) -> int | None:
    seconds, _, rest = text.partition(".")
    if not (seconds.isdigit() and (rest or "0").isdigit()):
        return None
    return int(seconds) * 10**9 + int(rest[:9].ljust(9, "0"))
