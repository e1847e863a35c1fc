"""EC2 in a few lines, and a lab on it, in one process: for what is decided between calls, at moments of a test's own.

What scripts do is tested on the local cloud. Here it is what teardown and reconciliation decide while AWS shows things
late, loses responses and takes its time: thousands of courses of events, in no time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import jmespath
from botocore.exceptions import ClientError

from ec2lab.aws.account import Account
from ec2lab.aws.tags import BY, EXPERIMENT, RECORD, REGISTRY, from_aws, to_aws
from ec2lab.config.models import Lab
from ec2lab.context import working_on
from ec2lab.registry.base import Registry
from ec2lab.registry.record import Event, Record, new_id
from ec2lab.registry.recorder import Recorder
from ec2lab.resources.instance import Instance
from ec2lab.resources.security_group import SecurityGroup
from ec2lab.resources.volume import Volume
from ec2lab.session import Session

ACCOUNT = Account("aws", "111122223333")
REGION = "us-east-1"
SETTLING = 60.0
SHUTTING_DOWN = 30.0
"""Seconds until what is terminated is so."""
IDS = {"instance": "InstanceId", "volume": "VolumeId", "security-group": "GroupId"}
FILTERS = {"instance-id": "InstanceId", "volume-id": "VolumeId", "group-id": "GroupId"}
DETACHED = {"State": "available", "Attachments": []}


class ListedRegistry(Registry):
    """A registry in memory."""

    def __init__(self):
        self.all: list[Record] = []

    @property
    def name(self):
        return "in memory"

    def append(self, record):
        self.all.append(record)

    def records(self, experiment=None):
        return iter(list(self.all))

    def lock_experiment(self, experiment, script):
        return nullcontext()


class Pages(list):
    def search(self, expression):
        for page in self:
            yield from jmespath.search(expression, page)


@dataclass
class Thing:
    """One thing in the account."""

    resource_type: str
    region: str
    item: dict
    shown_from: datetime
    known_from: datetime
    """By when a deletion finds it."""
    gone_from: datetime | None = None
    tagged_from: datetime | None = None
    """From when on its tags are shown, where that is later than itself."""

    @property
    def id(self):
        return self.item[IDS[self.resource_type]]


def attachment(instance: str, *, goes: bool) -> dict:
    """Return what holds a volume, which goes with its instance or stays."""
    return {"InstanceId": instance, "DeleteOnTermination": goes, "State": "attached", "Device": "/dev/sdf"}


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "Something")


@dataclass
class SmallAws:
    """All things of an account, and the time. It is the `cloud` of a session."""

    time: datetime = datetime(2026, 11, 1, tzinfo=UTC)
    things: dict[str, Thing] = field(default_factory=dict)
    refuses: dict[str, Exception] = field(default_factory=dict)
    """By id, what a deletion of it is met with."""
    unseen: dict[tuple[str, str], Exception] = field(default_factory=dict)
    """By region and kind, what a description is met with."""
    unseen_by_id: Exception | None = None
    """What a description of things by their ids is met with."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Every deletion that was asked for: operation, id."""
    account: Account = ACCOUNT
    consistency_seconds: float = SETTLING
    shutting_down: float = SHUTTING_DOWN
    region: str = REGION
    """Where what is made next is made."""

    def expect_credentials(self):
        """They are there."""

    def ec2(self, region):
        return SimpleNamespace(
            get_paginator=lambda name: SimpleNamespace(
                paginate=lambda **given: Pages(self._page(name, region, given["Filters"]))
            ),
            terminate_instances=lambda InstanceIds: self._delete("instance", InstanceIds[0]),  # noqa: N803
            delete_volume=lambda VolumeId: self._delete("volume", VolumeId),  # noqa: N803
            delete_security_group=lambda GroupId: self._delete("security-group", GroupId),  # noqa: N803
        )

    def add(self, resource_type, item, *, late=0.0, unknown=0.0):
        """Put a thing into the account, shown `late` seconds from now on, and known to a deletion `unknown` later."""
        identity = f"{resource_type}-{len(self.things)}"
        shown = self.time + timedelta(seconds=late)
        thing = Thing(
            resource_type,
            self.region,
            {IDS[resource_type]: identity, **item},
            shown,
            shown + timedelta(seconds=unknown),
        )
        self.things[identity] = thing
        return identity

    def there(self):
        """The ids of all that is not gone, shown or not."""
        return {thing.id for thing in self.things.values() if not self._is_gone(thing)}

    def _is_gone(self, thing):
        return thing.gone_from is not None and thing.gone_from <= self.time

    def _page(self, name, region, filters):
        resource_type = {"describe_instances": "instance", "describe_volumes": "volume"}.get(name, "security-group")
        if (region, resource_type) in self.unseen:
            raise self.unseen[region, resource_type]
        if self.unseen_by_id and any(one["Name"] in FILTERS for one in filters):
            raise self.unseen_by_id
        some = [
            t
            for t in self.things.values()
            if t.resource_type == resource_type and t.region == region and t.shown_from <= self.time
        ]
        shown = [item for thing in some if (item := self._as_shown(thing))]
        items = [item for item in shown if all(matches(item, one) for one in filters)]
        pages = {"instance": {"Reservations": [{"Instances": items}]}, "volume": {"Volumes": items}}
        yield pages.get(resource_type, {"SecurityGroups": items})

    def _as_shown(self, thing):
        if thing.tagged_from and thing.tagged_from > self.time:
            return {**thing.item, "Tags": []}
        if thing.resource_type == "instance" and thing.gone_from:
            return {**thing.item, "State": {"Name": "terminated" if self._is_gone(thing) else "shutting-down"}}
        if self._is_gone(thing):
            return None
        held = [one for one in thing.item.get("Attachments", ()) if one["InstanceId"] in self.there()]
        return thing.item if held or "Attachments" not in thing.item else {**thing.item, **DETACHED}

    def _delete(self, resource_type, identity):
        self.asked.append((resource_type, identity))
        thing = self.things.get(identity)
        if identity in self.refuses:
            raise self.refuses[identity]
        if thing is None or thing.known_from > self.time or (self._is_gone(thing) and resource_type != "instance"):
            raise refused({"instance": "InvalidInstanceID.NotFound", "volume": "InvalidVolume.NotFound"}
                          .get(resource_type, "InvalidGroup.NotFound"))  # fmt: skip
        lock_owners = [a["InstanceId"] for a in thing.item.get("Attachments", ())]
        if any(holder in self.there() for holder in lock_owners):
            raise refused("VolumeInUse")
        wait = self.shutting_down if resource_type == "instance" else 0
        thing.gone_from = thing.gone_from or self.time + timedelta(seconds=wait)
        for other in self.things.values():
            if any(a["InstanceId"] == identity and a["DeleteOnTermination"] for a in other.item.get("Attachments", ())):
                other.gone_from = thing.gone_from


def matches(item, one):
    """Whether a thing is one that a filter asks for."""
    name, values = one["Name"], one["Values"]
    if name.startswith("tag:"):
        return from_aws(item.get("Tags")).get(name.removeprefix("tag:")) in values
    return item.get(FILTERS[name]) in values


class SmallLab:
    """A lab that works on it, and what its launches do."""

    def __init__(self):
        self.aws = SmallAws()
        self.registry = ListedRegistry()
        self.session = Session(Path("/nowhere"), Lab(regions=[REGION]), "test")
        resource_types = {
            resource_type.name: resource_type for resource_type in (Instance(), Volume(), SecurityGroup())
        }
        recorder = Recorder(self.registry, "test", lambda *_: [], frozenset(), lambda: ACCOUNT)
        self.session.__dict__ |= {
            "registry": self.registry,
            "resource_types": resource_types,
            "cloud": self.aws,
            "recorder": recorder,
        }

    def note(self, experiment, **told):
        with working_on(experiment):
            self.session.recorder.annotate(**told)

    def call(self, operation, request, response=None, *, experiment="foo", error=None, identity=None):
        """Write a call's records: its intent, and what came of it if that is given. Return the intent."""
        common = {"experiment": experiment, "operation": operation, "request": request, "region": self.aws.region,
                  "partition": ACCOUNT.partition, "account": ACCOUNT.id, "actor": "me@here:1"}  # fmt: skip
        intent = Record(event=Event.INTENT, id=identity or new_id(), **common)
        self.registry.append(intent)
        if response is not None:
            self.registry.append(Record(event=Event.RESPONSE, parent_id=intent.id, response=response, **common))
        if error is not None:
            self.registry.append(Record(event=Event.ERROR, parent_id=intent.id, error=error, **common))
        return intent

    def tags(self, token, experiment="foo"):
        """What the lab puts on what it makes."""
        named = {EXPERIMENT: experiment} if experiment else {}
        return to_aws({**named, RECORD: token, REGISTRY: self.registry.id(), BY: "me@here"})

    def launch(
        self, experiment="foo", *, count=1, volumes=1, answered=True, late=0.0, unknown=0.0, dies=False, kept=False
    ):
        """Launch instances with volumes; return the ids of the instances. `late` is how late AWS shows them."""
        token = new_id()
        tags = self.tags(token, experiment)
        specifications = [{"ResourceType": resource_type, "Tags": tags} for resource_type in ("instance", "volume")]
        request = {"ClientToken": token, "MaxCount": count, "TagSpecifications": specifications}
        item = {"State": {"Name": "running"}, "Tags": tags, "ClientToken": token, "LaunchTime": self.aws.time}
        made = [] if dies else [self.aws.add("instance", item, late=late, unknown=unknown) for _ in range(count)]
        answer = {"Instances": [{**self.aws.things[one].item, "LaunchTime": self.aws.time.isoformat()} for one in made]}
        self.call("RunInstances", request, answer if answered else None, experiment=experiment)
        for instance in made:
            for _ in range(volumes):
                attached = [attachment(instance, goes=not kept)]
                self.aws.add("volume", {"State": "in-use", "Tags": tags, "CreateTime": self.aws.time,
                                        "Attachments": attached}, late=late)  # fmt: skip
        return made

    def volume(self, experiment="foo", *, answered=True, late=0.0, attached=None):
        """Make a volume by a call of its own; return its id."""
        token = new_id()
        tags = self.tags(token, experiment)
        request = {"ClientToken": token, "TagSpecifications": [{"ResourceType": "volume", "Tags": tags}]}
        held = [attachment(attached, goes=False)] if attached else []
        item = {"State": "available", "Tags": tags, "CreateTime": self.aws.time, "Attachments": held}
        made = self.aws.add("volume", item, late=late)
        answer = {"VolumeId": made, "CreateTime": self.aws.time.isoformat()}
        self.call("CreateVolume", request, answer if answered else None, experiment=experiment)
        return made

    def group(self, experiment=None, *, name="lab", answered=True, late=0.0):
        """Make a security group for foo; the lab's own where it is no experiment's. Return its id."""
        token = new_id()
        tags = self.tags(token, experiment)
        request = {"GroupName": name, "TagSpecifications": [{"ResourceType": "security-group", "Tags": tags}]}
        made = self.aws.add("security-group", {"GroupName": name, "Tags": tags}, late=late)
        self.call("CreateSecurityGroup", request, {"GroupId": made} if answered else None, identity=token)
        return made

    def wait(self, seconds):
        """Let time pass."""
        self.aws.time += timedelta(seconds=seconds)

    def notes(self, key):
        """All that was noted under a key."""
        return [told for record in self.registry.all for told in (record.annotation or {}).get(key, ())]


@contextmanager
def small_lab() -> Iterator[SmallLab]:
    """A lab with its own time: whoever waits finds that time has passed."""
    lab = SmallLab()
    aws = lab.aws

    def sleep(seconds):
        aws.time += timedelta(seconds=seconds)

    def sleep_unless(event, seconds):
        sleep(seconds)
        return event.is_set()

    def now():
        return aws.time

    def monotonic():
        return now().timestamp()

    with patch.multiple("ec2lab.clock", now=now, monotonic=monotonic, sleep=sleep, sleep_unless=sleep_unless):
        yield lab
        lab.session.close()
