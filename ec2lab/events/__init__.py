"""What commands report: one class for each event. Programs read it as JSON, people as text, notifiers as an object.

A class has its text for people: a template of its fields, or `lines` where it depends on them. The first line is the
event, in its color; the others are advice. Without either an event shows its own field `text`, as those of plugins
may; if it has none, it is for programs alone, or is a row of a table (ec2lab/tables.py).

docs/events.schema.json and the reference in docs/json.md are generated from these classes by `make schema`. Each family
has a module of its own, so that a command loads only what it reports.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ec2lab import clock


class Event(BaseModel):
    """Something that happened, or a row of a command's output. Its name is its class's, in kebab case."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    event: ClassVar[str]
    commands: ClassVar[frozenset[str]]
    """The make targets that report it."""
    notify: ClassVar[bool]
    """Whether notifiers receive it."""
    template: ClassVar[str]
    style: ClassVar[str | None]
    time: datetime = Field(default_factory=clock.now)

    def __init_subclass__(
        cls,
        commands: str = "",
        name: str = "",
        *,
        notify: bool = False,
        text: str = "",
        style: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        cls.event = name or re.sub(r"(?<=[a-z])(?=[A-Z])", "-", cls.__name__).lower()
        cls.commands, cls.notify, cls.template, cls.style = frozenset(commands.split()), notify, text, style

    @model_validator(mode="before")
    @classmethod
    def _encodable(cls, data: Any) -> Any:
        """AWS, hosts and file names bring text that is not Unicode; UTF-8 cannot carry a lone surrogate."""
        return _encodable(data)

    def lines(self) -> str | list[str]:
        return self.template.format_map(vars(self)) if self.template else getattr(self, "text", "")

    def color(self) -> str | None:
        return self.style

    def as_json(self) -> dict[str, Any]:
        """Return the object that JSON=1 prints."""
        return {"event": self.event, **self.model_dump(mode="json")}


GREEN, YELLOW, RED = "green", "yellow", "red"
RESOURCE = "{resource_type} {id} ({region})"
Emit = Callable[[Event], None]
Log = Callable[[str], None]


def steps(emit: Emit, experiment: str | None = None) -> Log:
    """Return a callback that reports a line as a step."""
    return lambda message: emit(Step(experiment=experiment, message=message))


class ForPeople(Event):
    """Not printed with JSON=1, and in no schema: advice and progress."""


class Info(ForPeople):
    """A line of advice."""

    text: str


class Progress(ForPeople):
    """Progress, shown on a terminal in a line that the next one replaces."""

    text: str


class HasIdentity(Protocol):
    """A resource, as ec2lab/resource.py has it."""

    @property
    def resource_type(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def experiment(self) -> str | None: ...


class ResourceEvent(Event):
    """Something about one resource."""

    resource_type: str
    id: str
    region: str
    experiment: str | None

    @classmethod
    def of(cls, resource: HasIdentity, **fields: Any) -> Self:
        """Return the event about a resource."""
        identity = {name: getattr(resource, name) for name in ("id", "region", "experiment")}
        return cls(**{**fields, **identity, "resource_type": resource.resource_type})


LAUNCH = "dataset-build launch rerun sweep watch"
"""The commands that launch instances."""
REGIONAL = "audit dataset-verify datasets dataset-prune gpus plan ps registry-rebuild snapshot-copy status teardown"
"""The commands that query several regions, and continue without one that does not respond."""


class Step(Event, commands=f"{LAUNCH} start teardown volume-mount volume-unmount", text="  {message}"):
    """One step of something that takes a while: a boot, a mount, a snapshot at teardown."""

    experiment: str | None = None
    message: str


class RegionsUnavailable(Event, commands=REGIONAL):
    """Regions that could not be queried, or not completely. What else is printed is true; the exit code is 3."""

    regions: list[str]
    reason: str
    """AWS's own message, or that there was no response."""

    @classmethod
    def by_reason(cls, unseen: Mapping[str, str]) -> list[Self]:
        """Return one event for each reason why regions (the keys) could not be queried."""
        regions: dict[str, list[str]] = {}
        for region, reason in unseen.items():
            regions.setdefault(reason, []).append(region)
        return [cls(regions=some, reason=reason) for reason, some in regions.items()]

    def lines(self) -> str:
        return f"{', '.join(self.regions)}: not seen: {self.reason}"


class Unavailable(
    Event, commands="audit cost datasets dataset-prune gpus plan ps registry-rebuild report status teardown"
):
    """A detail that AWS did not return. The command continues without it."""

    what: str
    region: str | None = None
    reason: str

    def lines(self) -> str:
        return f"{f'{self.region}: ' if self.region else ''}{self.what} unknown: {self.reason}"


class OtherAccount(Event, commands="audit ps status teardown", text="{message}", style=YELLOW):
    """Experiments that are live, or may be, in another account than the current one. They are left alone."""

    experiments: list[str]
    partition: str | None
    """aws, aws-cn, …; local for a local cloud; null if the records do not contain it."""
    account: str | None
    message: str


def _encodable(value: Any) -> Any:
    match value:
        case str():
            return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
        case list() | tuple():
            return [_encodable(item) for item in value]
        case dict():
            return {_encodable(key): _encodable(item) for key, item in value.items()}
    return value
