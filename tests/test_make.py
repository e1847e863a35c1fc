"""The front door: what make hands over, and what it never does."""

import os
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


def test_make_alone_lists_every_target_with_its_comment():
    listed = make().stdout
    for target in ("launch", "teardown", "status", "new", "local-cloud", "local-cloud-stop", "test", "bench"):
        assert f"  make {target} " in listed


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
    handed = make("relaunch", "-s", cwd=hollow, NAMES=" ".join(VARIABLES), HOST="a-laptop", NAME="a-laptop")
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
