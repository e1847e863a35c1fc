"""moto's DynamoDB tables at DynamoDB's speed, whatever their size.

moto sorts a whole table for each query, and deep-copies it for each write of a transaction: with 100,000 items a
command would take minutes, where on AWS a query reads only its partition. And for each attribute of a response it looks
up all types by several names: most of the time of a query.
"""

from __future__ import annotations

import base64
import copy
from collections import defaultdict
from typing import Any

from moto.core.serialize import JSONSerializer
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.table import Table

_query, _transact = Table.query, DynamoDBBackend.transact_write_items
_structure = JSONSerializer._serialize_type_structure  # noqa: SLF001 - there is no other place for it
_before: dict[int, Table] = {}  # tables before the current transaction; the front allows only one at a time


def _query_partition(self: Table, hash_key: Any, *given: Any, **named: Any) -> Any:
    everything = self.items
    if hash_key is not None and not named.get("index_name"):
        self.items = defaultdict(dict, {key: everything[key] for key in [hash_key] if key in everything})
    try:
        return _query(self, hash_key, *given, **named)
    finally:
        self.items = everything


def _no_copy(self: Table, _: dict[int, Any]) -> Table:
    found = _before.get(id(self))
    if found is None:
        found = _before[id(self)] = copy.copy(self)
        found.items = defaultdict(dict, {key: dict(partition) for key, partition in self.items.items()})
    return found


def _transact_on_items_as_they_are(self: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
    """Execute a transaction as moto does; one that changes items in place, on moto's own deep copies."""
    if any("Update" in item for item in transact_items):
        _transact(self, transact_items)
        return
    Table.__deepcopy__ = _no_copy  # type: ignore[attr-defined]  # copy.deepcopy looks for it
    try:
        _transact(self, transact_items)
    finally:
        del Table.__deepcopy__  # type: ignore[attr-defined]
        _before.clear()


def _attribute_at_once(self: JSONSerializer, serialized: dict[str, Any], value: Any, shape: Any, key: str) -> None:
    if shape.name == "AttributeValue" and type(value) is dict:
        self._default_serialize(serialized, _as_sent(value), shape, key)
    else:
        _structure(self, serialized, value, shape, key)


def _as_sent(value: dict[str, Any]) -> dict[str, Any]:
    ((kind, held),) = value.items()
    if kind == "M":
        held = {name: _as_sent(inner) for name, inner in held.items()}
    elif kind == "L":
        held = [_as_sent(inner) for inner in held]
    elif kind == "B":
        held = base64.b64encode(held).decode()
    elif kind == "BS":
        held = [base64.b64encode(each).decode() for each in held]
    return {kind: held}


def keep_pace() -> None:
    Table.query = _query_partition  # type: ignore[method-assign]
    DynamoDBBackend.transact_write_items = _transact_on_items_as_they_are  # type: ignore[method-assign]
    JSONSerializer._serialize_type_structure = _attribute_at_once  # type: ignore[assignment,method-assign]  # noqa: SLF001
