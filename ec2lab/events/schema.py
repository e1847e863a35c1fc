"""Writes docs/events.schema.json and the event reference in docs/json.md from the event classes: `make schema`."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from ec2lab import events
from ec2lab.events import Event

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA, DOCUMENT = DOCS / "events.schema.json", DOCS / "json.md"
BEGIN, END = "<!-- events: make schema writes this table -->\n", "<!-- end of events -->"
LINE = 110


def _events(of: type[Event]) -> Iterator[type[Event]]:
    for event in of.__subclasses__():
        if event.commands:
            yield event
        yield from _events(event)


for _module in pkgutil.iter_modules(events.__path__):
    if _module.name != "schema":
        importlib.import_module(f"ec2lab.events.{_module.name}")
EVENTS = {event.event: event for event in sorted(_events(Event), key=lambda event: event.event)}
"""Every event that a command reports, by its name."""


def definition(event: type[Event]) -> dict[str, Any]:
    """Return the schema of one event. Every field is always present; null if its type allows it."""
    schema = event.model_json_schema(mode="serialization")
    texts = dict(_field_texts(event))
    nested = schema.get("$defs", {})
    fields = {name: _field(_inlined(field, nested), texts.get(name)) for name, field in schema["properties"].items()}
    found = {
        "description": inspect.cleandoc(event.__doc__ or "").replace("\n", " "),
        "x-commands": sorted(event.commands),
        "type": "object",
        "properties": {"event": {"const": event.event}, **fields},
        "required": ["event", *fields],
    }
    if isinstance(more := schema.get("additionalProperties"), dict):
        found["additionalProperties"] = more
    return found


def _inlined(field: Any, nested: Mapping[str, Any]) -> Any:
    """Return a field's schema, with the schemas of models and enums that it refers to inlined."""
    match field:
        case {"$ref": ref}:
            found = _inlined(nested[ref.rpartition("/")[2]], nested)
            return {key: value for key, value in found.items() if key not in ("title", "description")}
        case dict():
            return {key: _inlined(value, nested) for key, value in field.items()}
    return field


def _field(field: dict[str, Any], text: str | None) -> dict[str, Any]:
    """Return a field's schema without titles and defaults, and with "or null" as AWS's own schemas write it."""
    kept = {key: value for key, value in field.items() if key not in ("title", "default", "anyOf")}
    if "anyOf" in field:
        kept |= {**field["anyOf"][0], "type": [one["type"] for one in field["anyOf"]]}
    return {"description": text, **kept} if text else kept


def _field_texts(event: type[Event]) -> Iterator[tuple[str, str]]:
    """Yield (field, text) for the fields with a docstring, inherited ones too."""
    for cls in reversed(event.__mro__):
        if issubclass(cls, Event):
            body = ast.parse(inspect.getsource(cls)).body[0].body  # type: ignore[attr-defined]
            for line, below in pairwise(body):
                match line, below:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                        yield name, " ".join(text.split())


def schema_text() -> str:
    """Return what docs/events.schema.json should be."""
    definitions = {name: definition(event) for name, event in EVENTS.items()}
    found = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What ec2-lab's commands print with JSON=1",
        "description": "A line of output is one of these objects; x-commands lists the make targets that print it. "
        "Fields may be added: ignore those that you do not know.",
        "anyOf": [{"$ref": f"#/$defs/{name}"} for name in definitions],
        "$defs": definitions,
    }
    text = json.dumps(found, indent=2, ensure_ascii=False)
    return re.sub(r"[\[{]\n[^\[\]{}]+[\]}]", lambda flat: _in_a_line(flat[0]), text) + "\n"


def _in_a_line(text: str) -> str:
    """Return an object or array of few plain values in one line."""
    line = re.sub(r"\s*\n\s*", " ", text).replace("{ ", "{").replace(" }", "}").replace("[ ", "[").replace(" ]", "]")
    return line if len(line) < LINE else text


def document_text() -> str:
    """Return what docs/json.md should be: its table lists each command's events."""
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    commands = sorted({command for event in EVENTS.values() for command in event.commands})
    lines = ["| command | events |", "| --- | --- |"]
    for command in commands:
        names = (f"`{name}`" for name, event in EVENTS.items() if command in event.commands)
        lines.append(f"| `{command}` | {', '.join(names)} |")
    table = "\n".join(lines)
    return f"{before}{BEGIN}\n{table}\n\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    SCHEMA.write_text(schema_text())
    DOCUMENT.write_text(document_text())
