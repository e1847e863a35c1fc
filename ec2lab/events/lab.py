"""Events of members, hosts, the registry and the lab's files."""

from __future__ import annotations

from typing import Any

from ec2lab.events import GREEN, RED, YELLOW, Event


class AccountChange(Event, commands="user-add user-remove users"):
    """A change of an account on a host; with DRY_RUN=1, a change that would be made."""

    host: str
    member: str
    """Or accounts for all of them, or sshd."""
    change: str
    """problem, if it could not be made."""
    detail: str

    def lines(self) -> str:
        return f"  {self.host}  {self.member}: {self.change} {self.detail}".rstrip()

    def color(self) -> str | None:
        return RED if self.change == "problem" else None


class HostUpdated(Event, commands="user-add user-remove users", style=GREEN):
    """A host's accounts match members/."""

    host: str
    changes: int
    dry_run: bool = False
    """Whether they would only be changed."""

    def lines(self) -> str:
        if not self.changes:
            return f"{self.host}: nothing to change"
        return f"{self.host}: {self.changes} {'would change' if self.dry_run else 'changed'}"


class KeyPairCreated(Event, commands="user-add", text="{message}"):
    """A key pair was created."""

    path: str
    """Of the public key."""
    message: str


class MemberAdded(Event, commands="user-add", text="wrote {path}", style=GREEN):
    """A member's file is written."""

    member: str
    path: str


class MemberRemoved(Event, commands="user-remove", style=GREEN):
    """A member's files are deleted."""

    member: str
    paths: list[str]

    def lines(self) -> str:
        return f"removed {', '.join(self.paths)}"


class RecordsCopied(
    Event,
    commands="registry-pull registry-push",
    text="{written} records of {source} written to {dest}, {existing} were there",
    style=GREEN,
):
    """Records were copied from one registry into another."""

    written: int
    existing: int
    """Number of records that the other registry already had."""
    source: str
    dest: str


class HistoryRecord(Event, commands="history"):
    """A record of the registry, in full (docs/registry.md)."""

    record: dict[str, Any]


class ExperimentWritten(Event, commands="new", text="wrote {path}: edit it, then `make launch EXP={experiment}`"):
    """The experiment's file is written."""

    experiment: str
    path: str


class ScriptInfo(Event, commands="script", text="  {name:<20} {summary}"):
    """A script of a plugin. The events of such a script are its own, and are not described here."""

    name: str
    summary: str


class DataLossWarning(Event, commands="stop", text="  {message}", style=YELLOW):
    """What a stop would lose."""

    experiment: str
    message: str


class InstancesStopped(Event, commands="stop", style=GREEN):
    """The instances are stopped."""

    experiment: str
    instances: list[str]
    """Empty if they were already stopped."""
    volume_cost: str
    """Dollars per hour of the volumes, which are kept, in words."""

    def lines(self) -> str:
        done = f"{', '.join(self.instances)} stopped" if self.instances else "was stopped already"
        return f"{self.experiment}: {done}; its volumes stay, and cost {self.volume_cost} dollars an hour"


class LocalCloudRunning(Event, commands="local-cloud", text="local cloud on {url}: nothing here is real or billed"):
    """The local cloud runs."""

    url: str


class LocalCloudStopped(Event, commands="local-cloud-stop"):
    """The local cloud does not run."""

    was_running: bool

    def lines(self) -> str:
        return "local cloud stopped; its resources are gone" if self.was_running else "no local cloud was running"


class Measured(Event, commands="bench", text="  {table}: {name}  {median} {unit} ({least} to {most})"):
    """A measurement."""

    part: str
    table: str
    name: str
    unit: str
    median: float
    least: float
    most: float
