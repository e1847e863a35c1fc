"""Batches DescribeInstances calls: while one call is pending, all further requests go together in the next."""

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
"""The number of values that a filter accepts
(https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html)."""


@dataclass
class _Batch:
    ids: set[str] = field(default_factory=set)
    found: Future[dict[str, Mapping[str, Any]]] = field(default_factory=Future)


class DescribeBatcher:
    """Describes instances of a region. A sweep of a hundred needs no more calls than a launch of one."""

    def __init__(self, ec2: EC2Client) -> None:
        self._ec2 = ec2
        self._next = _Batch()
        self._lock = threading.Lock()
        self._calling = threading.Lock()

    def describe(self, ids: Iterable[str]) -> list[Mapping[str, Any]]:
        """Describe instances, without those that AWS does not show yet. Raises the call's error."""
        wanted = list(ids)
        with self._lock:
            batch = self._next
            first = not batch.ids
            batch.ids.update(wanted)
        if first:
            with self._calling:
                with self._lock:
                    self._next = _Batch()
                self._call(batch)
        found = batch.found.result()
        return [found[identity] for identity in wanted if identity in found]

    def _call(self, batch: _Batch) -> None:
        try:
            batch.found.set_result(
                {instance["InstanceId"]: instance for instance in self._described(sorted(batch.ids))}
            )
        except BaseException as problem:  # noqa: BLE001 - all waiting threads receive it, Ctrl-C too
            batch.found.set_exception(problem)

    def _described(self, ids: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        rest = iter(ids)
        while some := list(islice(rest, VALUES)):
            # With a filter: one unknown instance id would make the whole call fail.
            pages = self._ec2.get_paginator("describe_instances").paginate(
                Filters=[{"Name": "instance-id", "Values": some}]
            )
            for page in pages:
                for reservation in page["Reservations"]:
                    yield from reservation["Instances"]
