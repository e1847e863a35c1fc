"""The lab as `make doctor` sees it: its valid files, the caller, and facts shared by checks."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple
from urllib.parse import urlsplit

from pydantic import BaseModel

from ec2lab.aws.identity import Identity, get_identity, without_credentials
from ec2lab.aws.region_queries import NoResponse, in_time
from ec2lab.config.lab_files import experiment_files, load_experiment, load_lab, load_member, member_files
from ec2lab.config.models import Experiment, Lab, Member
from ec2lab.config.toml_files import complaints, is_there
from ec2lab.context import ContextThreadPool
from ec2lab.costs.pricer import pricers
from ec2lab.doctor.check import checks
from ec2lab.errors import UserError
from ec2lab.launch.part import launch_parts
from ec2lab.launch.search import allowed_subnets, placement_preferences
from ec2lab.plugins import Plugins
from ec2lab.registry.backends import registry_backends
from ec2lab.resource import resource_types
from ec2lab.session import THREADS, Session
from ec2lab.validators import NAME, NAME_HELP
from ec2lab.watch.notifier import notifiers

Model = TypeVar("Model", bound=BaseModel)


@dataclass
class ConfigFiles:
    """lab.toml, experiments/ and members/."""

    directory: Path
    lab: Lab | None = None
    experiments: dict[str, Experiment] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    invalid: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, directory: Path) -> ConfigFiles:
        """Read them. Raises UserError where there is no lab.toml."""
        files = cls(directory)
        if not is_there(directory / "lab.toml", shown_as="lab.toml"):
            load_lab(directory)  # raises the error
        files.lab = files._load("lab.toml", Lab, lambda: load_lab(directory))
        for path in experiment_files(directory):
            files._experiment(path.stem)
        for path in member_files(directory):
            if member := files._load(f"members/{path.name}", Member, lambda path=path: load_member(path)):  # type: ignore[misc]
                files.members[path.stem] = member
        return files

    def require_experiment(self, name: str) -> None:
        """Raise UserError where an experiment has no file."""
        if f"experiments/{name}.toml" not in self.invalid:
            load_experiment(self.directory, name)

    def _experiment(self, name: str) -> None:
        shown_as = f"experiments/{name}.toml"
        experiment = self._load(shown_as, Experiment, lambda: load_experiment(self.directory, name))
        if not re.fullmatch(NAME, name):
            self.invalid.setdefault(shown_as, []).append(f"{shown_as}: {name!r} is not {NAME_HELP}")
        elif experiment and self.lab:
            try:
                placement_preferences(self.lab, name, experiment)
            except UserError as problem:
                self.invalid[shown_as] = [str(problem)]
            else:
                self.experiments[name] = experiment

    def _load(self, shown_as: str, model: type[Model], load: Callable[[], Model]) -> Model | None:
        """Return a file's content; None where it is invalid, with its errors noted."""
        try:
            return load()
        except UserError as problem:
            self.invalid[shown_as] = complaints(problem, model, shown_as=shown_as)
            return None


Given = TypeVarTuple("Given")
Fact = TypeVar("Fact")


class CheckSkipped(UserError):
    """What a check needs is missing; another check reports it."""


@dataclass(eq=False)
class DoctorContext:
    """A lab, checked without changing or recording anything."""

    directory: Path
    files: ConfigFiles
    only: str = ""  # the only experiment to check; all if empty
    session: Session | None = None
    plugin_trouble: str = ""
    _begun: dict[tuple[Any, ...], Future[Any]] = field(default_factory=dict)

    @property
    def lab(self) -> Lab:
        return self.opened.lab

    @property
    def opened(self) -> Session:
        """The session. Raises CheckSkipped where lab.toml is invalid."""
        if self.session is None:
            raise CheckSkipped("lab.toml has mistakes")
        return self.session

    @property
    def members(self) -> Mapping[str, Member]:
        return self.files.members

    @property
    def experiments(self) -> Mapping[str, Experiment]:
        """The experiments to check that have valid files."""
        known = self.files.experiments
        return {name: known[name] for name in known if self.only in ("", name)}

    @cached_property
    def threads(self) -> ContextThreadPool:
        """The session's threads, or threads of its own without a session."""
        return self.session.threads if self.session else ContextThreadPool(THREADS)

    @cached_property
    def plugins(self) -> Plugins:
        """The lab's plugins; only the built-in ones if others cannot be loaded."""
        return self.session.plugins if self.session else Plugins(None)

    @property
    def regions(self) -> list[str]:
        """The regions where the experiments may run, the lab's own first."""
        own = self.lab.regions if not self.only else []
        wanted = [region for one in self.experiments.values() for region in one.regions or self.lab.regions]
        return list(dict.fromkeys([*own, *wanted])) or list(self.lab.regions)

    def regions_of(self, name: str) -> Sequence[str]:
        return placement_preferences(self.lab, name, self.experiments[name]).regions

    def subnets_in(self, region: str) -> list[str]:
        """Return the subnets that the lab or an experiment names in a region."""
        named = [self.lab.network.subnets, *(allowed_subnets(self.lab, one) for one in self.experiments.values())]
        return list(dict.fromkeys(subnet for subnets in named for subnet in subnets.get(region, ())))

    @property
    def artifact_buckets(self) -> dict[str, str]:
        """The bucket of each experiment's artifact_uri, if it has one."""
        return {name: urlsplit(one.artifact_uri).netloc for name, one in self.experiments.items() if one.artifact_uri}

    @property
    def table(self) -> str:
        """The name of the registry's DynamoDB table; empty where it has none."""
        address = urlsplit(os.environ.get("REGISTRY") or self.lab.registry)
        return address.path.strip("/") if address.scheme == "dynamodb" else ""

    def begin(self, ask: Callable[[DoctorContext, *Given], Fact], /, *given: *Given) -> Future[Fact]:
        """Start querying a fact, once for all checks; called where looks are listed, not within one.

        Threads run what was started first, so that a look never waits for something queued behind it.
        """
        key = (ask, *given)
        if key not in self._begun:
            self._begun[key] = self.threads.submit(lambda: self._in_time(ask, *given))
        return self._begun[key]

    def begin_everywhere(self, ask: Callable[[DoctorContext, str], Fact]) -> dict[str, Future[Fact]]:
        """Start querying a fact of each of the lab's regions; return them by region."""
        return {region: self.begin(ask, region) for region in self.regions}

    def _in_time(self, ask: Callable[[DoctorContext, *Given], Fact], *given: *Given) -> Fact:
        """Query a fact within a region's timeout, counted from when the caller is known.

        The user may have to type an MFA code. Three times the timeout, as a fact may wait for the enabled regions, and
        may take two calls.
        """
        if ask is _introduced or self.session is None:
            return ask(self, *given)
        if caller := self._begun.get((_introduced,)):
            caller.exception()
        try:
            return in_time(lambda: ask(self, *given), 3 * self.session.queries.timeout)
        except NoResponse as silent:
            self.session.queries.has_given_up = True
            raise NoResponse(": ".join([*map(str, given), str(silent)])) from silent

    def prefetch_identity(self) -> None:
        """Start asking AWS for the caller, before all other queries, which wait for it."""
        self.begin(_introduced)

    def caller(self) -> Identity:
        return self.begin(_introduced).result()

    def require_aws(self) -> None:
        """Raise CheckSkipped where AWS does not know the caller."""
        if self.caller().problem:
            raise CheckSkipped("AWS rejects this computer's credentials, or cannot be reached")


def _introduced(lab: DoctorContext) -> Identity:
    try:
        return get_identity(lab.opened.cloud, lab.opened.lab.regions)
    except UserError as problem:  # a profile that is not there, or a local cloud that can't be started
        return without_credentials(problem)


@contextmanager
def open_readonly(directory: Path, only: str) -> Iterator[DoctorContext]:
    """Open a lab read-only, whatever is wrong with it. Raises UserError where there is none."""
    files = ConfigFiles.read(directory)
    if only and only not in files.experiments and only not in files.invalid:
        files.require_experiment(only)
    session = Session(directory, files.lab, "doctor", is_recording=False) if files.lab else None
    lab = DoctorContext(directory, files, only, session)
    if session:
        lab.plugin_trouble = _loaded(session)
    try:
        yield lab
    finally:
        lab.threads.shutdown(wait=not (session and session.queries.has_given_up), cancel_futures=True)
        if session:
            session.close()


def _loaded(session: Session) -> str:
    """Load plugins; return their errors, in which case only the built-in ones are used."""
    try:
        for given in (resource_types, pricers, launch_parts, registry_backends, checks, notifiers):
            given(session.plugins)
    except UserError as problem:
        session.plugins = Plugins(None)
        return str(problem)
    return ""
