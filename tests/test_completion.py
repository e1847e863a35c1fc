"""What the shell offers after `make` and a tab."""

import subprocess

import pytest

from tests.lab_directory import REPOSITORY, VARIABLES

ASK = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_ec2_lab
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def offered(tmp_path):
    """Returns what is offered for the last word in a lab, or elsewhere."""
    (tmp_path / "Makefile").write_text((REPOSITORY / "Makefile").read_text())
    for name in ("experiments/speech.toml", "experiments/vision.toml", "members/alice.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('[[data]]\ndataset = "talks"\n')
    (tmp_path / "lab.toml").write_text('regions = ["us-east-1",\n  "eu-west-1"]\n')

    def ask(*words, elsewhere=False):
        directory = tmp_path / "experiments" if elsewhere else tmp_path
        command = ["bash", "-uc", ASK, "bash", REPOSITORY / "scripts/completion.bash", *words]
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout.split()

    return ask


def test_a_target_is_completed_from_the_makefile(offered):
    assert offered("make", "laun") == ["launch"]
    assert {"launch", "teardown", "status"} <= set(offered("make", ""))


def test_after_a_target_its_variables_are_offered(offered):
    assert "EXP=" in offered("make", "launch", "E")
    assert {f"{name}=" for name in VARIABLES} <= set(offered("make", "launch", ""))


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["EXP", "=", "sp"], ["speech"]),
        (["EXP", "="], ["speech", "vision"]),
        (["EXP=vi"], ["EXP=vision"]),
        (["NAME", "=", ""], ["alice"]),
        (["DATASET", "=", "ta"], ["talks"]),
        (["REGIONS", "=", ""], ["us-east-1", "eu-west-1"]),
        (["YES", "=", ""], ["1"]),
    ],
)
def test_a_variable_is_completed_with_the_names_that_the_lab_has(offered, words, found):
    assert sorted(set(offered("make", "launch", *words))) == sorted(found)


def test_in_another_directory_files_are_offered(offered):
    assert offered("make", "spe", elsewhere=True) == ["speech.toml"]
