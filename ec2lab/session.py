"""The composition root of a script: the lab's files, registry, plugins, and recorded access to AWS."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from threading import Event, RLock
from typing import Any, TypeVar

from ec2lab import clock
from ec2lab.aws.clients import Clients
from ec2lab.aws.cloud import Cloud
from ec2lab.aws.errors import in_words
from ec2lab.aws.region_queries import RegionQueries
from ec2lab.config.lab_files import experiment_files, load_lab
from ec2lab.config.models import Lab
from ec2lab.console import leave_at_once, warn
from ec2lab.context import ContextThreadPool, working_on
from ec2lab.errors import UserError
from ec2lab.interrupts import INTERRUPTS
from ec2lab.plugins import Plugins
from ec2lab.registry.account_records import AccountRecords
from ec2lab.registry.backends import registry_backends
from ec2lab.registry.base import NullRegistry, Registry, SetAside
from ec2lab.registry.compaction import needed_records
from ec2lab.registry.ownership import Tagger
from ec2lab.registry.record import Record
from ec2lab.registry.recorder import Recorder
from ec2lab.resource import ResourceType, check_readable, resource_types
from ec2lab.validators import did_you_mean, few

T = TypeVar("T")
NAMED = 3  # how many invalid records are named at the end of a command
THREADS = 16
"""Concurrent reading calls; EC2's own buckets refill at 20 a second and more
(https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html)."""


@dataclass
class Session:
    directory: Path
    lab: Lab
    script: str
    is_recording: bool = True  # whether calls are recorded; otherwise only those that change nothing are allowed
    over: Event = field(default_factory=Event)  # set when threads need not start anything more
    _opened: list[Registry] = field(default_factory=list)
    _made: dict[Callable[[Session], Any], Any] = field(default_factory=dict)
    _lock: RLock = field(default_factory=RLock)

    @cached_property
    def registry(self) -> Registry:
        """The lab's registry, or the one in the variable REGISTRY. Raises UserError where there can be none."""
        named = os.environ.get("REGISTRY")
        return self.registry_at(named or self.lab.registry, "REGISTRY" if named else "lab.toml: registry")

    def registry_at(self, address: str, where: str) -> Registry:
        """Return the registry at a path or address; `where` is who named it, for errors. Raises UserError."""
        scheme = address.partition("://")[0] if "://" in address else "file"
        backends = registry_backends(self.plugins)
        if scheme not in backends:
            raise UserError(f"{where}: {address!r}: unknown registry {scheme}:// (known: {', '.join(backends)})")
        registry = backends[scheme].open(
            address, where, self.directory, lambda service, region: self.clients.make(service, region, attempts=8)
        )
        registry.checks.append(lambda record: check_readable(record, lambda: self.resource_types))
        self._opened.append(registry)
        return registry

    def set_aside(self) -> list[SetAside]:
        """Return the invalid records found in the registries so far."""
        return [found for registry in self._opened for found in registry.set_aside.values()]

    @cached_property
    def plugins(self) -> Plugins:
        return Plugins(self.directory / "plugins")

    @cached_property
    def resource_types(self) -> Mapping[str, ResourceType]:
        """The known resource types, in order of deletion."""
        return resource_types(self.plugins)

    @cached_property
    def recorder(self) -> Recorder:
        registry = self.registry if self.is_recording else NullRegistry(lambda: self.registry)
        not_found = frozenset(
            code for resource_type in self.resource_types.values() for code in resource_type.not_found_codes
        )
        tagger = Tagger(self.resource_types.values(), self.lab.tags, cache(registry.id))
        return Recorder(registry, self.script, tagger, not_found, lambda: self.cloud.account)

    @cached_property
    def clients(self) -> Clients:
        """Creates clients of AWS: one for the whole process, so that an MFA code is asked for once."""
        return Clients(self.lab, self.directory)

    @cached_property
    def cloud(self) -> Cloud:
        return Cloud(self.lab, self.directory, self.clients, self.recorder.attach)

    def once(self, make: Callable[[Session], T]) -> T:
        """Return what `make` makes of this session, made when it is first asked for; any thread may ask."""
        with self._lock:
            if make not in self._made:
                self._made[make] = make(self)
            made: T = self._made[make]
            return made

    @cached_property
    def queries(self) -> RegionQueries:
        expect_credentials = lambda: self.cloud.expect_credentials()  # noqa: E731, PLW0108 - a cloud may not be had
        return RegionQueries(self.lab.region_timeout.total_seconds(), expect_credentials)

    @cached_property
    def threads(self) -> ContextThreadPool:
        return ContextThreadPool(THREADS)

    @cached_property
    def records(self) -> AccountRecords:
        """The registry's records of the account in use."""
        return AccountRecords(
            self.registry, self.resource_types, lambda: self.cloud.account, may_create=self.is_recording
        )

    def compact(self) -> int:
        """Archive the records that are no longer needed; return their number."""
        return self.registry.archive(lambda records: needed_records(records, self.resource_types))

    def expect_known(self, pattern: str) -> None:
        """Raise UserError if no experiment, of that name or pattern, has a file or records, archive included."""
        written = [path.stem for path in experiment_files(self.directory)]
        if not (fnmatch.filter(written, pattern) or fnmatch.filter(self._recorded(self.registry.records()), pattern)):
            known = {*written, *self._recorded(self.registry.history())}
            if not fnmatch.filter(known, pattern):
                close = did_you_mean(pattern, sorted(known), at_most=3)
                listed = f" (known: {few(sorted(known))})" if known else "; `make new EXP=demo` writes the first"
                raise UserError(f"EXP: {pattern!r} is in neither experiments/ nor the registry{close or listed}")

    @staticmethod
    def _recorded(records: Iterable[Record]) -> set[str]:
        return {record.experiment for record in records if record.experiment}

    def pause(self, seconds: float) -> None:
        """Wait. Raises UserError in a thread whose session ends meanwhile."""
        if clock.sleep_unless(self.over, seconds):
            raise UserError("interrupted")

    def close(self) -> None:
        """Write the recorder's open counts, and shut down the threads."""
        self.over.set()
        # An interrupted command has been rolled back by now; nobody needs its threads' results.
        given_up = "queries" in self.__dict__ and self.queries.has_given_up  # a call may still be under way
        leaves = given_up or INTERRUPTS.interrupted
        if "threads" in self.__dict__:
            self.threads.shutdown(wait=not leaves, cancel_futures=True)
        if "recorder" in self.__dict__:
            self.recorder.close()
        if "registry" in self.__dict__:
            self.registry.close()
        if leaves:
            leave_at_once()


@contextmanager
def open_session(script: str, experiment: str | None = None) -> Iterator[Session]:
    """Open the lab in the current directory for a script that changes nothing. Raises UserError."""
    directory = Path.cwd()
    session = Session(directory, load_lab(directory), script)
    try:
        with in_words(), working_on(experiment):
            yield session
            if "registry" in session.__dict__ and session.registry.needs_compaction():
                session.compact()
    except BaseException:
        INTERRUPTS.heed()
        raise
    finally:
        session.close()
        _name(session.set_aside())


def _name(found: Sequence[SetAside]) -> None:
    """Name the invalid records: nobody else would, and one may be of something that costs money."""
    for one in found[:NAMED]:
        warn(f"{one} (set aside; see `make doctor`)")
    if len(found) > NAMED:
        warn(f"{len(found) - NAMED} more records were set aside; `make doctor` names them")


@contextmanager
def locked_session(experiment: str, script: str) -> Iterator[Session]:
    """Open the lab in the current directory with an experiment's lock. Raises UserError."""
    with open_session(script, experiment) as session, session.registry.lock_experiment(experiment, script):
        yield session
