"""How an experiment's command ended, as its machine writes it down."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.core.hosts.remote import Host
from scripts.core.hosts.said import said
from scripts.core.registry.shapes import LINE, members, whole

UNIT = "experiment.service"
FILE = "/var/lib/ec2-lab/instance/ended.json"
ENDED = "ended"
"""The note by which the lab says how an experiment's command ended: `exit_code`."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a command."""

    exit_code: int
    """As a shell has it: 128 and the signal's number where it was killed."""
    at: str
    """RFC 3339, by the machine's clock."""


ENDING = members(exit_code=whole(-(2**31), 2**31 - 1), at=LINE)


def ending_in(text: str, who: str) -> Ending | None:
    """Read what a machine wrote; nothing is no ending yet. Raises LabError, which names `who` wrote it."""
    if not text.strip():
        return None
    told = said(text, ENDING, who)
    return Ending(told["exit_code"], told["at"])


def ending_on(host: Host) -> Ending | None:
    """Return how the command of a host ended; None while it has not. Raises Unreachable, Failed, LabError."""
    return ending_in(host.run("sh", "-c", f"test ! -e {FILE} || cat {FILE}"), f"{host.name}: {FILE}")
