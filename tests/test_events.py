"""Events: what is documented is what the classes are, each is reported and has its text.

That real output is of these classes is checked wherever a test runs a script with JSON=1 (`LabDirectory.run`).
"""

import ast
import importlib
import inspect
import re
from datetime import UTC, date, datetime
from enum import Enum
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import pytest
import typer
from pydantic import BaseModel

from ec2lab.events.schema import EVENTS, document_text, schema_text
from ec2lab.events.schema import SCHEMA as SCHEMA_FILE
from ec2lab.events.teardown import TeardownFailed
from ec2lab.rendering import render
from ec2lab.tables import TABLES
from tests.lab_directory import REPOSITORY
from tests.printed_events import TARGETS, check_line, reach_of, reporters

DOCUMENT = (REPOSITORY / "docs/json.md").read_text()
INTERACTIVE = {"ssh"}
"""What takes no JSON=1: its output is that of the instance that one is logged in to."""


def command_of(target):
    """The typer command that a make target runs."""
    module, _, name = TARGETS[target].partition(" ")
    if (REPOSITORY / module.replace(".", "/")).is_dir():
        module += ".__main__"
    command = typer.main.get_command(importlib.import_module(module).app)
    return command.commands[name] if name else command


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_every_script_that_make_runs_takes_json_but_the_interactive(target):
    takes = any(parameter.envvar == "JSON" for parameter in command_of(target).params)
    assert takes is (target not in INTERACTIVE)


def test_the_schema_and_the_reference_are_those_of_the_event_classes():
    assert SCHEMA_FILE.read_text() == schema_text(), "run make schema"
    assert document_text() == DOCUMENT, "run make schema"


def test_every_event_is_reported_by_code_that_each_of_its_commands_loads():
    for name, event in EVENTS.items():
        for script in event.commands:
            assert reach_of(script) & reporters(event), f"{name}: {script} never reports it"


def sample(of):  # noqa: PLR0911 - a line for each sort of type
    """Return a value of a type. Each text could be a time."""
    origin, args = get_origin(of), get_args(of)
    if origin is Literal:
        return args[0]
    if origin is dict:
        return {sample(args[0]): sample(args[1])}
    if origin is list:
        return [sample(args[0])]
    if origin is UnionType:
        return sample(args[0])
    if of is Any or of is str:
        return "2026-01-01T00:00:00Z"
    if issubclass(of, BaseModel):
        return of(**{name: sample(field.annotation) for name, field in of.model_fields.items()})
    if issubclass(of, Enum):
        return next(iter(of))
    return {int: 2, float: 1.5, bool: True, date: date(2026, 1, 1), datetime: datetime(2026, 1, 1, tzinfo=UTC)}[of]


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_says_what_it_is_and_reads_as_text(name):
    event = EVENTS[name]
    assert inspect.cleandoc(event.__doc__).endswith(".")
    made = sample(event)
    lines, _ = render(made)
    assert all(lines)
    if name in TABLES:
        columns, row = TABLES[name]
        assert len(columns) == len(row(made))


def test_no_text_is_of_an_event_that_there_is_not():
    assert TABLES.keys() <= EVENTS.keys()


def test_text_that_is_no_unicode_is_printed_escaped():
    event = TeardownFailed(experiment="demo", reason="lone \ud800 surrogate")
    assert event.as_json()["reason"] == "lone \\ud800 surrogate"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"event": "deleted", "time": "2026-01-01T00:00:00Z"}', "deleted lacks fields"),
        ('{"event": "deleted", "time": "2026-01-01T00:00:00Z", "id": 7}', "valid string"),
        ('{"event": "deleted", "time": "2026-01-01T00:00:00Z", "id": "vol-1", "more": 1}', "Extra inputs"),
        ('{"event": "unheard-of"}', "unheard-of"),
        ('{"event": "experiment-written"}', "printed experiment-written, which is not declared for it"),
        ("deleted", "Expecting value"),
    ],
)
def test_a_line_that_is_no_event_of_the_script_fails_the_test_that_saw_it(line, complaint):
    with pytest.raises((AssertionError, ValueError, KeyError), match=re.escape(complaint)):
        check_line("volume-delete", line)


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
    assert written == {"event": "experiment-written", "experiment": "other", "path": "experiments/other.toml"}
    refused = lab.run("new", EXP="other", JSON="1")
    assert (refused.code, refused.out) == (1, "")
    assert refused.error.startswith("error: experiments/other.toml: already exists")
