"""Programs as they are sent to a machine."""

import ast

import pytest

from ec2lab.hosts import program_packer as host_program
from ec2lab.hosts.accounts import OVER_SSH
from ec2lab.hosts.local_names import shortened
from ec2lab.hosts.program_packer import bare, sent, sshd_drop_in, without_needless_imports
from ec2lab.templates import TEMPLATES, USER_DATA_LIMIT, user_data

PROGRAMS = sorted(TEMPLATES.glob("*.py"))


def without_texts(source):
    """What a program does, without its docstrings and what its functions say of types."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(getattr(node, "body", None), list):
            node.body = [s for s in node.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
            node.body = node.body or [ast.Pass()]
    return ast.dump(tree)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_a_bare_program_does_what_the_program_does(program):
    source = program.read_text()
    assert without_texts(bare(source)) == without_texts(source)
    assert bare(source).splitlines()[0] == source.splitlines()[0] or not source.startswith("#!")
    assert '"""' not in bare(source)
    assert len(bare(source)) < len(source) * 0.8


def test_imports_of_what_is_not_used_go_and_those_made_twice():
    source = "#!/usr/bin/python3 -I\nfrom __future__ import annotations\nimport os.path\nimport re as r\nimport re\n"
    source += "from typing import (\n    Any,\n    cast,\n)\nimport os.path\nimport re\ncast(re, os.path)\n"
    assert without_needless_imports(source).splitlines() == [
        "#!/usr/bin/python3 -I",
        "from __future__ import annotations",
        "import os.path",
        "import re",
        "from typing import cast",
        "import os.path",
        "cast(re, os.path)",
    ]


def called_otherwise(first, second):
    """What each name of one tree is in another; None where the trees differ in more than names."""
    found = {}
    for one, other in zip(ast.walk(first), ast.walk(second), strict=True):
        for field, value in ast.iter_fields(one):
            is_name = field in ("id", "arg") and not isinstance(one, ast.keyword)
            if is_name or (field == "name" and isinstance(one, ast.FunctionDef | ast.ClassDef)):
                found.setdefault(value, set()).add(getattr(other, field))
            elif not isinstance(value, ast.AST | list) and value != getattr(other, field):
                return None
    return found


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_short_names_are_as_different_as_the_long_ones_and_nobody_elses(program):
    before, after = ast.parse(bare(program.read_text())), ast.parse(shortened(bare(program.read_text())))
    pairs = list(zip(before.body, after.body, strict=True))
    renamed = {}
    for one, other in pairs:
        for name, new in zip(made_by(one), made_by(other), strict=True):
            renamed |= {name: {new}} if new != name else {}
    assert renamed
    for one, other in pairs:
        for part, named in zip(functions_in(one) or [one], functions_in(other) or [other], strict=True):
            names = called_otherwise(part, named)
            assert names is not None, ast.unparse(part)
            assert all(len(new) == 1 for new in names.values())
            assert len({next(iter(new)) for new in names.values()}) == len(names)
            assert {name: new for name, new in names.items() if name in renamed}.items() <= renamed.items()
            if not functions_in(one):
                assert {name for name, new in names.items() if new != {name}} <= renamed.keys()


def made_by(node):
    """The names that a statement of a module binds."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else ()
    return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]


def functions_in(node):
    inside = node.body if isinstance(node, ast.ClassDef) else [node]
    return [part for part in inside if isinstance(part, ast.FunctionDef)]


def test_names_that_somebody_else_may_know_stay():
    source = """def f(one, two=1, *, three):
 four=[g(five=six) for six in one]
 def inner(seven): return seven+four
 try: return f"{two}"
 except OSError as eight: raise inner(eight)
"""
    assert (
        shortened(source)
        == """def f(c, two=1, *, three):
 a=[g(five=b) for b in c]
 def inner(d): return d+a
 try: return f"{two}"
 except OSError as eight: raise inner(eight)
"""
    )
    assert shortened("def ten(one): return one\nten(one=1)\n") == "def A(one): return one\nA(one=1)\n"
    source = 'class Red:\n field=1\nBLUE,PINK=2,3\nBLUE=4\nprint(Red.field,BLUE,f"{PINK}")\n'
    assert shortened(source) == 'class B:\n field=1\nA,PINK=2,3\nA=4\nprint(B.field,A,f"{PINK}")\n'


def test_strings_that_look_like_comments_stay():
    assert bare('a = "# b"  # c\n\n\nclass D:\n    """E."""\n# f\n') == 'a="# b"\nclass D:\n pass\n'


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A program that is sent, and a way to send it as the next script does."""
    monkeypatch.setattr(host_program, "PROGRAMS", tmp_path / "kept")
    monkeypatch.setattr(host_program, "text_of", lambda name: (tmp_path / name).read_text())
    program = tmp_path / "a.py"
    program.write_text("b = 1  # c\n")

    def send(*without):
        sent.cache_clear()
        return sent("a.py", *without)

    yield program, send
    sent.cache_clear()


@pytest.mark.parametrize("without", [(), OVER_SSH], ids=["whole", "without_what_user_data_needs_not"])
def test_a_program_is_made_once(kept, monkeypatch, without):
    _, send = kept
    first = send(*without)
    monkeypatch.setattr(host_program, "bare", lambda _: pytest.fail("made twice"))
    assert send(*without) == first == "b=1\n"


def test_a_program_that_was_changed_is_made_again(kept):
    program, send = kept
    send()
    program.write_text("b = 2  # c\n")
    assert send() == "b=2\n"


@pytest.mark.parametrize("damage", [b"", b"b = 3", b'{"text": "b = 3"}'])
def test_a_kept_program_that_was_damaged_is_made_again(kept, tmp_path, damage):
    _, send = kept
    send()
    (file,) = (tmp_path / "kept").iterdir()
    file.write_bytes(damage)
    assert send() == "b=1\n"


def test_where_nothing_can_be_kept_a_program_is_sent_all_the_same(kept, tmp_path):
    _, send = kept
    (tmp_path / "kept").write_text("in the way")
    assert send() == "b=1\n"


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
