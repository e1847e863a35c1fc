"""The order in which resource types are deleted: what uses another goes first."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from graphlib import CycleError, TopologicalSorter

from ec2lab.errors import UserError


def deletion_order(deleted_after: Mapping[str, Collection[str]]) -> list[str]:
    """Sort types so that each follows those that it is deleted after; unknown ones do not count. Raises UserError."""
    # Each is added before what depends on it, for the order to be that of the plugins where nothing else decides.
    sorter = TopologicalSorter(dict.fromkeys(deleted_after, ()))
    for name, before in deleted_after.items():
        sorter.add(name, *(other for other in before if other in deleted_after))
    try:
        return list(sorter.static_order())
    except CycleError as problem:
        circle = ", ".join(dict.fromkeys(problem.args[1]))
        raise UserError(f"plugins: {circle} are each to be deleted after another; fix their deleted_after") from problem
