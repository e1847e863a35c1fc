"""Programs of templates/ as they are sent to an instance: without what only their readers need."""

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

from ec2lab.disk_cache import CACHE, read, write
from ec2lab.templates import text_of

PROGRAMS = CACHE / "programs"
REPOSITORY = Path(__file__).parents[2]
FUTURE = re.compile(r"^from __future__ import annotations\n", re.MULTILINE)
OF_THE_LAB = re.compile(r"^from (ec2lab\.[\w.]+) import .*\n", re.MULTILINE)


def whole(source: str) -> str:
    """Return a program with the modules that it has from the lab in place of their imports: it goes as one file."""
    return OF_THE_LAB.sub(lambda found: _module(found[1]), source)


def _module(name: str) -> str:
    """Return a module's text. What is of the future stands at the beginning of a file alone; the program's own does."""
    return FUTURE.sub("", REPOSITORY.joinpath(*name.split(".")).with_suffix(".py").read_text(encoding="utf-8"))


def program(name: str) -> str:
    """Return a program of templates/ as a host runs it."""
    return whole(text_of(name))


@cache
def sent(name: str, *without: str) -> str:
    """Return a program of templates/ as user data carries it, without what nobody needs there and by short names.

    It takes up to 0.7 s to make one, so each is kept until it, or what makes it, is another.
    """
    source = program(name)
    made_from = _digest(source, *_makers())
    path = PROGRAMS / f"{name}-{_digest(*without)}"  # the names themselves may be too many for a file's name
    kept = read(path)
    if kept and kept["made_from"] == made_from:
        return str(kept["text"])
    text = compact(left(source, *without))
    with suppress(OSError):  # a directory that cannot be written costs the time, no more
        write(path, {"made_from": made_from, "text": text})
    return text


@cache
def _makers() -> tuple[str, ...]:
    """Return what else makes a program what it is."""
    return version("python-minifier"), sys.version, Path(__file__).read_text(encoding="utf-8")


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def compact(source: str) -> str:
    """Return a program without comments, docstrings and types, and by short names: EC2 takes 16 KiB of user data.

    From Python 3.12 on, it would have one kind of quotes within f-strings, which the 3.9 of Amazon Linux 2023 can't
    read; so those of the programs that are sent have no text in their braces.
    """
    from python_minifier import minify  # 50 ms

    # What stands in it several times, texts and the names of builtins, compresses better than short names for it.
    short = minify(
        source, remove_literal_statements=True, rename_globals=True, hoist_literals=False, prefer_single_line=True,
        preserve_globals=dir(builtins),
    )  # fmt: skip
    return f"{short}\n"


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
