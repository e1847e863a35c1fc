"""What the shell offers after `make` and a tab."""

import os
import pty
import re
import shutil
import subprocess
import time

import pytest

from tests.lab_directory import REPOSITORY, VARIABLES
from tests.test_documented_commands import taken_by

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
    for name in ("Makefile", "scripts", "ec2lab", "bench", "local_cloud", "tests"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    for name in ("experiments/speech.toml", "experiments/vision.toml", "members/alice.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('[[data]]\ndataset = "talks"\n')
    (tmp_path / "lab.toml").write_text('regions = ["us-east-1",\n  "eu-west-1"]\n')

    def ask(*words, directory=tmp_path):
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
    assert "EXP=" not in offered("make", "E"), "no target, no variable"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["EXP", "=", "sp"], ["speech"]),
        (["EXP", "="], ["speech", "vision"]),
        (["EXP=vi"], ["EXP=vision"]),
        (["NAME", "=", ""], ["alice"]),
        (["DATASET", "=", "ta"], ["talks"]),
        (["REGIONS", "=", ""], ["us-east-1", "eu-west-1"]),
        (["GPU", "=", "A"], ["A10G", "A100"]),
        (["JSON", "=", ""], ["1"]),
    ],
)
def test_a_variable_is_completed_with_the_names_that_the_lab_has(offered, words, found):
    assert sorted(set(offered("make", "launch", *words))) == sorted(found)


def test_in_another_directory_files_are_offered(tmp_path, offered):
    assert offered("make", "spe", directory=tmp_path / "experiments") == ["speech.toml"]


def test_every_target_offers_the_variables_that_it_takes_and_no_other():
    ask = "source scripts/completion.bash; for target in $1; do echo $target $(_ec2_lab_options $target); done"
    makefile = (REPOSITORY / "Makefile").read_text()
    targets = re.findall(r"^([a-z][a-z-]*):.*## (.*)", makefile, re.MULTILINE)
    command = ["bash", "-uc", ask, "bash", " ".join(name for name, _ in targets)]
    lines = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.splitlines()
    offered = {line.split()[0]: dict(zip(line.split()[1::2], line.split()[2::2], strict=True)) for line in lines}
    for target, comment in targets:
        taken = taken_by(target) - {"None", "PYTHON", "VM_ACCEL"} | set(re.findall("([A-Z_]+)=", comment))
        assert offered[target].keys() == (taken | set(VARIABLES) if target == "script" else taken), target
    assert offered["dataset-build"]["SOURCE"] == offered["registry-pull"]["SOURCE"] == "file"
    assert offered["sweep"]["AGAIN"] == "flag"


def test_in_a_lab_elsewhere_its_names_are_offered_and_files_by_absolute_paths(tmp_path, offered):
    outside = tmp_path / "outside"
    (outside / "recordings").mkdir(parents=True)
    in_lab = {"directory": outside}
    assert offered("make", "-C", "..", "laun", **in_lab) == ["launch"]
    assert offered("make", "-C", "..", "launch", "EXP", "=", "sp", **in_lab) == ["speech"]
    for typed in ("rec", "./rec", f"{outside}/rec"):
        found = offered("make", "-C", "..", "dataset-build", "SOURCE", "=", typed, **in_lab)
        assert found == [f"{outside}/recordings/"]
    assert offered("make", "-C", "rec", **in_lab) == ["recordings/"]


HOSTILE = (
    "$(touch run)", "`touch run`", "a;touch run", "a b", "*", "?", "-n", "~", "$HOME", "a\nb", "a'b", 'a"b', "&",
    "$[x[$(touch run)]]",
)  # fmt: skip
"""Names of files, and what may stand in them, that a shell would run or expand."""


@pytest.fixture
def hostile_lab(tmp_path, offered):
    """A lab of names that a shell would run, among them one that is harmless in each place."""
    for directory, ending in (("experiments", ".toml"), ("members", ".toml"), (".ssh/hosts", "")):
        (tmp_path / directory).mkdir(parents=True, exist_ok=True)
        for name in (*HOSTILE, "sound"):
            (tmp_path / directory / f"{name}{ending}").write_text(f'dataset = "{name}"\n')
    (tmp_path / "lab.toml").write_text(f"regions = [{', '.join(map(repr, (*HOSTILE, 'sound')))}]\n".replace("'", '"'))
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/own.py").write_text("".join(f'PluginScript("{name}")\n' for name in (*HOSTILE, "sound")))
    for name in HOSTILE:
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize("variable", ["EXP", "BASE", "HOST", "NAME", "DATASET", "REGIONS", "SCRIPT"])
def test_names_and_contents_of_files_are_not_expanded_and_only_names_are_offered(hostile_lab, offered, variable):
    names = {"sound", "speech", "vision", "alice", "talks", "touch", "run", "HOME", "a", "b"}  # pieces are harmless
    assert "sound" in offered("make", "launch", variable, "=", "")
    assert set(offered("make", "launch", variable, "=", "")) <= names
    assert not (hostile_lab / "run").exists()


@pytest.mark.parametrize("word", HOSTILE)
def test_what_was_typed_is_not_expanded(hostile_lab, offered, word):
    value = (["EXP", "=", word], ["EXP=" + word], ["OUTPUT", "=", word])
    for words in (*value, [word], ["-C", word, "x"], [word, "x"]):
        offered("make", "report", *words)
    assert not (hostile_lab / "run").exists()


def test_files_are_offered_as_the_shell_takes_them(hostile_lab):
    ask = ASK.rpartition("printf")[0] + 'eval "set -- ${COMPREPLY[*]}"; printf "%s\\0" "$@"'
    command = ["bash", "-uc", ask, "bash", REPOSITORY / "scripts/completion.bash", "make", "report", "OUTPUT", "=", ""]
    done = subprocess.run(command, cwd=hostile_lab, capture_output=True, text=True, check=True)
    assert set(HOSTILE) <= set(done.stdout.split("\0"))
    assert not (hostile_lab / "run").exists()


def test_fish_is_offered_the_same_and_expands_none_of_it(hostile_lab):
    def ask(line):
        command = ["fish", "--no-config", "-c", f"source {REPOSITORY}/scripts/completion.fish; complete -C '{line}'"]
        done = subprocess.run(command, cwd=hostile_lab, capture_output=True, text=True, check=True)
        return set(done.stdout.splitlines())

    if not shutil.which("fish"):
        pytest.skip("fish is not installed")
    assert ask("make laun") == {"launch"}
    assert "EXP=" in ask("make launch EX")
    assert ask("make launch EXP=so") == {"EXP=sound"}
    assert {"OUTPUT=a b", "OUTPUT=$(touch run)"} <= ask("make report OUTPUT=")
    assert not (hostile_lab / "run").exists()


@pytest.mark.parametrize("command", [("bash", "--norc", "-i"), ("zsh", "-f", "-i")])
def test_a_tab_at_a_terminal_runs_nothing(hostile_lab, command):
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    terminal, shells = pty.openpty()
    environment = {**os.environ, "PS1": "$ ", "TERM": "dumb", "HOME": str(hostile_lab)}
    with subprocess.Popen(
        command, cwd=hostile_lab, stdin=shells, stdout=shells, stderr=shells, env=environment,
        start_new_session=True,
    ) as shell:  # fmt: skip
        os.close(shells)
        os.write(terminal, f"source {REPOSITORY}/scripts/completion.bash; echo read'y'\n".encode())
        read_until(terminal, b"ready")
        os.write(terminal, b"make launch EXP=so\t && echo 'has 'ended\x01echo \x05\n")
        shown = read_until(terminal, b"has ended")
        shell.kill()
    os.close(terminal)
    assert b"EXP=sound" in shown
    assert not (hostile_lab / "run").exists()


def read_until(terminal, text, patience=10):
    shown, deadline = b"", time.monotonic() + patience
    while text not in shown and time.monotonic() < deadline:
        shown += os.read(terminal, 4096)
    return shown
