"""A log in pieces, each with its place, as templates/follow-log.py sends it. Pure.

A place is how many bytes of the log are before it. It never changes, whatever of the log was given up since: so who
reads on elsewhere, or after a while, misses nothing and reads nothing twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ec2lab.errors import UserError

LARGEST = 1 << 20
"""Bytes; follow-log's pieces are smaller."""
HEADER = re.compile(rb"(\d{1,18}) (\d{1,7}) (runs|ended)\n")
LONGEST_HEADER = 40


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of a log."""

    place: int
    data: bytes
    state: str = "runs"
    """`ended` in the last one, whose bytes are what there is to say of the log."""

    def after(self, place: int) -> bytes:
        """Return what of it is after a place."""
        return self.data[max(0, place - self.place) :]


def pieces_in(chunks: Iterable[bytes], who: str) -> Iterator[Piece]:
    """Yield the pieces that a stream has; one that it breaks off in is left out.

    Raises UserError, which names `who`, where the stream has something else.
    """
    held = b""
    for chunk in chunks:
        held += chunk
        while found := _header(held, who):
            begins, ends = found.end(), found.end() + int(found[2])
            if len(held) < ends:
                break
            yield Piece(int(found[1]), held[begins:ends], found[3].decode())
            held = held[ends:]


def _header(held: bytes, who: str) -> re.Match[bytes] | None:
    """Return the header that the stream goes on with; None where it has not come as a whole."""
    found = HEADER.match(held)
    if (found and int(found[2]) > LARGEST) or (not found and len(held) >= LONGEST_HEADER):
        raise UserError(f"{who}: its log comes in a form that is none of ours")
    return found
