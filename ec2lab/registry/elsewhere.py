"""What lives in another account than the one that is used: named, and left alone.

"Not found" says nothing of it: it was not looked for where it is.
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
    """The experiments that live in another account, or may."""

    account: Account | None
    """None where their records do not say which it is."""
    known: ResourceState
    """What the registry says of it."""

    @property
    def names(self) -> list[str]:
        """The experiments, in order."""
        return sorted(self.known.names)

    @property
    def may_be_over(self) -> bool:
        """Whether it may be gone with its cloud, which nobody can ask any more: a local one, or an unknown one."""
        return self.account is None or self.account.is_local

    def told(self, used: Account) -> str:
        """Return in one line what lives where, and how one gets there."""
        lives = f"{', '.join(self.names)} {'are' if len(self.names) > 1 else 'is'} live in"
        if self.account is None:
            return f"{lives} an account that the records do not name, you are using {used}; {self._end}"
        return f"{lives} {self.account}, you are using {used}; {self._way(used)}"

    @property
    def _end(self) -> str:
        return f"where nothing of it is left, `make teardown EXP={self.names[0]} YES=1` strikes it out of the registry"

    def _way(self, used: Account) -> str:
        if self.account and self.account.is_local:
            way = "that is another directory's" if used.is_local else 'cloud = "local" in lab.toml leads there'
            return f"{way}; {self._end}"
        aws = 'cloud = "aws" and ' if used.is_local else ""
        return f"{aws}the profile of that account leads there"


def other_accounts(others: Iterable[Elsewhere], used: Account, pattern: str = "*") -> list[OtherAccount]:
    """Return an event for each other account in which an experiment lives whose name matches a pattern."""
    return [
        OtherAccount(
            experiments=one.names, partition=one.account.partition if one.account else None,
            account=one.account.id if one.account else None, message=one.told(used),
        )
        for one in others
        if any(fnmatchcase(name, pattern) for name in one.names)
    ]  # fmt: skip
