"""A command's log: in pieces, as an instance sends it; in lines, as its bytes come; and as it is printed.

templates/follow-log.py sends the pieces, each with its offset in the log. Offsets never change, even when the beginning
of the log is discarded, so a reader that continues later, or elsewhere, misses nothing and reads nothing twice.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ec2lab import clock
from ec2lab.console import Console
from ec2lab.errors import UserError
from ec2lab.events.runs import LogLine, PartialLogLine
from ec2lab.printable import without_colors

LARGEST = 1 << 20  # bytes; follow-log's pieces are smaller
HEADER = re.compile(rb"(\d{1,18}) (\d{1,7}) (runs|ended)\n")
LONGEST_HEADER = 40


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of a log."""

    place: int
    data: bytes
    state: str = "runs"  # `ended` in the last one, whose bytes are a message about the log

    def after(self, place: int) -> bytes:
        """Return the part after an offset."""
        return self.data[max(0, place - self.place) :]


def pieces_in(chunks: Iterable[bytes], who: str) -> Iterator[Piece]:
    """Yield the pieces in a stream; a truncated one is left out.

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
    """Return the next header; None where it is not complete."""
    found = HEADER.match(held)
    if (found and int(found[2]) > LARGEST) or (not found and len(held) >= LONGEST_HEADER):
        raise UserError(f"{who}: its log comes in an unknown form")
    return found


LONGEST = 1 << 20  # bytes: longer lines are shown in pieces
INNER = range(0x80, 0xC0)  # bytes of UTF-8 that begin no character
UP = b"\x1b[A"  # cursor up: the line below it was temporary (tqdm, with several bars)
BELOW = re.compile(rb"\n([^\n]*)\x1b\[A")


class LogLines:
    """Splits input into lines, dropping what a progress bar overwrote."""

    def __init__(self) -> None:
        self._held = b""

    @property
    def unfinished(self) -> str:
        """The text after the last line, as a terminal would show it."""
        return _as_text(self._held)

    def taken(self, data: bytes) -> list[str]:
        """Add bytes, and return the lines that they finish."""
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
    """Return what a line finally shows. Text at its end that may be overwritten is shown until then."""
    shown = line.rstrip(b"\r")
    return shown[shown.rfind(b"\r") + 1 :] + line[len(shown) :]


def _cut(line: bytes) -> list[bytes]:
    """Split a line into pieces of limited length, between characters."""
    pieces = []
    while len(line) > LONGEST:
        end = next((end for end in range(LONGEST, LONGEST - 4, -1) if line[end] not in INNER), LONGEST)
        pieces.append(line[:end])
        line = line[end:]
    return [*pieces, line]


def _as_text(line: bytes) -> str:
    return line.rstrip(b"\r").decode(errors="replace")


QUIET = 30.0
"""Seconds without a line after which a pipe gets the unfinished one: a progress bar is drawn ten times a second."""


class NobodyReads(Exception):
    """The output has no reader any more, so the log need not be followed."""


@dataclass
class LogPrinter:
    """Prints a log as its bytes come.

    A terminal shows an unfinished line as it changes; elsewhere it is printed after a while without another.
    """

    console: Console
    instance: str
    raw: bool = False  # whether bytes are printed unchanged, at once
    _lines: LogLines = field(default_factory=LogLines)
    _last: float = field(default_factory=clock.monotonic)  # when something was last printed
    _shown: str = ""

    def __call__(self, data: bytes) -> None:
        """Print what came, possibly nothing. Raises NobodyReads."""
        if not self.console.has_reader:
            raise NobodyReads
        if self.raw and not self.console.as_json:
            self.console.as_it_is(data)
            return
        self._print(self._lines.taken(data))
        if (text := self._lines.unfinished) != self._shown:
            self._show(text)

    def end(self) -> None:
        """Print the rest."""
        self._print(self._lines.rest())

    def _print(self, lines: list[str]) -> None:
        if not lines:
            return
        if self.console.as_json:
            self.console.emit(*(LogLine(instance=self.instance, text=line) for line in lines))
        self.console.log(lines)
        self._last, self._shown = clock.monotonic(), ""

    def _show(self, text: str) -> None:
        if self.console.is_terminal:
            self.console.progress(without_colors(text)[: shutil.get_terminal_size().columns - 1])
        elif clock.monotonic() - self._last < QUIET:
            return
        elif self.console.as_json:
            self.console.emit(PartialLogLine(instance=self.instance, text=text))
        else:
            self.console.log([text])
        self._last, self._shown = clock.monotonic(), text
