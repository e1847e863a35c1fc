"""Converts records to items of a table and back. Pure.

An item's partition is `live`, or `history/EXPERIMENT` once it is archived. In it, items are sorted by experiment, then
in the order of writing. A record's body is compressed JSON; one that is too large for an item is split into parts, in a
partition of their own.
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
"""An item is limited to 400 KB, attribute names included
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html)."""
MOST_BYTES = 256 * 1024 * 1024  # limit for a decompressed body: no response of AWS is larger
SHOWN = 150  # characters of an unknown item's key that an error repeats
CURRENT_PARTITION = "live"
BYTES = "body_bytes"  # the attribute with the length of a record's body
NOBODY = "-"  # stands for no experiment: no name begins with it

Attributes = Mapping[str, Any]

IDS = members(first_id=optional(RECORD_ID), answers_for=optional(core_schema.set_schema(RECORD_ID)))
"""The item with the registry's ids, which are used in tags."""
PART = members(body=RAW)
ITEM = members(
    place=pattern(r"live|history/.+"), id=pattern(r"[^/]+/[0-8][0-9]{16}/[^/]+"), record=RECORD_ID,
    format=whole(0, 999), body=optional(RAW), parts=optional(whole(0, 9999)),
)  # fmt: skip
"""The attributes of a record's item. Times after the year 4800 are invalid: the next would have another digit."""


@dataclass(frozen=True, slots=True)
class Item:
    """A record and its location."""

    place: str
    at: int  # order of writing: microseconds of a clock that never goes back behind what its writer has read
    record: Record
    body: bytes
    parts: int = 0  # number of items that the body is split into; 0 if it is in this one

    @property
    def key(self) -> dict[str, Any]:
        return {"place": self.place, "id": sort_key(self.record, self.at)}

    def attributes(self) -> dict[str, Any]:
        """Return the item. Attributes that are useful in AWS's console are plain text."""
        attributes = {
            name: str(value)
            for name in ("event", "time", "script", "actor", "operation", "region")
            if (value := getattr(self.record, name)) is not None
        }
        body = {"parts": self.parts} if self.parts else {"body": self.body}
        return {**self.key, "record": self.record.id, "format": FORMAT, BYTES: len(self.body), **attributes, **body}

    def in_history(self) -> Item:
        return replace(self, place=history_of(self.record.experiment))

    def part_items(self) -> list[dict[str, Any]]:
        """Return the items that hold the body, if it is too large for one."""
        chunks = [self.body[start : start + PART_BYTES] for start in range(0, len(self.body), PART_BYTES)]
        return [{"place": f"part/{self.record.id}", "id": f"{n:04d}", "body": chunk} for n, chunk in enumerate(chunks)]


def packed(record: Record, at: int) -> Item:
    body = zlib.compress(json.dumps(record.as_json(), separators=(",", ":")).encode(), 6)
    return Item(CURRENT_PARTITION, at, record, body, 0 if len(body) <= PART_BYTES else -(-len(body) // PART_BYTES))


def parts_of(attributes: Attributes) -> tuple[str, int]:
    """Return the record id under which the parts of a body are stored, and their number. Raises BadRecord."""
    held_to(ITEM, attributes)
    return str(attributes["record"]), attributes.get("parts", 0)


def body_of(attributes: Attributes, parts: Sequence[Attributes]) -> bytes:
    """Return the body of an item that `parts_of` accepted. Raises BadRecord if it is incomplete."""
    if "body" in attributes:
        return bytes(attributes["body"])
    if len(parts) != attributes.get("parts", 0) or not parts:
        raise BadRecord(f"body: {len(parts)} parts are there")
    return b"".join(held_to(PART, part)["body"] for part in parts)


def unpacked(body: bytes) -> Any:
    """Return the JSON in a body. Raises BadRecord."""
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(body, MOST_BYTES)
        if not unpacking.eof:
            raise BadRecord(f"body: is cut off, or of more than {MOST_BYTES >> 20} MiB")
        return parsed(text)
    except (zlib.error, ValueError) as problem:
        raise BadRecord(f"body: {problem}") from problem


def item_of(attributes: Attributes, record: Record, body: bytes, parts: int) -> Item:
    """Return the item that a record was read from. Raises BadRecord if key and body differ: both are searched for."""
    place, key = attributes["place"], attributes["id"]
    item = Item(place, int(key.rpartition("/")[0].rpartition("/")[2]), record, body, parts)
    if item.key["id"] != key or attributes["record"] != record.id:
        raise BadRecord(f"id: is not that of record {record.id} of {record.experiment or 'no experiment'}")
    if place not in (CURRENT_PARTITION, history_of(record.experiment)):
        raise BadRecord("place: is another experiment's")
    return item


def number_in(attributes: Attributes, name: str) -> int:
    found = attributes.get(name)
    return max(0, found) if isinstance(found, int) else 0


def where_is(attributes: Attributes) -> str:
    """Return the location of an item, for a person who looks for it in AWS's console."""
    return "item " + " ".join(json.dumps(attributes.get(name), default=repr)[:SHOWN] for name in ("place", "id"))


def history_of(experiment: str | None) -> str:
    return f"history/{experiment or NOBODY}"


def sort_key(record: Record, at: int) -> str:
    return f"{prefix_of(record.experiment)}{at:017d}/{record.id}"


def prefix_of(experiment: str | None) -> str:
    return f"{experiment or NOBODY}/"
