"""A first password for a member: read from the terminal without an echo, and sent over ssh's standard input alone."""

from __future__ import annotations

import getpass
import sys
from dataclasses import replace

from scripts.core.errors import LabError
from scripts.core.hosts.member_accounts import AccountsDocument
from scripts.core.names import closest

ASK = "ask"
SHORTEST = 12
"""Characters. The member changes it at the first login, by the host's own rules."""


def for_member(document: AccountsDocument, name: str, password: str) -> AccountsDocument:
    """Return a document for one member alone, where one is named, and with a password, where one is to be asked for.

    Raises LabError.
    """
    if name and name not in document.members:
        raise LabError(f"NAME: {name!r} is not in members/{closest(name, document.members)}")
    if password and password != ASK:
        raise LabError("PASSWORD: write PASSWORD=ask; a password on a command line is everybody's to read")
    if password and not name:
        raise LabError("NAME: whose password is it to be? (NAME=alice PASSWORD=ask)")
    if not name:
        return document
    return replace(document, only=[name], passwords={name: _asked_for(name)} if password else {})


def _asked_for(name: str) -> str:
    if not sys.stdin.isatty():
        raise LabError("PASSWORD: there is no terminal to ask on")
    first = getpass.getpass(f"first password for {name}: ")
    if len(first) < SHORTEST or not first.isprintable():
        raise LabError(f"PASSWORD: take at least {SHORTEST} printable characters")
    if getpass.getpass("the same again: ") != first:
        raise LabError("PASSWORD: the two are not the same")
    return first
