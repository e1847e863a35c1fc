"""Short names for what only a function of a program knows: user data has 16 KiB, and a program is most of it."""

from __future__ import annotations

import ast
import itertools
import keyword
import string
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

Edit = tuple[int, int, str, str]
"""A line, from 1; a byte in it, from 0; the name that stands there, and the one that is to."""


def shortened(source: str) -> str:
    """Return a program whose functions, classes and constants are called A, B, C, and the functions' own names a, b, c.

    Kept are names that an f-string has (Python tells where only from 3.12 on), that `except` or a nested function
    binds, and those of arguments that any call gives by name.
    """
    tree = ast.parse(source)
    given = {word.arg for call in ast.walk(tree) if isinstance(call, ast.Call) for word in call.keywords}
    edits = [edit for function in _functions(tree) for edit in _Names.of(function).edits(given)]
    edits += _module_edits(tree)
    lines = [line.encode() for line in source.splitlines()]
    for number, start, old, new in sorted(edits, reverse=True):
        line = lines[number - 1]
        lines[number - 1] = line[:start] + new.encode() + line[start + len(old.encode()) :]
    return "".join(f"{line.decode()}\n" for line in lines)


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Yield the functions of a module and the methods of its classes; what is nested in one belongs to it."""
    for node in tree.body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        yield from (part for part in inside if isinstance(part, ast.FunctionDef))


def _module_edits(tree: ast.Module) -> list[Edit]:
    """Return what gives a module's functions, classes and constants short names: those that are nothing else's."""
    nodes = list(ast.walk(tree))
    names, constants = _names(nodes), _constants(tree)
    others = {name.id for text in nodes if isinstance(text, ast.JoinedStr) for name in _names(list(ast.walk(text)))}
    others |= {name.id for name in names if not isinstance(name.ctx, ast.Load) and name not in constants}
    others |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    others |= {node.name for node in nodes if isinstance(node, ast.ExceptHandler) and node.name}
    others |= {name for node in nodes if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
    made = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    own = {node.name for node in made} | {name.id for name in constants}
    often = Counter(name.id for name in names if name.id in own - others and len(name.id) > 1)
    short = (word for word in map(str.upper, _short()) if word not in others | {name.id for name in names})
    new = dict(zip((name for name, _ in often.most_common()), short, strict=False))
    places = [(node.lineno, node.col_offset + len(_word(node)), node.name) for node in made]
    places += [(name.lineno, name.col_offset, name.id) for name in names]
    return [(line, start, name, new[name]) for line, start, name in places if name in new]


def _constants(tree: ast.Module) -> list[ast.Name]:
    """Return the names that a module's own assignments bind."""
    assignments = (node for node in tree.body if isinstance(node, ast.Assign))
    targets = (target for node in assignments for target in node.targets)
    return [name for target in targets for name in _names(list(ast.walk(target)))]


def _word(node: ast.FunctionDef | ast.ClassDef) -> str:
    return "def " if isinstance(node, ast.FunctionDef) else "class "


@dataclass(frozen=True, slots=True)
class _Names:
    """The names in a function."""

    read: list[ast.Name]
    """Wherever one stands, be it bound or read."""
    arguments: list[ast.arg]
    kept: set[str]

    @classmethod
    def of(cls, function: ast.FunctionDef) -> _Names:
        nodes = list(ast.walk(function))
        signatures = [node for node in nodes if isinstance(node, ast.arguments)]
        kept = {name.id for text in nodes if isinstance(text, ast.JoinedStr) for name in _names(list(ast.walk(text)))}
        kept |= {node.name for node in nodes if isinstance(node, ast.ExceptHandler | ast.FunctionDef) and node.name}
        kept |= {name for node in nodes if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
        kept |= {argument.arg for signature in signatures for argument in signature.kwonlyargs}
        return cls(_names(nodes), [node for node in nodes if isinstance(node, ast.arg)], kept)

    def edits(self, given: set[str | None]) -> Iterator[Edit]:
        """Yield what is to be written instead, the shortest for what stands there most often."""
        own = {name.id for name in self.read if not isinstance(name.ctx, ast.Load)}
        own |= {argument.arg for argument in self.arguments} - {"self", "cls"}
        own -= self.kept | ({argument.arg for argument in self.arguments} & given)
        places = [(name.lineno, name.col_offset, name.id) for name in self.read]
        places += [(argument.lineno, argument.col_offset, argument.arg) for argument in self.arguments]
        used = {name for _, _, name in places} - own | self.kept
        short = (name for name in _short() if name not in used)
        often = Counter(name for _, _, name in places if name in own)
        new = dict(zip((name for name, _ in often.most_common()), short, strict=False))
        return ((line, start, name, new[name]) for line, start, name in places if name in new)


def _names(nodes: list[ast.AST]) -> list[ast.Name]:
    return [node for node in nodes if isinstance(node, ast.Name)]


def _short() -> Iterator[str]:
    for length in itertools.count(1):
        words = map("".join, itertools.product(string.ascii_lowercase, repeat=length))
        yield from (word for word in words if not keyword.iskeyword(word))
