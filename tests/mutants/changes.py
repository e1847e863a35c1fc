"""The changes that are made to a module: cosmic-ray's operators that turn a decision round, and three of our own.

Left out is what changes nothing but names and types, and what only makes the same change twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff

import parso
from cosmic_ray.ast import ast_nodes
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.exception_replacer import ExceptionReplacer
from cosmic_ray.operators.operator import Example, Operator
from cosmic_ray.plugins import get_operator
from parso.tree import NodeOrLeaf

COSMIC_RAY = (
    "AddNot",
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceComparisonOperator_Eq_NotEq",
    "ReplaceComparisonOperator_NotEq_Eq",
    "ReplaceComparisonOperator_Is_IsNot",
    "ReplaceComparisonOperator_IsNot_Is",
    "ReplaceComparisonOperator_Lt_LtE",
    "ReplaceComparisonOperator_Lt_GtE",
    "ReplaceComparisonOperator_LtE_Lt",
    "ReplaceComparisonOperator_LtE_Gt",
    "ReplaceComparisonOperator_Gt_GtE",
    "ReplaceComparisonOperator_Gt_LtE",
    "ReplaceComparisonOperator_GtE_Gt",
    "ReplaceComparisonOperator_GtE_Lt",
    "ReplaceBinaryOperator_Add_Sub",
    "ReplaceBinaryOperator_Sub_Add",
    "ReplaceBinaryOperator_Mul_Div",
    "ReplaceBinaryOperator_Div_Mul",
    "ReplaceBinaryOperator_FloorDiv_Mul",
    "ReplaceBinaryOperator_Mod_Mul",
    "ReplaceBinaryOperator_BitOr_BitAnd",
    "ReplaceBinaryOperator_BitAnd_BitOr",
    "ReplaceUnaryOperator_USub_UAdd",
    "ReplaceUnaryOperator_Invert_UAdd",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ZeroIterationForLoop",
    "NumberReplacer",
)
"""Of its two hundred those of which one alone stands for each kind of slip: `<` becomes `<=` or `>=`, and not `is`."""


class ReplaceException(ExceptionReplacer):
    """Lets an exception through; cosmic-ray's own breaks at names with dots."""

    @staticmethod
    def _name_nodes(node):
        return [name.get_last_leaf() for name in ExceptionReplacer._name_nodes(node)]  # noqa: SLF001


class NegateFilter(Operator):
    """Turns round the condition of a comprehension."""

    def mutation_positions(self, node):
        if node.type == "comp_if":
            yield (node.start_pos, node.end_pos)

    def mutate(self, node, index):
        del index
        node.children[1] = parso.parse(f" not ({node.children[1].get_code()})")
        return node

    @classmethod
    def examples(cls):
        return (Example("[x for x in y if x]", "[x for x in y if not ( x)]"),)


class SwapMembership(Operator):
    """Turns `in` into `not in`, and the other way."""

    @staticmethod
    def _swapped(node) -> list[tuple[int, str]]:
        words = [(at, child.get_code().strip()) for at, child in enumerate(node.children)]
        return [(at, " in" if word == "not in" else " not in") for at, word in words if word in ("in", "not in")]

    def mutation_positions(self, node):
        if node.type == "comparison":
            for at, _ in self._swapped(node):
                yield (node.children[at].start_pos, node.children[at].end_pos)

    def mutate(self, node, index):
        at, word = self._swapped(node)[index]
        node.children[at] = parso.parse(word)
        return node

    @classmethod
    def examples(cls):
        return (Example("x in y", "x not in y"), Example("x not in y", "x in y"))


class DropStatement(Operator):
    """Leaves out a statement that is there for its effect: a call, a `raise`, a `+=`."""

    @staticmethod
    def _has_effect(node) -> bool:
        if node.type == "expr_stmt":
            return node.children[1].type == "operator" and node.children[1].value not in ("=", ":")
        called = node.type == "atom_expr" and node.children[-1].get_code().startswith("(")
        return node.type == "raise_stmt" or (called and node.parent.type == "simple_stmt")

    def mutation_positions(self, node):
        if self._has_effect(node):
            yield (node.start_pos, node.end_pos)

    def mutate(self, node, index):
        del index
        return parso.parse(f"{node.get_first_leaf().prefix}pass")

    @classmethod
    def examples(cls):
        return (Example("f(x)", "pass"), Example("raise x", "pass"), Example("x += y", "pass"))


OPERATORS = (
    *(get_operator(f"core/{name}") for name in COSMIC_RAY),
    ReplaceException,
    NegateFilter,
    SwapMembership,
    DropStatement,
)


@dataclass(frozen=True, slots=True)
class Change:
    """One change to a module."""

    source: str
    """The module with it."""
    lines: tuple[str, ...]
    """What it takes away and puts in: lines that begin with - and +, as in a diff, without indentation."""


def changes(source: str) -> Iterator[Change]:
    """Yield every change to a module's source, in the order of the operators."""
    nodes = list(ast_nodes(parso.parse(source)))
    for operator in OPERATORS:
        every = (node for node in nodes for _ in operator().mutation_positions(node))
        for occurrence, node in enumerate(every):
            if not _says_nothing(node) and not _is_made_by_another(operator, node):
                changed = mutate_code(source, operator(), occurrence)
                yield Change(changed, lines_of(unified_diff(source.splitlines(), changed.splitlines(), n=0)))


def lines_of(diff: Iterator[str]) -> tuple[str, ...]:
    """Return the lines that a diff takes away and puts in."""
    found = [line for line in diff if line.startswith(("-", "+")) and not line.startswith(("---", "+++"))]
    return tuple(f"{line[0]} {line[1:].strip()}" for line in found)


def _says_nothing(node: NodeOrLeaf) -> bool:
    """Say whether a node is in an annotation or a decorator, is `if TYPE_CHECKING`, or the star between parameters."""
    if node.parent.type == "parameters" or (node.type == "if_stmt" and "TYPE_CHECKING" in node.children[1].get_code()):
        return True
    while node.parent:
        inside, node = node, node.parent
        if node.type == "annassign" and inside is node.children[1]:
            return True
        if node.type in ("param", "funcdef") and inside is node.annotation:
            return True
        if node.type in ("decorator", "tfpdef"):
            return True
    return False


def _is_made_by_another(operator: type[Operator], node: NodeOrLeaf) -> bool:
    """Say whether a condition that would be turned round as a whole is one word that another operator turns round."""
    if operator.__name__ not in ("AddNot", "NegateFilter"):
        return False
    condition = node.children[2 if node.type == "test" else 1]
    return condition.type == "not_test" or (condition.type == "comparison" and len(condition.children) == 3)
