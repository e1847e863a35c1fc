"""Programs of templates/ as they are sent to a machine: without what only their readers need."""

from __future__ import annotations

import ast
import hashlib
import io
import re
import sys
import tokenize
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from ec2lab.disk_cache import CACHE, read, write
from ec2lab.hosts import local_names
from ec2lab.hosts.local_names import shortened
from ec2lab.templates import text_of

PROGRAMS = CACHE / "programs"
REPOSITORY = Path(__file__).parents[2]
FUTURE = re.compile(r"^from __future__ import annotations\n", re.MULTILINE)
OF_THE_LAB = re.compile(r"^from (ec2lab\.[\w.]+) import .*\n", re.MULTILINE)
MAKERS = (__file__, local_names.__file__)
INDENTATION = 4
Place = tuple[int, int]
"""A line, from 1, and a byte in it, from 0."""


def whole(source: str) -> str:
    """Return a program with the modules that it has from the lab in place of their imports: it goes as one file."""
    return OF_THE_LAB.sub(lambda found: _module(found[1]), source)


def _module(name: str) -> str:
    """Return a module's text. What is of the future stands at the beginning of a file alone; the program's own does."""
    return FUTURE.sub("", REPOSITORY.joinpath(*name.split(".")).with_suffix(".py").read_text(encoding="utf-8"))


def program(name: str) -> str:
    """Return a program of templates/ as a host runs it."""
    return whole(text_of(name))


def bare(source: str) -> str:
    """Return a program without docstrings, comments, annotations and empty lines: EC2 takes 16 KiB of user data.

    They are cut out of the text, for `ast.unparse` would write it anew, from Python 3.12 on with quotes inside of
    f-strings that the 3.9 of Amazon Linux 2023 can't read. So does python-minifier 3.4, which has no option for it; it
    would save 2 % of what is sent.
    """
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        line, column = token.start
        if token.type == tokenize.COMMENT and not token.string.startswith("#!"):
            lines[line - 1] = lines[line - 1][:column].rstrip()
    for text, alone in _docstrings(ast.parse(source)):
        lines[text.lineno - 1 : text.end_lineno] = [""] * ((text.end_lineno or text.lineno) + 1 - text.lineno)
        if alone:
            lines[text.lineno - 1] = " " * text.col_offset + "pass"
    return _shrink_indent(_strip_spaces(_without_annotations("".join(f"{line}\n" for line in lines if line))))


def without_needless_imports(source: str) -> str:
    """Return a program without imports of what it does not use, as annotations did, or imports twice."""
    tree, lines = ast.parse(source), source.splitlines()
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom) and getattr(node, "module", None) != "__future__":
            node.names = [one for one in node.names if (one.asname or one.name.partition(".")[0]) in used]
            used -= {one.asname or one.name for one in node.names}  # of `import os.path`, nothing: `os` is imported so
            left = ast.unparse(node) if node.names else ""
            lines[node.lineno - 1 : node.end_lineno] = [left] + [""] * ((node.end_lineno or 0) - node.lineno)
    return "".join(f"{line}\n" for line in lines if line)


def _without_annotations(source: str) -> str:
    """Return a program whose functions say nothing of types; those of a class's fields mean something, and stay."""
    lines = [line.encode() for line in source.splitlines()]
    for start, end in sorted(_annotation_spans(ast.parse(source), lines), reverse=True):
        if start[0] == end[0]:
            line = lines[start[0] - 1]
            lines[start[0] - 1] = line[: start[1]] + line[end[1] :]
    return "".join(f"{line.decode()}\n" for line in lines)


def _annotation_spans(tree: ast.Module, lines: Sequence[bytes]) -> Iterator[tuple[Place, Place]]:
    """Yield where annotations of functions begin, with what stands before them, and where they end."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and (found := node.annotation):
            yield (node.lineno, node.col_offset + len(node.arg.encode())), _end(found)
        elif isinstance(node, ast.FunctionDef) and (found := node.returns):
            before = lines[found.lineno - 1][: found.col_offset].rstrip().removesuffix(b"->").rstrip()
            yield (found.lineno, len(before)), _end(found)


def _end(node: ast.expr) -> Place:
    return node.end_lineno or node.lineno, node.end_col_offset or node.col_offset


def _strip_spaces(source: str) -> str:
    """Return a program without the spaces that stand beside operators; what f-strings hold stays as it is."""
    lines = source.splitlines()
    for start, end in sorted(_needless_spaces(source), reverse=True):
        line = lines[start[0] - 1]
        lines[start[0] - 1] = line[: start[1]] + line[end[1] :]
    return "".join(f"{line}\n" for line in lines)


def _needless_spaces(source: str) -> Iterator[tuple[Place, Place]]:
    """Yield where spaces begin and end, in characters, that divide an operator from what is beside it."""
    inside, last = 0, None
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        name = tokenize.tok_name[token.type]
        inside += (name == "FSTRING_START") - (name == "FSTRING_END")  # tokens of their own from Python 3.12 on
        beside = last and last.end[0] == token.start[0] and last.end[1] < token.start[1]
        # A full stop may belong to what a keyword stands before: `from . import`.
        if last and beside and not inside and "OP" in (name, tokenize.tok_name[last.type]) and token.string != ".":
            yield last.end, token.start
        last = token if name in ("OP", "NAME", "NUMBER", "STRING", "FSTRING_END") else None


def _shrink_indent(source: str) -> str:
    """Return a program that is indented by one column for every four; what strings hold stays as it is."""
    inside: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.STRING:
            inside.update(range(token.start[0] + 1, token.end[0] + 1))
    return "".join(
        line if number in inside else " " * ((len(line) - len(line.lstrip(" "))) // INDENTATION) + line.lstrip(" ")
        for number, line in enumerate(source.splitlines(keepends=True), start=1)
    )


def _docstrings(tree: ast.Module) -> Iterator[tuple[ast.Expr, bool]]:
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
def sent(name: str, *without: str) -> str:
    """Return a program of templates/ as user data carries it, without what nobody needs there and by short names.

    It takes 0.1 s to make one, so each is kept until it, or what makes it, is another.
    """
    source = program(name)
    made_from = _digest(source, *(Path(file).read_text(encoding="utf-8") for file in MAKERS), sys.version)
    path = PROGRAMS / f"{name}-{_digest(*without)}"  # the names themselves may be too many for a file's name
    kept = read(path)
    if kept and kept["made_from"] == made_from:
        return str(kept["text"])
    text = compact(left(source, *without))
    with suppress(OSError):  # a directory that cannot be written costs the time, no more
        write(path, {"made_from": made_from, "text": text})
    return text


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def compact(source: str) -> str:
    """Return a program without what nobody needs on a machine, and by short names."""
    return shortened(without_needless_imports(bare(source)))


MODULES = """\
import sys, types
for name, text in {modules!r}.items():
 module = sys.modules[name] = types.ModuleType(name)
 exec(compile(text, name, "exec"), module.__dict__)
exec(compile({program!r}, "ec2-lab", "exec"))
"""


def with_modules(name: str, *modules: str) -> str:
    """Return a program of templates/ that imports others, in one text: `volumes-over-ssh.py` has mount_volumes."""
    texts = {Path(module).stem.replace("-", "_"): program(module) for module in modules}
    return MODULES.format(modules=texts, program=program(name))


def left(source: str, *names: str) -> str:
    """Return a program without these functions, classes and constants; a text that is still asked for is empty then."""
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
    """Return what a statement gives a name to."""
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
    """Return a systemd unit, or a shell script, as user data carries it: without comments, empty lines, indentation."""
    lines = (line.lstrip(" ") for line in text.splitlines(keepends=True))
    return "".join(line for line in lines if not line.startswith(("#", "\n")))


@cache
def sshd_drop_in() -> tuple[str, str]:
    """Return the path and the text of sshd's drop-in, as the program that hardens a running host has them."""
    values: dict[str, object] = {"__name__": "sshd_hardening"}
    nodes = ast.parse(text_of("sshd-hardening.py")).body
    constants: list[ast.stmt] = [node for node in nodes if isinstance(node, ast.Import | ast.Assign)]
    needed = constants[: next(n for n, node in enumerate(constants, 1) if "CONTENT" in ast.unparse(node))]
    exec(compile(ast.Module(needed, []), "sshd-hardening.py", "exec"), values)  # noqa: S102 - our own template
    return str(values["DROP_IN"]), str(values["CONTENT"])
