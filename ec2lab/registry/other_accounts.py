"""Live resources in other accounts than the current one: named, and left alone.

"Not found" proves nothing about them, because they are in another account.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ec2lab.aws.account import Account
from ec2lab.events import OtherAccount
from ec2lab.registry.state import ResourceState


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The experiments that are live in another account, or may be."""

    account: Account | None  # None if their records do not name it
    known: ResourceState  # the registry's state of that account

    @property
    def names(self) -> list[str]:
        return sorted(self.known.names)

    @property
    def may_be_over(self) -> bool:
        """Whether its cloud may no longer exist: a local one, or an unknown one."""
        return self.account is None or self.account.is_local

    def message(self, used: Account) -> str:
        """Return, in one line, what is live where, and how to reach it."""
        lives = f"{', '.join(self.names)} {'are' if len(self.names) > 1 else 'is'} live in"
        if self.account is None:
            return f"{lives} an account that the records do not name, you are using {used}; {self._end}"
        return f"{lives} {self.account}, you are using {used}; {self._way(used)}"

    @property
    def _end(self) -> str:
        return f"where nothing of it is left, `make teardown EXP={self.names[0]} YES=1` removes it from the registry"

    def _way(self, used: Account) -> str:
        if self.account and self.account.is_local:
            way = "that is another directory's" if used.is_local else 'cloud = "local" in lab.toml leads there'
            return f"{way}; {self._end}"
        aws = 'cloud = "aws" and ' if used.is_local else ""
        return f"{aws}the profile of that account leads there"


def other_accounts(others: Iterable[Elsewhere], used: Account, pattern: str = "*") -> list[OtherAccount]:
    """Return an event for each other account in which an experiment is live whose name matches a pattern."""
    return [
        OtherAccount(
            experiments=one.names, partition=one.account.partition if one.account else None,
            account=one.account.id if one.account else None, message=one.message(used),
        )
        for one in others
        if any(fnmatchcase(name, pattern) for name in one.names)
    ]  # fmt: skip
