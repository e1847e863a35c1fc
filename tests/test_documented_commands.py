"""Every command in the documents is right, and is run: here, document by document in its order, or by another test."""

import ast
import gzip
import json
import re
import shlex
import shutil
import subprocess

import pytest

from tests.lab_directory import REPOSITORY, VARIABLES
from tests.printed_events import ROOMS, TARGETS
from tests.test_events import command_of

DOCUMENTS = {
    str(path.relative_to(REPOSITORY)): path.read_text()
    for path in (*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").glob("*.md")))
}
ORIGINALS = [name for name in DOCUMENTS if not name.endswith(".ja.md")]
"""A translation has the commands of its original, as tests/test_documents.py checks."""
MAKEFILE = (REPOSITORY / "Makefile").read_text()
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
EVERYWHERE = {"DEBUG", "REGISTRY", "MEMBER", "PYTHON"}
"""What no script has an option for: it is read where it is needed, by make or by what all scripts share."""
OTHERS = {"test": {"COVERAGE", "FULL"}, "test-crash": {"FULL"}, "test-vm": {"FULL", "VM_ACCEL"}}
"""The variables of targets that run no script of ours."""

FORWARDING = "tests/hosts/test_forwarding.py"
PORTS = "test_ports_are_reached_at_the_urls_that_are_printed_also_after_the_connection_was_lost"
SERVER = "test_a_server_runs_as_the_experiments_account_behind_a_secret_that_nobody_else_sees"
STAND_IN = "tests/local_cloud/test_stand_in.py::test_the_tour_of_the_demo_works_on_a_stand_in_and_nothing_runs_as_root"
RUN_BY = {
    ("docs/going-to-aws.md", "make watch EXP=demo"): "tests/test_watch.py::test_ctrl_c_leaves_and_nothing_else",
    ("docs/watch.md", "make watch EXP=speech"): "tests/test_watch.py::test_ctrl_c_leaves_and_nothing_else",
    ("docs/runs.md", "make launch EXP=speech"): (
        "tests/hosts/test_delivery.py::test_the_code_arrives_whole_as_the_commands_own_account_and_then_it_begins"
    ),
    ("docs/outputs.md", "make launch EXP=speech"): (
        "tests/test_outputs.py::"
        "test_a_launch_continues_what_was_interrupted_under_the_name_of_the_first_and_nothing_else"
    ),
    ("docs/runs.md", "make logs EXP=speech"): "tests/test_runs.py::test_logs_and_exit_code_come_from_the_bucket",
    ("docs/runs.md", "make wait EXP=speech"): "tests/test_runs.py::test_logs_and_exit_code_come_from_the_bucket",
    ("docs/daily-work.md", "make logs EXP=demo"): "tests/test_runs.py::test_logs_and_exit_code_come_from_the_bucket",
    ("docs/daily-work.md", "make wait EXP=demo"): "tests/test_runs.py::test_logs_and_exit_code_come_from_the_bucket",
    ("docs/daily-work.md", "make push EXP=demo SOURCE=./code DEST=code"): STAND_IN,
    ("docs/daily-work.md", "make exec EXP=demo CMD='python3 code/train.py'"): STAND_IN,
    ("docs/daily-work.md", "make pull EXP=demo SOURCE=out.txt DEST=./out/"): STAND_IN,
    ("docs/daily-work.md", 'make forward EXP=demo PORTS="8888 6006"'): f"{FORWARDING}::{PORTS}",
    ("docs/daily-work.md", "make jupyter EXP=demo"): f"{FORWARDING}::{SERVER}",
    ("docs/daily-work.md", "make tensorboard EXP=demo LOGDIR=/data/runs"): f"{FORWARDING}::{SERVER}",
    ("docs/daily-work.md", "make top EXP=demo"): (
        "tests/hosts/test_top.py::test_top_shows_each_instance_and_why_nothing_is_known_of_one"
    ),
    ("docs/daily-work.md", "make outputs EXP=speech"): (
        "tests/test_pull_outputs.py::test_outputs_are_listed_with_the_state_of_their_run"
    ),
    ("docs/daily-work.md", "make pull EXP=speech OUTPUTS=1"): (
        "tests/test_pull_outputs.py::test_an_earlier_run_is_fetched_by_its_id_into_a_directory_of_its_own"
    ),
    ("docs/json.md", "EXP=demo JSON=1 .venv/bin/python -m scripts.wait"): (
        "tests/test_runs.py::test_the_first_that_failed_of_several_instances_is_the_exit_code"
    ),
}
"""What needs more than a lab and the local cloud (an instance that boots, a command that ends), and who runs it."""
RUNBOOKS = {"docs/onboarding.md": "tests/vm/test_onboarding.py::test_every_command_of_the_runbook_does_what_it_says"}
"""Documents whose every command a test reads and runs."""
OF_AWS_ALONE = {"aws configure sso", "aws sso login"}
"""What signs in to AWS itself."""


def commands_of(document):
    """The command lines of a document, without what is said behind them."""
    for language, block in BLOCK.findall(DOCUMENTS[document]):
        for line in block.splitlines():
            if language == "sh" or line.startswith("$ "):
                yield re.sub(r"\s+# .*", "", line.removeprefix("$ ")).strip()


def mentions_of(document):
    """Its command lines, and what it mentions in the midst of a sentence."""
    yield from (command for command in commands_of(document) if re.match(r"make\b", command))
    yield from re.findall(r"`(make [^`]*)`", BLOCK.sub("", DOCUMENTS[document]))


def words_of(command):
    """The words of a command's first part, and the rest of its pipe."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|")
    lexer.whitespace_split = True
    words = list(lexer)
    bar = words.index("|") if "|" in words else len(words)
    return words[:bar], words[bar + 1 :]


def taken_by(target):
    """The variables that a target takes."""
    options = command_of(target).params if target in TARGETS else ()
    return {str(option.envvar) for option in options} | OTHERS.get(target, set()) | EVERYWHERE


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_make_command_names_a_target_and_variables_that_it_takes(document):
    for mention in mentions_of(document):
        words, _ = words_of(mention)
        variables = {word.partition("=")[0] for word in words if re.match(r"[A-Z_]+=", word)}
        targets = [word for word in words[1:] if "=" not in word and not word.startswith("-")]
        for target in filter(str.islower, targets):  # one in capitals stands for whichever is meant
            assert re.search(rf"^{re.escape(target)}:.*## ", MAKEFILE, re.MULTILINE), f"{document}: `{mention}`"
            assert variables <= taken_by(target), f"{document}: `{mention}`: {variables - taken_by(target)}"


MENTION = re.compile(r"""(`?)\bmake ([a-z][a-z-]*)((?: +[A-Z_]+=(?:'[^']*'|"[^"]*"|[^\s`'",;)]*))*)""")
"""A command in a text: whether it is quoted, its target, and its variables."""


def messages():
    """Every text in the code and in templates; {} stands for what is filled in."""
    for path in (path for room in ROOMS for path in sorted((REPOSITORY / room).rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
                yield path.name, "".join(map(str, parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield path.name, node.value
    yield from ((path.name, path.read_text()) for path in (REPOSITORY / "templates").iterdir() if path.is_file())


def test_every_make_command_that_a_message_names_exists_and_takes_its_variables_and_values(monkeypatch):
    mentions = {(file, *found) for file, text in messages() for found in MENTION.findall(text)}
    known = set(re.findall(r"^([a-z][a-z-]*):.*## ", MAKEFILE, re.MULTILINE))
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for file, quote, target, given in mentions:
        variables = dict(re.findall(r"([A-Z_]+)=('[^']*'|\"[^\"]*\"|\S*)", given))
        mention = f"{file}: make {target}{given}"
        assert target in known or not (quote or variables), mention
        if target not in known or target == "script":  # which hands its variables over to a plugin
            continue
        assert variables.keys() <= taken_by(target), mention
        plain = {name: value.strip("'\"") for name, value in variables.items() if not re.search("[{…<]|^$", value)}
        if plain and target in TARGETS:
            with monkeypatch.context() as environment:
                for name, value in {"EXP": "demo", "NAME": "alice", **plain}.items():
                    environment.setenv(name, value)
                command_of(target).make_context(target, [])
    assert len(mentions) > 100


@pytest.mark.parametrize("document", [name for name in ORIGINALS if name not in RUNBOOKS and any(commands_of(name))])
def test_every_command_of_a_document_does_in_its_order_what_it_says(document, lab, cloud):
    arranged(document, lab, cloud)
    for command in commands_of(document):
        if command not in OF_AWS_ALONE and (document, command) not in RUN_BY and not run_by_ci(command):
            follow(lab, command)


def arranged(document, lab, cloud):
    """Put into a lab what a reader of the document has there: its own example files, and what it takes for granted."""
    for name in ("alice.pub", "recordings/a.wav"):
        lab.write(name, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl alice\n")
    lab.write("experiments/foo.toml", 'instance_types = ["g5.xlarge"]\n')
    if document == "docs/sweeps.md":
        blocks = [block for _, block in BLOCK.findall(DOCUMENTS[document])]
        (example,) = [block for block in blocks if block.startswith("# experiments/speech.toml\n")]
        lab.write("experiments/speech.toml", example)
    if document == "docs/plugins.md":
        (example,) = [block for _, block in BLOCK.findall(DOCUMENTS[document]) if 'PluginScript("who-runs"' in block]
        lab.write("plugins/who_runs.py", example)
    if document == "docs/json.md":
        assert lab.launch().code == 0
    if document == "docs/registry.md":
        cloud.scenario(capacity=[{"region": "us-east-1"}])
        assert lab.launch("foo").code == 0
        lines = "".join(json.dumps(record) + "\n" for record in lab.records())
        lab.write("registry-archive/2026-11.jsonl.gz", "").write_bytes(gzip.compress(lines.encode()))


def run_by_ci(command):
    """Whether .ci/run has it, or what it says to be the same: what developers run can't be run within a test."""
    lines = (REPOSITORY / ".ci/run").read_text()
    return re.search(rf"^stage '.*' {re.escape(command)}(?=$|[, ])", lines, re.MULTILINE) is not None


def follow(lab, command):
    """Run a command as its reader does; what make hands over is tests/test_make.py's business."""
    words, pipe = words_of(command)
    if words[0] != "make":
        shown = shell(lab, command, "")
    else:
        (target,) = [word for word in words[1:] if "=" not in word and not word.startswith("-")]
        variables = dict(word.split("=", 1) for word in words if "=" in word)
        ended = lab.run(TARGETS[target].removeprefix("scripts."), **variables)
        assert ended.code == 0, f"{command}: {ended.err}"
        shown = shell(lab, shlex.join(pipe), ended.out) if pipe else ended.out
    assert shown.strip(), f"{command} shows nothing"


def shell(lab, command, given):
    tools = [tool for tool in ("jq", "flock", "zcat") if tool in command and not shutil.which(tool)]
    if tools:
        pytest.skip(f"no {tools[0]} here; .ci/run has it")
    ended = subprocess.run(
        ["sh", "-c", command], cwd=lab.path, input=given, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, ""), command
    return ended.stdout


def test_what_is_said_to_be_run_elsewhere_is_in_its_document_and_its_test_exists():
    for document, command in RUN_BY:
        assert command in commands_of(document)
    for held_by in (*RUN_BY.values(), *RUNBOOKS.values()):
        path, _, name = held_by.partition("::")
        assert f"\ndef {name}(" in (REPOSITORY / path).read_text(), held_by
    assert {command for name in DOCUMENTS for command in commands_of(name)} >= OF_AWS_ALONE
