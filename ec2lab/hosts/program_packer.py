"""Prepares the programs of templates/ for instances: without what only readers need."""

from __future__ import annotations

import ast
import builtins
import hashlib
import re
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from threading import Lock

from ec2lab.disk_cache import CACHE, read, write
from ec2lab.templates import text_of

PROGRAMS = CACHE / "programs"
ONE_AT_A_TIME = Lock()
"""Python 3.11 loses count of its parser's depth where two threads parse at once (CPython issue 106905)."""
REPOSITORY = Path(__file__).parents[2]
FUTURE = re.compile(r"^from __future__ import annotations\n", re.MULTILINE)
OF_THE_LAB = re.compile(r"^from (ec2lab\.[\w.]+) import .*\n", re.MULTILINE)


def whole(source: str) -> str:
    """Return a program with the lab's modules, and those that they import, inlined once: it is sent as one file."""
    there: set[str] = set()

    def inlined(found: re.Match[str]) -> str:
        if found[1] in there:
            return ""
        there.add(found[1])
        return OF_THE_LAB.sub(inlined, _module(found[1]))

    return OF_THE_LAB.sub(inlined, source)


def _module(name: str) -> str:
    """Return a module's text without its future imports, which may stand only at the beginning of a file."""
    return FUTURE.sub("", REPOSITORY.joinpath(*name.split(".")).with_suffix(".py").read_text(encoding="utf-8"))


def program(name: str) -> str:
    return whole(text_of(name))


@cache
def sent(name: str, *without: str) -> str:
    """Return a program of templates/ for user data: minified, without what is not needed there.

    Minifying takes up to 0.7 s, so the result is cached until the program or its minifier changes.
    """
    source = program(name)
    made_from = _digest(source, *_makers())
    path = PROGRAMS / f"{name}-{_digest(*without)}"  # a file name has no room for the names themselves
    kept = read(path)
    if kept and kept["made_from"] == made_from:
        return str(kept["text"])
    with ONE_AT_A_TIME:
        text = compact(left(source, *without))
    with suppress(OSError):  # a directory that cannot be written costs only time
        write(path, {"made_from": made_from, "text": text})
    return text


@cache
def _makers() -> tuple[str, ...]:
    return version("python-minifier"), sys.version, Path(__file__).read_text(encoding="utf-8")


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def compact(source: str) -> str:
    """Return a program without comments, docstrings and types, with short names: EC2 takes 16 KiB of user data.

    Python 3.12 and later would use one kind of quotes inside f-strings, which Amazon Linux 2023's Python 3.9 cannot
    parse, so programs that are sent have no string literals in their braces.
    """
    from python_minifier import minify  # 50 ms

    # Repeated literals and names of builtins compress better than short names for them.
    short = minify(
        _without_types(source), remove_literal_statements=True, rename_globals=True, hoist_literals=False,
        prefer_single_line=True, preserve_globals=dir(builtins),
    )  # fmt: skip
    return f"{short}\n"


def _without_types(source: str) -> str:
    """Return a program without the types of its functions and fields, and without imports that nothing uses then."""
    first = source.partition("\n")[0] if source.startswith("#!") else ""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign):
            node.annotation = ast.Name("int")  # a dataclass or a named tuple needs one
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            node.names = [one for one in node.names if (one.asname or one.name).partition(".")[0] in used]
    tree.body = [node for node in tree.body if getattr(node, "names", True)]
    return f"{first}\n{ast.unparse(tree)}\n"


MODULES = """\
import sys, types
for name, text in {modules!r}.items():
 module = sys.modules[name] = types.ModuleType(name)
 exec(compile(text, name, "exec"), module.__dict__)
exec(compile({program!r}, "ec2-lab", "exec"))
"""


def with_modules(name: str, *modules: str) -> str:
    """Return a program of templates/ with its imports inlined: `volumes-over-ssh.py` imports mount_volumes."""
    texts = {Path(module).stem.replace("-", "_"): program(module) for module in modules}
    return MODULES.format(modules=texts, program=program(name))


def left(source: str, *names: str) -> str:
    """Return a program without these functions, classes and constants; a string constant still in use becomes empty."""
    lines, body = source.splitlines(), ast.parse(source).body
    rest = [node for node in body if not _defined(node) & set(names)]
    asked = {name.id for node in rest for name in ast.walk(node) if isinstance(name, ast.Name)}
    for node in body:
        if node not in rest:
            first = min(part.lineno for part in (node, *getattr(node, "decorator_list", ())))
            lines[first - 1 : node.end_lineno] = [""] * ((node.end_lineno or 0) + 1 - first)
            if isinstance(node, ast.FunctionDef) and node.name in asked and ast.unparse(node.returns or node) == "str":
                lines[first - 1] = f"def {node.name}(*_):return ''"
    return "".join(f"{line}\n" for line in lines)


def _defined(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else ()
    return {
        name.id
        for target in targets
        for name in (target.elts if isinstance(target, ast.Tuple) else (target,))
        if isinstance(name, ast.Name)
    }


def unit(text: str) -> str:
    lines = (line.lstrip(" ") for line in text.splitlines(keepends=True))
    return "".join(line for line in lines if not line.startswith(("#", "\n")))


@cache
def sshd_drop_in() -> tuple[str, str]:
    """Return the path and text of sshd's drop-in, shared with the program that hardens a running host."""
    values: dict[str, object] = {"__name__": "sshd_hardening"}
    nodes = ast.parse(text_of("sshd-hardening.py")).body
    constants: list[ast.stmt] = [node for node in nodes if isinstance(node, ast.Import | ast.Assign)]
    needed = constants[: next(n for n, node in enumerate(constants, 1) if "CONTENT" in ast.unparse(node))]
    exec(compile(ast.Module(needed, []), "sshd-hardening.py", "exec"), values)  # noqa: S102 - our own template
    return str(values["DROP_IN"]), str(values["CONTENT"])
