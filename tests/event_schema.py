"""docs/events.schema.json, and what does not keep to it: the few keywords that it uses, each checked here.

The schema leaves room for fields to come, as its readers must. We are held closer: what a definition does not name is a
complaint, unless it says what else there may be.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ec2lab.events.schema import EVENTS

SCHEMA = json.loads((Path(__file__).parents[1] / "docs/events.schema.json").read_text())
DEFINITIONS: dict[str, dict[str, Any]] = {n: d for n, d in SCHEMA["$defs"].items() if n not in EVENTS}
TYPES = {
    "string": (str,), "number": (int, float), "integer": (int,), "boolean": (bool,), "null": (type(None),),
    "array": (list,), "object": (dict,),
}  # fmt: skip
KEYWORDS = {
    "type", "const", "enum", "properties", "required", "additionalProperties", "items", "description", "x-scripts",
}  # fmt: skip


def event_of(definition: dict[str, Any]) -> str:
    """Return the name of the event that a definition is of."""
    return definition["properties"]["event"]["const"]


def events_of(script: str) -> set[str]:
    """Return what a script may say, by the schema."""
    return {event_of(definition) for definition in DEFINITIONS.values() if script in definition["x-scripts"]}


def complaints(value: Any, schema: dict[str, Any], where: str = "") -> Iterator[str]:
    """Yield what a value does not keep of a schema, a line each."""
    assert schema.keys() <= KEYWORDS, f"{where}: nobody checks {schema.keys() - KEYWORDS}"
    if "const" in schema and value != schema["const"]:
        yield f"{where}: {value!r} is not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} is none of {', '.join(schema['enum'])}"
    if "type" in schema and not _is_of(value, schema["type"]):
        yield f"{where}: {value!r} is no {schema['type']}"
    elif isinstance(value, dict):
        yield from _complaints_of_fields(value, schema, where)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from complaints(item, schema.get("items", {}), f"{where}[{number}]")


def _is_of(value: Any, types: str | list[str]) -> bool:
    names = [types] if isinstance(types, str) else types
    if isinstance(value, bool):  # an int, to Python
        return "boolean" in names
    return any(isinstance(value, TYPES[name]) for name in names)


def _complaints_of_fields(value: dict[str, Any], schema: dict[str, Any], where: str) -> Iterator[str]:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties")
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{where}.{name} is lacking"
    for name, field in value.items():
        if name in properties or others is not None:
            yield from complaints(field, properties.get(name, others), f"{where}.{name}")
        elif properties:
            yield f"{where}.{name} is not in the schema"


def check_line(script: str, line: str) -> None:
    """Fail if a line that a script printed with JSON=1 is not one of its events."""
    event = json.loads(line)
    if model := EVENTS.get(event["event"]):
        assert script in model.commands, f"{script} reports {event['event']}, which is not declared for it"
        model.model_validate({key: value for key, value in event.items() if key != "event"})
        return
    meant = [d for d in DEFINITIONS.values() if script in d["x-scripts"] and event_of(d) == event["event"]]
    assert meant, f"docs/events.schema.json: {script} says {event['event']}, which is not there for it"
    found = [list(complaints(event, definition, event["event"])) for definition in meant]
    assert [] in found, f"docs/events.schema.json: {script}: {'; '.join(min(found, key=len))}"


def check_output(script: str, out: str) -> None:
    """Fail if anything that a script printed with JSON=1 is not one of its events."""
    for line in out.splitlines():
        check_line(script, line)
