"""The interface of resource types."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from botocore import xform_name

from ec2lab.aws.tags import BY, EXPERIMENT, RECORD, from_aws, tags_in_request
from ec2lab.deletion_order import deletion_order
from ec2lab.errors import PluginFailed
from ec2lab.instance_state import NO_REASON, StateReason
from ec2lab.plugin_guard import ResultCheck, is_a, one, several
from ec2lab.plugins import Plugins
from ec2lab.registry.record import Event, Record, parse_time
from ec2lab.registry.shapes import RESPONSES

if TYPE_CHECKING:
    from ec2lab.aws.cloud import Cloud
    from ec2lab.registry.evidence import Call


FILTERED = 200
"""The number of values of a filter (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html)."""
UNKNOWN_ID = "?"  # the id of a resource that may have been created: none is known
GLOBAL = "global"  # the region of resources that belong to none, such as IAM roles


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    resource_type: str
    id: str
    region: str
    experiment: str | None
    since: str = ""  # its creation time (RFC 3339)
    recorded: str = ""  # when it was recorded, by this computer's clock, which may differ from AWS's by minutes
    state: str = ""  # AWS's state, where known
    state_reason: StateReason = NO_REASON  # why an instance is in that state
    record: str | None = None  # its lab:request-id tag: the call that created it
    created_by: str = ""  # user@host: by the registry, or by its tag of what the registry has no request of
    details: Mapping[str, str] = field(default_factory=dict)  # details for people: type, zone, address, …

    @property
    def shown_state(self) -> str:
        """Its state and reason: `terminated (Server.SpotInstanceTermination)`."""
        return f"{self.state} ({self.state_reason.code})" if self.state_reason.code else self.state

    def __str__(self) -> str:
        return f"{self.resource_type} {self.id} ({self.region})"


def _moment(found: Any, *_: Any) -> str:
    text: str = is_a(found, str, "time as RFC 3339")
    datetime.fromisoformat(text or "2026-01-01")
    return text


class ResourceType(ABC):
    """A type of AWS resource: how it appears in records, how it is found, described and deleted.

    Teardown, status and tagging iterate over the registered types; none of them names one.
    """

    name: ClassVar[str]
    tag_type: ClassVar[str]
    """Its ResourceType in TagSpecifications."""
    is_global: ClassVar[bool] = False
    """Whether it belongs to no region, and is looked for once."""
    is_free: ClassVar[bool] = False
    """Whether it costs nothing: it is surveyed only in labs that have created one."""
    created_by: ClassVar[Sequence[str]]
    """The operations that create one."""
    created_member: ClassVar[str] = ""
    """The member of their responses with what was created; without one, the response describes it."""
    since_member: ClassVar[str] = ""
    """The member of a description with the time of creation, if there is one."""
    unique_name: ClassVar[str] = ""
    """The member with a name that no other can have, of the request as of a description, if there is one."""
    deleted_by: ClassVar[str]
    """The operation that deletes one."""
    deleted_with: ClassVar[str]
    """The member of that operation's request that names what is deleted."""
    id_filter: ClassVar[str] = ""
    """The filter of `find` for ids; without one, all are listed."""
    deleted_after: ClassVar[Sequence[str]] = ()
    """The types that must be deleted first."""
    not_found_codes: ClassVar[Sequence[str]]
    """The error codes for one that does not exist."""
    dependency_codes: ClassVar[Sequence[str]] = ()
    """The error codes for one that something else still uses."""
    results: ClassVar[Mapping[str, ResultCheck]] = {
        **dict.fromkeys(("created_resources", "tagged"), several(Resource, "Resource")),
        **dict.fromkeys(("created_in", "find", "whole", "by_id"), several(Mapping, "mapping")),
        **dict.fromkeys(("id_in", "state_in", "idle"), one(str, "text")),
        **dict.fromkeys(("details_in", "extra_details", "unknown_in"), one(Mapping, "mapping")),
        "ended_by": several(str, "id"),
        "held_by": several(str, "text"),
        "resource": one(Resource, "Resource"),
        "since_in": _moment,
    }

    def created_in(self, response: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
        """Return the items in a creating call's response."""
        found = response[self.created_member] if self.created_member else response
        return found if isinstance(found, list) else [found]

    def id_in(self, found: Mapping[str, Any]) -> str:
        """Return an item's id: mostly the member that a deletion names."""
        return str(found[self.deleted_with])

    def taggable_types(self, operation: str, request: Mapping[str, Any]) -> Iterable[str]:
        """Return the resource types that a creating call tags for this type."""
        return (self.tag_type,) if operation in self.created_by else ()

    def is_for_experiment(self, request: Mapping[str, Any]) -> bool:
        """Say whether a creating call's request creates one for an experiment."""
        return EXPERIMENT in tags_in_request(request, self.tag_type)

    def created_resources(self, record: Record) -> Iterator[Resource]:
        """Return the resources that a record says were created."""
        if record.event is Event.RESPONSE and record.operation in self.created_by and record.response:
            tags = tags_in_request(record.request or {}, self.tag_type)
            for found in self.created_in(record.response):
                resource = self.resource(found, record.region or "", tags, since=record.time)
                yield replace(resource, recorded=record.time, created_by=record.by)

    def ended_by(self, record: Record) -> Iterator[str]:
        """Return the ids that a record says are gone, or no longer ours to delete.

        A `not found` error proves nothing: AWS may return it for what it created a second ago.
        """
        if record.operation == self.deleted_by and record.event is Event.RESPONSE and record.request:
            named = record.request.get(self.deleted_with) or []
            yield from [named] if isinstance(named, str) else named

    def resource(self, found: Mapping[str, Any], region: str, tags: Mapping[str, str], since: str = "") -> Resource:
        """Return the Resource of one item of an AWS response."""
        return Resource(
            resource_type=self.name,
            id=self.id_in(found),
            region=GLOBAL if self.is_global else region,
            experiment=tags.get(EXPERIMENT),
            record=tags.get(RECORD),
            created_by=tags.get(BY, ""),
            since=self.since_in(found) or since,
            state=self.state_in(found),
            state_reason=self.state_reason_in(found),
            details=self.details_in(found),
        )

    def confirms(self, found: Mapping[str, Any], call: Call) -> bool:
        """Say whether a described item with a call's tags is what it created, where no response is recorded.

        Tags are copied, so AWS itself must confirm it: by a client token, a unique name, or at least the creation time.
        """
        if self.unique_name:
            return bool(found[self.unique_name] == call.request.get(self.unique_name))
        since = self.since_in(found)
        return not since or call.may_have_made(since)

    def came_with(self, found: Mapping[str, Any], call: Call) -> bool:
        """Say the same of what a call created besides what its response names, such as RunInstances' volumes."""
        return False

    def whole(self, cloud: Cloud, region: str, filters: Sequence[Any]) -> list[Mapping[str, Any]]:
        """Describe all items that match, to the last page."""
        return list(self.find(cloud, region, filters))

    def by_id(self, cloud: Cloud, region: str, ids: Collection[str]) -> list[Mapping[str, Any]]:
        """Describe resources by id, whatever their tags; unknown ids are left out."""
        wanted = sorted(ids)
        if not self.id_filter:
            return [found for found in self.find(cloud, region, []) if self.id_in(found) in wanted]
        some = (wanted[start : start + FILTERED] for start in range(0, len(wanted), FILTERED))
        filters = ([{"Name": self.id_filter, "Values": values}] for values in some)
        found = (item for filtered in filters for item in self.find(cloud, region, filtered))
        # An endpoint that does not know the filter returns everything; unrequested items must not be used.
        return [item for item in found if self.id_in(item) in ids]

    def places(self, regions: Iterable[str]) -> list[str]:
        return [GLOBAL] if self.is_global else [region for region in regions if region != GLOBAL]

    def tagged(self, cloud: Cloud, region: str, key: str, value: str) -> list[Resource]:
        """Return the live resources with a tag in a region."""
        found = self.find(cloud, region, [{"Name": f"tag:{key}", "Values": [value]}])
        return [self.resource(item, region, from_aws(item.get("Tags"))) for item in found if not self.is_deleted(item)]

    def is_deleted(self, found: Mapping[str, Any]) -> bool:
        """Say whether a listed item is already gone (a terminated instance is listed for an hour)."""
        return False

    def is_deleting(self, resource: Resource) -> bool:
        """Say whether it is being deleted, or held by something else: to be waited for, not deleted."""
        return False

    def since_in(self, found: Mapping[str, Any]) -> str:
        """Return its RFC 3339 creation time as AWS gives it, or an empty string."""
        return as_text(found.get(self.since_member))

    def state_in(self, found: Mapping[str, Any]) -> str:
        """Return AWS's state, or an empty string where the type has none."""
        return str(found.get("State", ""))

    def state_reason_in(self, found: Mapping[str, Any]) -> StateReason:
        """Return why it is in that state, where AWS says so."""
        return NO_REASON

    def details_in(self, found: Mapping[str, Any]) -> dict[str, str]:
        """Return details for people."""
        return {}

    def idle(self, found: Mapping[str, Any]) -> str:
        """Return why an unrecorded one may be orphaned; empty where it is in use."""
        return ""

    def unknown_in(self, resource: Resource) -> Mapping[str, str]:
        """Return placeholders for details that could not be determined."""
        return {}

    def held_by(self, cloud: Cloud, resource: Resource) -> Iterable[str]:
        """Return what blocks a deletion, as AWS shows it, each in a few words with its id."""
        return ()

    def extra_details(
        self, cloud: Cloud, region: str, resources: Sequence[Resource]
    ) -> Mapping[str, Mapping[str, str]]:
        """Return, by resource id, details that Describe does not return."""
        return {}

    @abstractmethod
    def find(self, cloud: Cloud, region: str, filters: Sequence[Any]) -> Iterable[Mapping[str, Any]]:
        """Describe the items that match filters."""

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        """Delete one, by default in EC2. Raises botocore's ClientError."""
        getattr(cloud.ec2(resource.region), xform_name(self.deleted_by))(**{self.deleted_with: resource.id})


def check_readable(record: Record, resource_types: Callable[[], Mapping[str, ResourceType]]) -> None:
    """Raise ValueError where a plugin's resource type cannot read the response to its own operation."""
    if record.event is not Event.RESPONSE or record.operation in RESPONSES:
        return
    for resource_type in resource_types().values():
        if record.operation in (*resource_type.created_by, resource_type.deleted_by):
            try:
                for resource in resource_type.created_resources(record):
                    parse_time(resource.since or record.time)
                list(resource_type.ended_by(record))
            except (AttributeError, IndexError, KeyError, PluginFailed, TypeError) as problem:
                raise ValueError(
                    f"response: no {resource_type.name} can be read from it ({getattr(problem, 'what', repr(problem))})"
                ) from problem


def as_text(moment: datetime | str | None) -> str:
    """Return a time as RFC 3339: botocore returns datetimes, records hold text."""
    return moment.isoformat() if isinstance(moment, datetime) else moment or ""


def resource_types(plugins: Plugins) -> dict[str, ResourceType]:
    """Return every resource type by its name, those that must be deleted first in front. Raises UserError."""
    known = plugins.named("lab_resource_types", ResourceType)
    return {name: known[name] for name in deletion_order({one.name: one.deleted_after for one in known.values()})}
