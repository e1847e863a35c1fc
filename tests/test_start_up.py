"""A script that is only asked for help loads nothing heavy."""

import importlib
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from tests.lab_directory import REPOSITORY

HEAVY = ("boto3", "botocore", "pydantic", "rich", "jinja2", "moto", "flask")
SCRIPTS = sorted(set(re.findall(r"\$\(RUN\) (scripts\.\w+|local_cloud)", (REPOSITORY / "Makefile").read_text())))
"""What make runs: none that is added is left out."""


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_says_what_the_script_does_and_loads_neither_boto3_nor_anything_as_heavy(script):
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", script, "--help"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in ended.stderr.splitlines()}
    assert "typer" in loaded
    assert not loaded & set(HEAVY)
    assert f"Usage: python -m {script}" in ended.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_misspelled_option_is_wrong_usage(script):
    module = f"{script}.__main__" if script == "local_cloud" else script
    ended = CliRunner().invoke(importlib.import_module(module).app, ["--xep"])
    assert ended.exit_code == 2
    assert isinstance(ended.exception, SystemExit)
    assert "--xep" in ended.output


def test_wrong_usage_ends_a_process_with_2():
    ended = subprocess.run(
        [sys.executable, "-m", "scripts.launch", "--xep"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
