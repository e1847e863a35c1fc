"""The exit status of an experiment's command, as its instance writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ec2lab.hosts.protocol import parse_json
from ec2lab.hosts.ssh import Host
from ec2lab.registry.shapes import IMAGE_DIGEST, LINE, members, optional, whole

LOG = "/var/lib/ec2-lab/instance/log"
FILE = "/var/lib/ec2-lab/instance/ended.json"
KILLED = 128  # exit codes above are of commands that were killed (docs/runs.md)


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a command."""

    exit_code: int  # as in a shell: 128 plus the signal's number where it was killed
    at: str  # RFC 3339, by the instance's clock
    log_missing: str = ""  # what is missing at the end of the log, and why
    why: str = ""  # why the exit code is not the command's own, if so
    interrupted: str = ""
    """Why it did not end by itself, so that a launch continues, where its outputs are uploaded; empty otherwise."""
    container: str = ""  # the digest of the image of its container, where it had one from a registry


ENDING = members(
    exit_code=whole(-(2**31), 2**31 - 1), at=LINE, log_missing=optional(LINE), why=optional(LINE),
    container=optional(IMAGE_DIGEST), interrupted=optional(LINE),
)  # fmt: skip


def parse_exit_status(text: str, who: str) -> Ending | None:
    """Parse what an instance wrote; None for an empty text. Raises UserError, which names `who` wrote it."""
    if not text.strip():
        return None
    return ending_of(parse_json(text, ENDING, who))


def ending_of(fields: Mapping[str, Any]) -> Ending:
    """Return the end that an instance reports."""
    words = {name: fields[name] for name in ("log_missing", "why", "container", "interrupted") if name in fields}
    return Ending(fields["exit_code"], fields["at"], **words)


def read_exit_status(host: Host) -> Ending | None:
    """Return how a host's command ended; None while it has not. Raises Unreachable, Failed, UserError."""
    return parse_exit_status(host.run("sh", "-c", f"test ! -e {FILE} || cat {FILE}"), f"{host.name}: {FILE}")
