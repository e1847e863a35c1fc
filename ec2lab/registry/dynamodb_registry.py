"""A registry in a DynamoDB table, for a team.

It guarantees the same as the file. An append is one write. Current records are in one partition, which is read
consistently; transactions move records to the archive, so each is in exactly one place at any time.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any

from ec2lab import clock
from ec2lab.errors import UserError
from ec2lab.findings import Finding
from ec2lab.progress import working
from ec2lab.registry.base import LockOwner, Needed, Registry, check_format
from ec2lab.registry.dynamodb_items import (
    BYTES,
    CURRENT_PARTITION,
    IDS,
    Attributes,
    Item,
    body_of,
    history_of,
    item_of,
    number_in,
    packed,
    parts_of,
    prefix_of,
    unpacked,
    where_is,
)
from ec2lab.registry.dynamodb_lock import LeaseManager
from ec2lab.registry.dynamodb_table import ConditionFailed, Table
from ec2lab.registry.record import Event, Record
from ec2lab.registry.record_model import BadRecord, held_to
from ec2lab.registry.state import DELETED

MOVES, MOVED_BYTES = 50, 2_000_000
"""Limits of one transaction: AWS allows 100 actions and 4 MB
(https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html)."""
GROWTH = 64 * 1024
"""Compressed bytes that the current records may grow beyond twice the live ones before the registry is compacted.

About a hundred records: each command reads all of them over the network, and moving them takes two transactions."""
MAX_CONCURRENCY = 16
IDENTITY = {"place": "about", "id": "registry"}
COMPACTION_MARKER = {"place": "about", "id": "archive"}


class DynamoDbRegistry(Registry):
    """The registry in a table, which may not exist yet."""

    def __init__(self, client: Any, address: str, table: str, lease: float) -> None:
        self.table = Table(client, address, table)
        self._leases = LeaseManager(self.table, lease)
        self._at = 0
        self._bytes_at_hand: int | None = None  # size of all current records when they were last read
        self._has_ended_something = False
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self.table.address

    @property
    def place(self) -> str:
        """The table's address without the settings of leases."""
        return self.table.address.partition("?")[0]

    def append(self, record: Record) -> None:
        """Write the record; an intent or annotation only while its experiment's lease is held. Raises UserError."""
        item = packed(record, self._next())
        self._has_ended_something |= DELETED in (record.annotation or {})
        if record.event in (Event.INTENT, Event.ANNOTATION) and record.experiment in self._leases.held:
            self._put_parts(item)
            self._append_if_held(item, record.experiment)
        else:
            self._put(item)

    def append_all(self, records: Sequence[Record]) -> None:
        """Write records in order, many at the same time. Raises UserError."""
        items = (packed(record, self._next()) for record in records)
        with ThreadPoolExecutor(MAX_CONCURRENCY) as writers, working(f"writing to {self.name}:") as at:
            for done, _ in enumerate(writers.map(self._put, items), start=1):
                at(f"{done} of {len(records)} records")

    def _put(self, item: Item) -> None:
        self._put_parts(item)
        self.table.put(item.attributes())

    def _put_parts(self, item: Item) -> None:
        """Write the parts of a large record before the record itself, so an existing record is complete."""
        for part in item.part_items() if item.parts else ():
            self.table.put(part)

    def _append_if_held(self, item: Item, experiment: str) -> None:
        try:
            self.table.transact([self._leases.condition_check(experiment), ("Put", {"Item": item.attributes()})])
        except ConditionFailed as lost:
            raise UserError(
                f"{experiment}: was taken over by somebody else while this process was suspended; see `make status`"
            ) from lost

    def records(self, experiment: str | None = None) -> Iterator[Record]:
        items = self._items(self.table.query(CURRENT_PARTITION, prefix_of(experiment) if experiment else ""))
        if experiment is None:
            self._bytes_at_hand = sum(len(item.body) for item in items)
        return iter([item.record for item in items])

    def history(self, experiment: str | None = None) -> list[Record]:
        """Return current and archived records, of all experiments or of one, in the order of writing."""
        # Current records first: a record that is moved in between is then read twice, not missed.
        at_hand = list(self.table.query(CURRENT_PARTITION, prefix_of(experiment) if experiment else ""))
        over = self.table.query(history_of(experiment)) if experiment else self.table.scan("history/")
        return list({item.record.id: item.record for item in self._items([*at_hand, *over])}.values())

    def histories(self, experiments: Collection[str]) -> list[Record]:
        with ThreadPoolExecutor(MAX_CONCURRENCY) as readers:
            return [record for found in readers.map(self.history, experiments) for record in found]

    def archive(self, needed: Needed) -> int:
        """Move records to the archive, some at a time. Several processes may do so at once."""
        self.table.ensure_backups()
        items = self._items(self.table.query(CURRENT_PARTITION))
        stays = needed([item.record for item in items])
        over = [item for item in items if item.record.id not in stays]
        for some in _in_transactions(over):
            self.table.transact([move for item in some for move in _moves(item)])
        live_bytes = sum(len(item.body) for item in items if item.record.id in stays)
        self.table.put({**COMPACTION_MARKER, "bytes": live_bytes})
        return len(over)

    def needs_compaction(self) -> bool:
        """Compare the size of the current records with that after the last compaction."""
        if self._bytes_at_hand is None and not self._has_ended_something:
            return False  # a launch creates nothing to archive, and measuring means reading all current records
        try:
            if self._bytes_at_hand is None:
                self._bytes_at_hand = self._live_bytes()
            if self._bytes_at_hand <= GROWTH:
                return False
            live_bytes = self.table.get(COMPACTION_MARKER) or {}
        except UserError:  # the next read or write reports the error
            return False
        return self._bytes_at_hand > GROWTH + 2 * number_in(live_bytes, "bytes")

    def ids(self) -> Sequence[str]:
        found = self.table.get(IDENTITY) or {}
        try:
            held_to(IDS, found)
        except BadRecord as problem:
            raise UserError(f"{self.name}: {where_is(IDENTITY)}: {problem}") from problem
        own = [found["first_id"]] if "first_id" in found else []
        return list(dict.fromkeys([*own, *sorted(found.get("answers_for", ()))]))

    def answer_for(self, ids: Iterable[str]) -> None:
        """Add to that item; the first process sets the registry's own id."""
        for identity in ids:
            self.table.update(
                IDENTITY,
                UpdateExpression="SET first_id = if_not_exists(first_id, :id) ADD answers_for :ids",
                ExpressionAttributeValues={":id": identity, ":ids": {identity}},
            )

    def _live_bytes(self) -> int:
        sizes = self.table.query(CURRENT_PARTITION, ProjectionExpression=BYTES)
        return sum(number_in(item, BYTES) for item in sizes)

    def is_there(self) -> bool:
        return self.table.description() is not None

    def health_findings(self) -> Iterable[Finding]:
        from ec2lab.registry.health import table_findings

        return table_findings(self.table)

    def lock_owners(self) -> Sequence[LockOwner]:
        return self._leases.lock_owners() if self.is_there() else ()

    def lock_experiment(self, experiment: str, script: str) -> AbstractContextManager[None]:
        return self._leases.holding(experiment, script)

    def lock_owner(self, experiment: str) -> str:
        return self._leases.holder(experiment)

    def close(self) -> None:
        self._leases.close()

    def _next(self) -> int:
        """Return the position of the next record, after everything that was read, whatever the local clock says."""
        with self._lock:
            self._at = max(self._at + 1, int(clock.now().timestamp() * 1e6))
            return self._at

    def _items(self, found: Iterable[Attributes]) -> list[Item]:
        items = [item for attributes in found if (item := self._item(attributes))]
        with self._lock:
            self._at = max([self._at, *(item.at for item in items)])
        return sorted(items, key=lambda item: item.at)

    def _item(self, attributes: Attributes) -> Item | None:
        """Return what was read as the item of a record; None if it is invalid, which is then set aside."""
        where = f"{self.name}: {where_is(attributes)}"
        try:
            identity, number = parts_of(attributes)
            check_format(attributes["format"], where)
            parts = list(islice(self.table.query(f"part/{identity}"), number + 1)) if number else []
            body = body_of(attributes, parts)
            record = self.record_in(unpacked(body), where)
            return item_of(attributes, record, body, number) if record else None
        except BadRecord as problem:
            self.leave(where, str(problem))
            return None


def _in_transactions(items: Iterable[Item]) -> Iterator[list[Item]]:
    some: list[Item] = []
    for item in items:
        if some and (len(some) == MOVES or sum(len(one.body) for one in some) + len(item.body) > MOVED_BYTES):
            yield some
            some = []
        some.append(item)
    if some:
        yield some


def _moves(item: Item) -> list[tuple[str, dict[str, Any]]]:
    return [("Put", {"Item": item.in_history().attributes()}), ("Delete", {"Key": item.key})]
