"""A log's lines, as its bytes come. Pure."""

from __future__ import annotations

import re

LONGEST = 1 << 20
"""Bytes: what is longer is shown in pieces, a line each."""
INNER = range(0x80, 0xC0)
"""Bytes of UTF-8 that begin no character."""
UP = b"\x1b[A"
"""A cursor that goes up again: the line below it was drawn for the moment (tqdm, with several bars)."""
BELOW = re.compile(rb"\n([^\n]*)\x1b\[A")


class LogLines:
    """Cuts what comes into lines. What a progress bar has drawn over is dropped."""

    def __init__(self) -> None:
        self._held = b""

    @property
    def unfinished(self) -> str:
        """What came behind the last line, as a terminal would show it."""
        return _as_text(self._held)

    def taken(self, data: bytes) -> list[str]:
        """Take some bytes, and return the lines that they finish."""
        text = self._held + data
        while UP in text and (once := BELOW.sub(rb"\r\1\r", text)) != text:
            text = once
        *lines, rest = text.split(b"\n")
        pieces = [piece for line in lines for piece in _cut(_last_drawn(line))]
        *long, self._held = _cut(_last_drawn(rest))
        return [_as_text(line) for line in [*pieces, *long]]

    def rest(self) -> list[str]:
        """Return the last line, where the log has no newline at its end."""
        text, self._held = self.unfinished, b""
        return [text] if text else []


def _last_drawn(line: bytes) -> bytes:
    """Return what a line shows in the end. What it ends with may be about to be drawn over, and is shown till then."""
    shown = line.rstrip(b"\r")
    return shown[shown.rfind(b"\r") + 1 :] + line[len(shown) :]


def _cut(line: bytes) -> list[bytes]:
    """Return a line in pieces that are not too long, cut between characters."""
    pieces = []
    while len(line) > LONGEST:
        end = next((end for end in range(LONGEST, LONGEST - 4, -1) if line[end] not in INNER), LONGEST)
        pieces.append(line[:end])
        line = line[end:]
    return [*pieces, line]


def _as_text(line: bytes) -> str:
    return line.rstrip(b"\r").decode(errors="replace")
