"""Records as a table holds them, and back. Pure.

An item's partition is `live` or, once it is over, `history/EXPERIMENT`; within it, items stand by experiment, then in
the order in which they were written. The record itself is compressed JSON; one that is larger than an item may be lies
in parts, in a partition of its own.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scripts.core.errors import LabError
from scripts.core.registry.record import FORMAT, Record

PART_BYTES = 350_000
"""An item may have 400 KB, its attributes' names included
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html)."""
LIVE = "live"
BYTES = "body_bytes"
"""The attribute that says how long a record's body is."""
NOBODY = "-"
"""Stands for no experiment: no name begins so."""

Attributes = Mapping[str, Any]
"""An item in the form of DynamoDB's protocol: {"place": {"S": "live"}, …}."""


@dataclass(frozen=True, slots=True)
class Item:
    """A record, and where it stands."""

    place: str
    at: int
    """Microseconds of a clock that never goes back behind what its writer has read: the order of writing."""
    record: Record
    body: bytes
    parts: int = 0
    """In how many items the body lies; 0 where it is here."""

    @property
    def key(self) -> dict[str, Any]:
        """The item's key in the table."""
        return {"place": {"S": self.place}, "id": {"S": sort_key(self.record, self.at)}}

    def attributes(self) -> dict[str, Any]:
        """Return the item; what a person looks for in the console stands in plain text."""
        told = {
            name: {"S": str(value)}
            for name in ("event", "time", "script", "actor", "operation", "region")
            if (value := getattr(self.record, name)) is not None
        }
        body: dict[str, Any] = {"parts": {"N": str(self.parts)}} if self.parts else {"body": {"B": self.body}}
        about = {"record": {"S": self.record.id}, "format": {"N": str(FORMAT)}, BYTES: {"N": str(len(self.body))}}
        return {**self.key, **about, **told, **body}

    def in_history(self) -> Item:
        """Return the same record where it stands once it is over."""
        return replace(self, place=history_of(self.record.experiment))

    def part_items(self) -> list[dict[str, Any]]:
        """Return the items that hold the body, where it is too large for one."""
        chunks = [self.body[start : start + PART_BYTES] for start in range(0, len(self.body), PART_BYTES)]
        return [{**part_key(self.record.id, n), "body": {"B": chunk}} for n, chunk in enumerate(chunks)]


def packed(record: Record, at: int) -> Item:
    """Return the item of a record that is to be written."""
    body = zlib.compress(json.dumps(record.as_json(), separators=(",", ":")).encode(), 6)
    return Item(LIVE, at, record, body, 0 if len(body) <= PART_BYTES else -(-len(body) // PART_BYTES))


def unpacked(attributes: Attributes, parts: Sequence[Attributes], table: str) -> Item:
    """Return an item that was read, with its parts if it has any. Raises LabError where it is no record of ours."""
    try:
        key = attributes["id"]["S"]
        if int(attributes["format"]["N"]) > FORMAT:
            written = attributes["format"]["N"]
            raise LabError(f"{table}: {key} has format {written}, this ec2-lab reads up to {FORMAT}; upgrade ec2-lab")
        whole = [attributes] if "body" in attributes else parts
        body = b"".join(bytes(part["body"]["B"]) for part in whole)
        record = Record.from_json(json.loads(zlib.decompress(body)))
        return Item(attributes["place"]["S"], int(key.split("/")[1]), record, body, len(parts))
    except (KeyError, ValueError, IndexError, TypeError, zlib.error) as problem:
        where = f"{table}: item {attributes.get('id')}"
        raise LabError(f"{where} is not a registry record; nothing was changed") from problem


def history_of(experiment: str | None) -> str:
    """Return the partition of what is over of an experiment."""
    return f"history/{experiment or NOBODY}"


def sort_key(record: Record, at: int) -> str:
    """Return where a record stands in its partition."""
    return f"{prefix_of(record.experiment)}{at:017d}/{record.id}"


def prefix_of(experiment: str | None) -> str:
    """Return how the sort keys of an experiment's records begin."""
    return f"{experiment or NOBODY}/"


def part_key(record: str, number: int) -> dict[str, Any]:
    """Return the key of one part of a large record."""
    return {"place": {"S": f"part/{record}"}, "id": {"S": f"{number:04d}"}}
