"""Programs of templates/ as they are sent to a machine: without what only their readers need."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from functools import cache

from scripts.core.render import text_of


def bare(source: str) -> str:
    """Return a program without docstrings, comments and empty lines: EC2 takes 16 KiB of user data.

    They are cut out of the text, for `ast.unparse` would write it anew, from Python 3.12 on with quotes inside of
    f-strings that the 3.9 of Amazon Linux 2023 can't read.
    """
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        line, column = token.start
        if token.type == tokenize.COMMENT and not token.string.startswith("#!"):
            lines[line - 1] = lines[line - 1][:column].rstrip()
    for text, alone in _texts(ast.parse(source)):
        lines[text.lineno - 1 : text.end_lineno] = [""] * ((text.end_lineno or text.lineno) + 1 - text.lineno)
        if alone:
            lines[text.lineno - 1] = " " * text.col_offset + "pass"
    return "".join(f"{line}\n" for line in lines if line)


def _texts(tree: ast.Module) -> Iterator[tuple[ast.Expr, bool]]:
    """Return the strings that stand as statements, and whether one is all of its block."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):  # a lambda's
            continue
        for statement in body:
            value = statement.value if isinstance(statement, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield statement, len(body) == 1


@cache
def sent(name: str) -> str:
    """Return a program of templates/ as user data carries it."""
    return bare(text_of(name))


@cache
def sshd_drop_in() -> tuple[str, str]:
    """Return the path and the text of sshd's drop-in, as the program that hardens a running host has them."""
    values: dict[str, object] = {"__name__": "sshd_hardening"}
    exec(compile(text_of("sshd-hardening.py"), "sshd-hardening.py", "exec"), values)  # noqa: S102 - our own template
    return str(values["DROP_IN"]), str(values["CONTENT"])
