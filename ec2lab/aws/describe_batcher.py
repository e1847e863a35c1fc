"""Looks at instances, shared: while one call is on its way, all who want to look next go together in the next."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

VALUES = 200
"""How many values a filter takes
(https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html)."""


@dataclass
class _Look:
    """One call that is going to be made."""

    ids: set[str] = field(default_factory=set)
    found: Future[dict[str, Mapping[str, Any]]] = field(default_factory=Future)


class DescribeBatcher:
    """Looks at the instances of a region; a sweep of a hundred costs no more calls than a launch of one."""

    def __init__(self, ec2: EC2Client) -> None:
        self._ec2 = ec2
        self._next = _Look()
        self._lock = threading.Lock()
        self._calling = threading.Lock()

    def look(self, ids: Iterable[str]) -> list[Mapping[str, Any]]:
        """Describe instances; what AWS does not show yet is left out. Raises what the call raises."""
        wanted = list(ids)
        with self._lock:
            look = self._next
            first = not look.ids
            look.ids.update(wanted)
        if first:
            with self._calling:
                with self._lock:
                    self._next = _Look()
                self._call(look)
        found = look.found.result()
        return [found[identity] for identity in wanted if identity in found]

    def _call(self, look: _Look) -> None:
        try:
            look.found.set_result({instance["InstanceId"]: instance for instance in self._described(sorted(look.ids))})
        except BaseException as problem:  # noqa: BLE001 - whoever waits for it is to hear of it, Ctrl-C too
            look.found.set_exception(problem)

    def _described(self, ids: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        rest = iter(ids)
        while some := list(islice(rest, VALUES)):
            # By a filter: asked for by its id, one instance that AWS does not know yet would refuse the whole call.
            pages = self._ec2.get_paginator("describe_instances").paginate(
                Filters=[{"Name": "instance-id", "Values": some}]
            )
            for page in pages:
                for reservation in page["Reservations"]:
                    yield from reservation["Instances"]
