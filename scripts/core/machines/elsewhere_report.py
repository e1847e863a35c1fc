"""What the screen, or a program, is told of what lives in other accounts."""

from __future__ import annotations

from fnmatch import fnmatchcase

from scripts.core.console import Console
from scripts.core.session import Session


def tell_elsewhere(console: Console, session: Session, pattern: str = "*") -> bool:
    """Say in a line for each other account what lives in it, if a name matches a pattern; return whether any does."""
    told = False
    for one in session.elsewhere():
        if any(fnmatchcase(name, pattern) for name in one.names):
            told = True
            account = one.account
            console.say(
                one.told(session.cloud.account), "elsewhere", style="yellow", experiments=one.names,
                partition=account.partition if account else None, account=account.id if account else None,
            )  # fmt: skip
    return told
