"""The front door: what make hands over, and what it never does."""

import os
import re
import subprocess

import pytest

from tests.lab_directory import REPOSITORY, VARIABLES


def make(*arguments, cwd=REPOSITORY, **variables):
    inherited = {*VARIABLES, "MAKEFLAGS", "MAKELEVEL"}
    environment = {k: v for k, v in os.environ.items() if k not in inherited} | variables
    return subprocess.run(
        ["make", "-f", str(REPOSITORY / "Makefile"), *arguments], cwd=cwd, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def hollow(tmp_path):
    """A directory whose environment is ready, and whose python only tells what it was handed."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    needed = ["requirements.lock", "requirements-dev.lock", "scripts/environment.py"]
    for name in (*needed, "docs/iam-policy.json", "docs/iam-policy-data.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$*"\nprintf "EXP=<%s>\\n" "$EXP"\n')
    python.chmod(0o755)
    for stamp in ("ready", "ready-to-test"):
        (tmp_path / ".venv" / stamp).touch()
    return tmp_path


def test_help_lists_the_everyday_targets_first_and_each_users_target_in_its_group():
    groups = [group.splitlines() for group in make().stdout.split("\n\n")]
    titles = ["Everyday", "Instances and runs", "Data", "People", "Money", "Administration"]
    assert [title for title, *_ in groups] == titles
    assert [line.split()[1] for line in groups[0][1:]] == ["launch", "status", "logs", "ssh", "teardown"]
    listed = [line.split()[1] for _, *lines in groups for line in lines]
    assert len(listed) == len(set(listed))
    assert {"new", "dataset-build", "user-add", "cost", "doctor", "help-all"} <= set(listed)
    assert "lint" not in listed


def test_help_all_lists_every_target_and_no_line_is_wider_than_a_terminal():
    listed = make("help-all").stdout
    targets = re.findall(r"^([a-z][a-z-]*):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert {line.split()[1] for line in listed.splitlines() if line.startswith("  make ")} == set(targets)
    assert max(map(len, listed.splitlines())) <= 80


@pytest.mark.parametrize(
    "value",
    ["a b; c", "$(shell touch pwned)", "`touch pwned`", "$(touch pwned)", "'; touch pwned; '", "$$HOME", "a#b", '"'],
)
@pytest.mark.parametrize("given", ["argument", "environment"])
def test_a_variable_reaches_the_script_as_one_string_and_nothing_in_it_is_run(hollow, value, given):
    ended = make("launch", f"EXP={value}", cwd=hollow) if given == "argument" else make("launch", cwd=hollow, EXP=value)
    assert ended.stdout.splitlines() == ["-m scripts.launch", f"EXP=<{value}>"]
    assert not (hollow / "pwned").exists()


def test_nothing_that_make_or_a_shell_has_by_itself_reaches_a_script(hollow):
    (hollow / ".venv/bin/python").write_text('#!/bin/sh\nfor name in $NAMES; do printenv "$name"; done; exit 0\n')
    handed = make("rerun", "-s", cwd=hollow, NAMES=" ".join(VARIABLES), HOST="a-laptop", NAME="a-laptop")
    assert handed.stdout.split() == []


def test_a_script_that_fails_makes_make_fail(hollow):
    (hollow / ".venv" / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    assert make("launch", cwd=hollow).returncode == 2


def test_a_dry_run_shows_the_one_command_and_runs_nothing(hollow):
    assert make("-n", "launch", "EXP=demo", cwd=hollow).stdout == ".venv/bin/python -m scripts.launch\n"


def test_an_old_python_is_named_before_anything_is_installed(hollow):
    (hollow / ".venv" / "ready").unlink()
    old = hollow / "old-python"
    old.write_text("#!/bin/sh\necho error: too old >&2\nexit 1\n")
    old.chmod(0o755)
    ended = make("launch", f"PYTHON={old}", cwd=hollow)
    assert ended.returncode == 2
    assert "error: too old" in ended.stderr


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        ("lauch", "error: unknown target 'lauch' (did you mean `make launch` or `make watch`?)"),
        ("stat", "error: unknown target 'stat' (did you mean `make start` or `make status`?)"),
        ("$(shell touch pwned);touch pwned", "error: unknown target '$(shell' (`make` lists the targets)"),
    ],
)
def test_a_mistyped_target_names_those_that_may_be_meant(goal, said):
    ended = make(goal)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[0] == said
    assert not (REPOSITORY / "pwned").exists()
