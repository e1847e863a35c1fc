"""Programs as they are sent to an instance."""

import ast
import io
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

from ec2lab.hosts import program_packer as host_program
from ec2lab.hosts.accounts_document import OVER_SSH
from ec2lab.hosts.program_packer import program, sent, sshd_drop_in
from ec2lab.launch.user_data import USER_DATA_LIMIT, user_data
from ec2lab.templates import TEMPLATES
from tests.changed_constants import sent_with
from tests.waiting import wait_until

SENT = (
    "accounts.py", "idle-shutdown.py", "mount-volumes.py", "pull-from-s3.py", "upload-log.py", "write-exit-status.py",
    "write-log.py",
)  # fmt: skip
"""Those that user data has."""


def test_a_command_that_no_terminal_comes_for_is_deleted():
    staged = subprocess.run(
        [sys.executable, "-c", sent_with("stage-command.py", TIMEOUT=0.2), "echo $((6 * 7))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    place = Path(staged.stdout.strip())
    assert place.name == "run"
    assert wait_until(lambda: not place.parent.exists())


@pytest.mark.parametrize("name", SENT)
def test_what_is_made_shorter_reads_alike_on_every_python_as_no_f_string_has_a_text_in_its_braces(name):
    """From Python 3.12 on, the same quotes may stand within an f-string and around it, and they are written so."""
    braces = (node.value for node in ast.walk(ast.parse(program(name))) if isinstance(node, ast.FormattedValue))
    texts = [part for brace in braces for part in ast.walk(brace) if isinstance(getattr(part, "value", None), str)]
    assert [ast.unparse(text) for text in texts] == []


@pytest.mark.parametrize("name", SENT)
def test_what_is_made_shorter_has_no_comments_and_keeps_what_others_know_it_by(name):
    source, short = program(name), sent(name)
    assert len(short) < len(source) * 0.55
    shebang = source.splitlines()[0]
    assert short.startswith(shebang) == shebang.startswith("#!")
    assert not [token for token in tokens(short)[1:] if token.type == tokenize.COMMENT]
    assert attributes(short) <= attributes(source)


@pytest.mark.parametrize("name", sorted(path.name for path in TEMPLATES.glob("*.py")))
def test_no_module_that_goes_into_a_program_defines_a_name_of_another(name):
    body = ast.parse(program(name)).body
    defined = [part.name for part in body if isinstance(part, ast.FunctionDef | ast.ClassDef)]
    defined += [
        target.id
        for part in body if isinstance(part, ast.Assign)
        for target in ast.walk(part) if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store)
    ]  # fmt: skip
    assert sorted(defined) == sorted(set(defined))


def tokens(source):
    return list(tokenize.generate_tokens(io.StringIO(source).readline))


def attributes(source):
    """The names of attributes and of arguments that are given by name: of modules, of fields, of parameters."""
    nodes = list(ast.walk(ast.parse(source)))
    named = {node.arg for node in nodes if isinstance(node, ast.keyword)}
    return named | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A program that is sent, and a way to send it as the next script does."""
    monkeypatch.setattr(host_program, "PROGRAMS", tmp_path / "kept")
    monkeypatch.setattr(host_program, "text_of", lambda name: (tmp_path / name).read_text())
    program = tmp_path / "a.py"
    program.write_text("print(1)  # c\n")

    def send(*without):
        sent.cache_clear()
        return sent("a.py", *without)

    yield program, send
    sent.cache_clear()


@pytest.mark.parametrize("without", [(), OVER_SSH], ids=["whole", "without_what_user_data_needs_not"])
def test_a_program_is_made_once(kept, monkeypatch, without):
    _, send = kept
    first = send(*without)
    monkeypatch.setattr(host_program, "compact", lambda _: pytest.fail("made twice"))
    assert send(*without) == first == "print(1)\n"


def test_a_program_that_was_changed_is_made_again(kept):
    program, send = kept
    send()
    program.write_text("print(2)  # c\n")
    assert send() == "print(2)\n"


@pytest.mark.parametrize("damage", [b"", b"print(3)", b'{"text": "print(3)"}'])
def test_a_kept_program_that_was_damaged_is_made_again(kept, tmp_path, damage):
    _, send = kept
    send()
    (file,) = (tmp_path / "kept").iterdir()
    file.write_bytes(damage)
    assert send() == "print(1)\n"


def test_where_nothing_can_be_kept_a_program_is_sent_all_the_same(kept, tmp_path):
    _, send = kept
    (tmp_path / "kept").write_text("in the way")
    assert send() == "print(1)\n"


def test_the_programs_of_a_launch_leave_room_in_the_user_data():
    accounts = sent("accounts.py", *OVER_SSH)
    programs = (
        accounts
        + sent("mount-volumes.py")
        + sent("write-exit-status.py")
        + sent("upload-log.py")
        + sent("write-log.py")
    )
    assert len(user_data(programs)) < USER_DATA_LIMIT * 0.9


def test_the_drop_in_of_the_launch_is_that_of_the_program():
    path, content = sshd_drop_in()
    assert path == "/etc/ssh/sshd_config.d/00-ec2-lab.conf"
    assert "PasswordAuthentication no\n" in content
