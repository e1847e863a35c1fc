"""What the screen, or a program, is told of what lives in other accounts."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from ec2lab.console import Console
from ec2lab.registry.elsewhere import Elsewhere
from ec2lab.session import Session


def tell_elsewhere(console: Console, session: Session, others: Iterable[Elsewhere], pattern: str = "*") -> bool:
    """Say in a line for each other account what lives in it, if a name matches a pattern; return whether any does."""
    meant = [one for one in others if any(fnmatchcase(name, pattern) for name in one.names)]
    for one in meant:
        account = one.account
        console.say(
            one.told(session.cloud.account), "elsewhere", style="yellow", experiments=one.names,
            partition=account.partition if account else None, account=account.id if account else None,
        )  # fmt: skip
    return bool(meant)
