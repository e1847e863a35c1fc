"""The programs of templates/ that run on machines, and how they get into user data, which has 16 KiB for all."""

from __future__ import annotations

import ast
from functools import cache

from scripts.core.render import text_of

INDENT = 4


@cache
def compact(name: str) -> str:
    """Return a program without comments, docstrings and function annotations: less than half its size, and the same."""
    tree = ast.parse(text_of(name))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [statement for statement in body if not _is_text(statement)] or [ast.Pass()]  # type: ignore[attr-defined]
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                argument.annotation = None
    lines = ast.unparse(tree).splitlines()
    return "#!/usr/bin/env python3\n" + "".join(f"{_narrow(line)}\n" for line in lines)


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _narrow(line: str) -> str:
    """Return a line indented by one space a level; ast.unparse writes no text over several lines."""
    text = line.lstrip(" ")
    return " " * ((len(line) - len(text)) // INDENT) + text


@cache
def sshd_drop_in() -> tuple[str, str]:
    """Return the path and the text of sshd's drop-in, as the program that hardens a running host has them."""
    values: dict[str, object] = {"__name__": "sshd_hardening"}
    exec(compile(text_of("sshd-hardening.py"), "sshd-hardening.py", "exec"), values)  # noqa: S102 - our own template
    return str(values["DROP_IN"]), str(values["CONTENT"])
