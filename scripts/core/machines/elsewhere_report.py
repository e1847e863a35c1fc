"""What the screen, or a program, is told of what lives in other accounts."""

from __future__ import annotations

from fnmatch import fnmatchcase

from scripts.core.console import Console
from scripts.core.session import Session


def tell_elsewhere(console: Console, session: Session, pattern: str = "*") -> None:
    """Say in a line for each other account what lives in it, as far as the names match a pattern."""
    for one in session.elsewhere():
        if any(fnmatchcase(name, pattern) for name in one.names):
            account = one.account
            console.say(
                one.told(session.cloud.account), "elsewhere", style="yellow", experiments=one.names,
                partition=account.partition if account else None, account=account.id if account else None,
            )  # fmt: skip
