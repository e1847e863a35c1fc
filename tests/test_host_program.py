"""Programs as they are sent to a machine."""

import ast
import gzip

import pytest

from scripts.core.host_program import bare
from scripts.core.render import TEMPLATES, USER_DATA_LIMIT

PROGRAMS = sorted(TEMPLATES.glob("*.py"))


def without_texts(source):
    """What a program does, without its docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(getattr(node, "body", None), list):
            node.body = [s for s in node.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
            node.body = node.body or [ast.Pass()]
    return ast.dump(tree)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_a_bare_program_does_what_the_program_does(program):
    source = program.read_text()
    assert without_texts(bare(source)) == without_texts(source)
    assert bare(source).startswith("#!/usr/bin/env python3\n")
    assert '"""' not in bare(source)
    assert bare(bare(source)) == bare(source)


def test_strings_that_look_like_comments_stay():
    assert bare('a = "# b"  # c\n\n\nclass D:\n    """E."""\n# f\n') == 'a = "# b"\nclass D:\n    pass\n'


def test_all_programs_together_leave_room_in_the_user_data():
    programs = "".join(bare(program.read_text()) for program in PROGRAMS)
    assert len(gzip.compress(programs.encode(), 9)) < USER_DATA_LIMIT * 0.85
