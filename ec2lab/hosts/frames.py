"""What a host says is framed by a marker that one call alone knows: whatever else is printed there is noise.

Start-up files of shells, banners, PAM and jobs in the background print to the same place as a program of ours does
(templates/relay.py writes the frames).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

HEADER = re.compile(rb" ([a-z]{1,8}) ([0-9]{1,4})\n")
"""Longer contents than relay.py writes are noise: a host can't have us wait for a gigabyte."""
LONGEST_HEADER = 20
WITH_CONTENT = ("out", "err")
"""Kinds whose number is how many bytes follow."""
MOST_NOISE = 4096
"""Bytes of what is not ours that are remembered, the last ones: to be shown where nothing of ours came."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Something that was said to us."""

    kind: str
    number: int
    content: bytes = b""


class Frames:
    """Takes a stream apart: into frames, and what stands around them."""

    def __init__(self, marker: str) -> None:
        self._noise = b""
        self._marker = marker.encode()
        self._rest = b""

    @property
    def noise(self) -> bytes:
        """The end of what was not ours so far; what may yet become a frame counts too."""
        return (self._noise + self._rest)[-MOST_NOISE:]

    def feed(self, piece: bytes) -> Iterator[Frame]:
        """Yield the frames that are whole by now; those of other markers are noise."""
        text, at = self._rest + piece, 0
        while (found := text.find(self._marker, at)) >= 0:
            begin = found + len(self._marker)
            header = HEADER.match(text, begin)
            if not header and len(text) - begin >= LONGEST_HEADER:
                self._ignore(text[at:begin])
                at = begin
                continue
            kind, number = (header[1].decode(), int(header[2])) if header else ("", 0)
            end = (header.end() if header else begin) + (number if kind in WITH_CONTENT else 0)
            if not header or end > len(text):
                self._ignore(text[at:found])
                self._rest = text[found:]
                return
            self._ignore(text[at:found])
            at = end
            yield Frame(kind, number, text[header.end() : end])
        # The marker may have begun at the end of what is there.
        kept = max(at, len(text) - len(self._marker) + 1)
        self._ignore(text[at:kept])
        self._rest = text[kept:]

    def _ignore(self, noise: bytes) -> None:
        self._noise = (self._noise + noise)[-MOST_NOISE:]
