"""A registry with a long history, as use leaves it: records of launches and teardowns, put away by the registry."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, islice

from ec2lab.registry.base import Registry
from ec2lab.registry.dynamodb_items import packed
from ec2lab.registry.dynamodb_registry import DynamoDbRegistry
from ec2lab.registry.dynamodb_table import typed
from ec2lab.registry.file_format import TRAILER, as_line
from ec2lab.registry.file_registry import FileRegistry
from ec2lab.registry.record import Event, Record

FILE_FULL, BATCH = 700, 25
"""Records in a file that is put away from, about; and items in one BatchWriteItem
(https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html)."""


def runs_of(one: Sequence[Record], name: str) -> Iterator[Record]:
    """Yield the records of one run again and again, each time as those of another experiment."""
    for number in count(1):
        new = {record.id: uuid.uuid4().hex for record in one}
        month = f"2025-{number % 12 + 1:02d}"
        for record in one:
            of, at = record.parent_id and new.get(record.parent_id), f"{month}{record.time[7:]}"
            yield replace(record, id=new[record.id], parent_id=of, experiment=f"{name}-{number}", time=at)


def compact(registry: Registry, records: Iterator[Record]) -> None:
    """Have a registry hold records that are over, as if it had put them away whenever it had grown too much."""
    if isinstance(registry, FileRegistry):
        while some := list(islice(records, FILE_FULL)):
            registry.path.write_bytes(b"[\n" + b",\n".join(as_line(r.as_json()) for r in some) + TRAILER)
            registry.path.chmod(0o600)
            registry.archive(lambda _: set())
    elif isinstance(registry, DynamoDbRegistry):
        registry.append(Record(event=Event.ANNOTATION, annotation={"text": "the table is made on first use"}))
        while some := list(islice(records, BATCH)):
            _write(registry, some)
        registry.archive(lambda _: set())


def _write(registry: DynamoDbRegistry, records: Sequence[Record]) -> None:
    """Write records where moving them one by one would have put them."""
    at = time.time_ns() // 1000
    items = [packed(record, at + number).in_history().attributes() for number, record in enumerate(records)]
    table = registry.table
    table.client.batch_write_item(RequestItems={table.name: [{"PutRequest": {"Item": typed(item)}} for item in items]})
