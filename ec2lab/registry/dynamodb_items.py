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

from pydantic_core import core_schema

from ec2lab.registry.file_format import parsed
from ec2lab.registry.record import FORMAT, Record
from ec2lab.registry.record_model import BadRecord, held_to
from ec2lab.registry.shapes import BYTES as RAW
from ec2lab.registry.shapes import RECORD_ID, members, optional, pattern, whole

PART_BYTES = 350_000
"""An item may have 400 KB, its attributes' names included
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html)."""
MOST_BYTES = 256 * 1024 * 1024
"""That a body may be when it is unpacked: more is no response of AWS."""
SHOWN = 150
"""Characters of a key that are quoted where its item is none of ours."""
CURRENT_PARTITION = "live"
BYTES = "body_bytes"
"""The attribute that says how long a record's body is."""
NOBODY = "-"
"""Stands for no experiment: no name begins so."""

Attributes = Mapping[str, Any]

IDS = members(first_id=optional(RECORD_ID), answers_for=optional(core_schema.set_schema(RECORD_ID)))
"""The item that says by which ids a registry's resources are known: those form tags, by which it knows its own."""
PART = members(body=RAW)
ITEM = members(
    place=pattern(r"live|history/.+"), id=pattern(r"[^/]+/[0-8][0-9]{16}/[^/]+"), record=RECORD_ID,
    format=whole(0, 999), body=optional(RAW), parts=optional(whole(0, 9999)),
)  # fmt: skip
"""What each record's item has. Times beyond the year 4800 are none: the next one would have a digit more."""


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
        return {"place": self.place, "id": sort_key(self.record, self.at)}

    def attributes(self) -> dict[str, Any]:
        """Return the item; what a person looks for in the console stands in plain text."""
        told = {
            name: str(value)
            for name in ("event", "time", "script", "actor", "operation", "region")
            if (value := getattr(self.record, name)) is not None
        }
        body = {"parts": self.parts} if self.parts else {"body": self.body}
        return {**self.key, "record": self.record.id, "format": FORMAT, BYTES: len(self.body), **told, **body}

    def in_history(self) -> Item:
        """Return the same record where it stands once it is over."""
        return replace(self, place=history_of(self.record.experiment))

    def part_items(self) -> list[dict[str, Any]]:
        """Return the items that hold the body, where it is too large for one."""
        chunks = [self.body[start : start + PART_BYTES] for start in range(0, len(self.body), PART_BYTES)]
        return [{**part_key(self.record.id, n), "body": chunk} for n, chunk in enumerate(chunks)]


def packed(record: Record, at: int) -> Item:
    """Return the item of a record that is to be written."""
    body = zlib.compress(json.dumps(record.as_json(), separators=(",", ":")).encode(), 6)
    return Item(CURRENT_PARTITION, at, record, body, 0 if len(body) <= PART_BYTES else -(-len(body) // PART_BYTES))


def parts_of(attributes: Attributes) -> tuple[str, int]:
    """Return under which record's id the parts of an item's body lie, and how many. Raises BadRecord."""
    held_to(ITEM, attributes)
    return str(attributes["record"]), attributes.get("parts", 0)


def body_of(attributes: Attributes, parts: Sequence[Attributes]) -> bytes:
    """Return the body of an item that `parts_of` was content with. Raises BadRecord where it is not whole."""
    if "body" in attributes:
        return bytes(attributes["body"])
    if len(parts) != attributes.get("parts", 0) or not parts:
        raise BadRecord(f"body: {len(parts)} parts are there")
    return b"".join(held_to(PART, part)["body"] for part in parts)


def unpacked(body: bytes) -> Any:
    """Return the JSON that a body holds. Raises BadRecord."""
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(body, MOST_BYTES)
        if not unpacking.eof:
            raise BadRecord(f"body: is cut off, or of more than {MOST_BYTES >> 20} MiB")
        return parsed(text)
    except (zlib.error, ValueError) as problem:
        raise BadRecord(f"body: {problem}") from problem


def item_of(attributes: Attributes, record: Record, body: bytes, parts: int) -> Item:
    """Return the item that a record was read from. Raises BadRecord where it is not its own: a key and what lies under
    it must say the same, as some are looked for by the one and some by the other.
    """  # noqa: D205
    place, key = attributes["place"], attributes["id"]
    item = Item(place, int(key.rpartition("/")[0].rpartition("/")[2]), record, body, parts)
    if item.key["id"] != key or attributes["record"] != record.id:
        raise BadRecord(f"id: is not that of record {record.id} of {record.experiment or 'no experiment'}")
    if place not in (CURRENT_PARTITION, history_of(record.experiment)):
        raise BadRecord("place: is another experiment's")
    return item


def number_in(attributes: Attributes, name: str) -> int:
    """Return a whole number that an item has; 0 where it has none."""
    found = attributes.get(name)
    return max(0, found) if isinstance(found, int) else 0


def where_is(attributes: Attributes) -> str:
    """Return what tells an item to a person who looks for it in AWS's console."""
    return "item " + " ".join(json.dumps(attributes.get(name), default=repr)[:SHOWN] for name in ("place", "id"))


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
    return {"place": f"part/{record}", "id": f"{number:04d}"}
