"""JSON=1: what the code can say and what docs/events.schema.json tells programs are the same, in both directions.

That real output keeps to the schema is checked wherever a test runs a script with JSON=1 (`LabDirectory.run`).
"""

import ast
import importlib
import inspect
import json
import re
from string import Formatter

import pytest
import typer

from ec2lab.events.schema import EVENTS, document_text, schema_text
from ec2lab.events.schema import SCHEMA as SCHEMA_FILE
from ec2lab.events.teardown import TeardownFailed
from ec2lab.rendering import LINES, TABLES
from tests.event_schema import DEFINITIONS, check_line, complaints, event_of
from tests.lab_directory import REPOSITORY
from tests.printed_events import TARGETS, everything_said, reach_of, reporters

DOCUMENT = (REPOSITORY / "docs/json.md").read_text()
INTERACTIVE = {"ssh"}
"""What takes no JSON=1: its output is that of the machine that one is logged in to."""


def command_of(target):
    """The typer command that a make target runs."""
    module, _, name = TARGETS[target].partition(" ")
    if (REPOSITORY / module.replace(".", "/")).is_dir():
        module += ".__main__"
    command = typer.main.get_command(importlib.import_module(module).app)
    return command.commands[name] if name else command


def fits(said, definition):
    """Whether a place says what a definition is of."""
    known, wanted = set(definition["properties"]) - {"event"}, set(definition["required"]) - {"event"}
    return event_of(definition) == said.event and said.fields <= known and (not said.whole or wanted <= said.fields)


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_every_script_that_make_runs_takes_json_but_the_interactive(target):
    takes = any(parameter.envvar == "JSON" for parameter in command_of(target).params)
    assert takes is (target not in INTERACTIVE)


def test_every_event_that_the_code_can_say_is_in_the_schema_with_its_fields():
    said = everything_said()
    lacking = [str(one) for one in said if not any(fits(one, definition) for definition in DEFINITIONS.values())]
    assert lacking == []


def test_every_definition_is_said_by_each_script_that_it_names():
    for name, definition in DEFINITIONS.items():
        places = [one.module for one in everything_said() if fits(one, definition)]
        for script in definition["x-scripts"]:
            assert reach_of(script) & set(places), f"{name}: {script} never comes to say it"


def test_the_schema_and_the_reference_are_those_of_the_event_classes():
    assert SCHEMA_FILE.read_text() == schema_text(), "run make schema"
    assert document_text() == DOCUMENT, "run make schema"


def test_every_event_is_reported_by_code_that_each_of_its_commands_loads():
    for name, event in EVENTS.items():
        for script in event.commands:
            assert reach_of(script) & reporters(event), f"{name}: {script} never reports it"


def test_an_event_says_what_it_is_and_every_text_is_of_fields_that_it_has():
    for name, event in EVENTS.items():
        assert inspect.cleandoc(event.__doc__).endswith("."), name
        text = LINES.get(name, (None, ""))[1]
        fields = {field for _, field, _, _ in Formatter().parse(text) if field} if isinstance(text, str) else set()
        assert fields <= event.model_fields.keys(), name
    assert {*LINES, *TABLES} <= EVENTS.keys()


def test_text_that_is_no_unicode_is_printed_escaped():
    event = TeardownFailed(experiment="demo", reason="lone \ud800 surrogate")
    assert event.as_json()["reason"] == "lone \\ud800 surrogate"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"event": "deleted"}', "deleted.id is lacking"),
        ('{"event": "deleted", "id": 7}', "deleted.id: 7 is no string"),
        ('{"event": "deleted", "id": "vol-1", "more": 1}', "deleted.more is not in the schema"),
        ('{"event": "unheard-of"}', "says unheard-of"),
        ('{"event": "written", "path": "x"}', "says written, which is not there for it"),
        ('{"event": "kept", "id": "vol-1", "until": 3, "reason": ""}', "kept.until: 3 is no"),
        ("deleted", "Expecting value"),
    ],
)
def test_a_line_that_does_not_keep_to_the_schema_fails_the_test_that_saw_it(line, complaint):
    with pytest.raises((AssertionError, json.JSONDecodeError), match=re.escape(complaint)):
        check_line("volume-delete", line)


@pytest.mark.parametrize(
    ("value", "schema", "keeps"),
    [
        (True, {"type": "integer"}, False),
        (True, {"type": "boolean"}, True),
        (1, {"type": "boolean"}, False),
        (1, {"type": "number"}, True),
        (1.5, {"type": "integer"}, False),
        (None, {"type": ["string", "null"]}, True),
        (["a", 1], {"type": "array", "items": {"type": "string"}}, False),
        ({"a": 1}, {"type": "object", "additionalProperties": {"type": "string"}}, False),
        ({"a": 1}, {"type": "object"}, True),
        ("c", {"enum": ["a", "b"]}, False),
    ],
)
def test_types_are_those_of_json(value, schema, keeps):
    assert (list(complaints(value, schema)) == []) is keeps


def test_every_script_with_an_exit_code_of_its_own_is_in_the_table_of_exit_codes():
    own = {target for target in TARGETS if "typer.Exit" in ast.unparse(ast.parse(source_of(target)))}
    told = re.findall(r"^\| \d[^|]* \| (.*) \|$", DOCUMENT, re.MULTILINE)
    assert len(told) >= 5
    assert own == {target for target in own if any(f"`{target}`" in row for row in told)}
    assert {"audit", "doctor", "wait"} <= own


def source_of(target):
    module = TARGETS[target].partition(" ")[0].replace(".", "/")
    path = REPOSITORY / f"{module}.py"
    return (path if path.exists() else REPOSITORY / module / "__main__.py").read_text()


def test_new_and_the_local_cloud_print_json_too(lab):
    (written,) = lab.run("new", EXP="other", JSON="1").events
    assert written == {"event": "written", "path": "experiments/other.toml"}
    refused = lab.run("new", EXP="other", JSON="1")
    assert (refused.code, refused.out) == (1, "")
    assert refused.error.startswith("error: experiments/other.toml: exists already")
