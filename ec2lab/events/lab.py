"""Events of members, hosts, the registry and the lab's files."""

from __future__ import annotations

from typing import Any

from ec2lab.events import Event


class AccountChange(Event, commands="user-add user-remove users"):
    """A change of an account on a host; with DRY_RUN=1, a change that would be made."""

    host: str
    member: str
    """Or accounts for all of them, or sshd."""
    change: str
    """problem, if it could not be made."""
    detail: str


class HostUpdated(Event, commands="user-add user-remove users"):
    """A host's accounts match members/."""

    host: str
    changes: int
    dry_run: bool = False
    """Whether they would only be changed."""


class KeyPairCreated(Event, commands="user-add"):
    """A key pair was created."""

    path: str
    """Of the public key."""
    message: str


class MemberAdded(Event, commands="user-add"):
    """A member's file is written."""

    member: str
    path: str


class MemberRemoved(Event, commands="user-remove"):
    """A member's files are deleted."""

    member: str
    paths: list[str]


class RecordsCopied(Event, commands="registry-pull registry-push"):
    """Records were copied from one registry into another."""

    written: int
    existing: int
    """Number of records that the other registry already had."""
    source: str
    dest: str


class HistoryRecord(Event, commands="history"):
    """A record of the registry, in full (docs/registry.md)."""

    record: dict[str, Any]


class ExperimentWritten(Event, commands="new"):
    """The experiment's file is written."""

    experiment: str
    path: str


class ScriptInfo(Event, commands="script"):
    """A script of a plugin. The events of such a script are its own, and are not described here."""

    name: str
    summary: str


class DataLossWarning(Event, commands="stop"):
    """What a stop would lose."""

    experiment: str
    message: str


class InstancesStopped(Event, commands="stop"):
    """The instances are stopped."""

    experiment: str
    instances: list[str]
    """Empty if they were already stopped."""
    volume_cost: str
    """Dollars per hour of the volumes, which are kept, in words."""


class LocalCloudRunning(Event, commands="local-cloud"):
    """The local cloud runs."""

    url: str


class LocalCloudStopped(Event, commands="local-cloud-stop"):
    """The local cloud does not run."""

    was_running: bool


class Measured(Event, commands="bench"):
    """A measurement."""

    part: str
    table: str
    name: str
    unit: str
    median: float
    least: float
    most: float
