"""How tables and lines fit a terminal: columns go below others, are narrowed, or are left out; lines wrap. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.cells import cell_len, set_cell_size

GAP = 2  # blanks between two columns
IN_COLUMNS = re.compile(r"\s*(?:\S+\s{2,})*")  # what stands in columns at the beginning of a line
WORD = re.compile(r"(\s*)(\S+)")
WORD_OR_COMMAND = re.compile(r"(\s*)(`[^`]*`\S*|\S+)")  # a command in backquotes is copied as one

Cell = str | tuple[str, ...]  # a line, or several
Row = Sequence[Cell]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. As it is, it is always shown, at its full width: an id that is cut is of no use."""

    title: str
    below: str = ""  # the title of the column that it goes below where the terminal is too narrow for one line each row
    drop: int = 0  # how soon it is left out where that is not enough: the highest first, 0 never
    narrow: int = 0  # the fewest characters that it may be narrowed to; 0 leaves it as wide as its longest line


@dataclass(frozen=True, slots=True)
class _Stack:
    """Columns of which each is below the one before, as one."""

    columns: Sequence[Column]
    cells: Sequence[Sequence[str]]  # the title first, then each row; a line for each column

    @property
    def natural(self) -> int:
        return max(cell_len(line) for cell in self.cells for line in cell)

    @property
    def least(self) -> int:
        return min(self.natural, self.columns[0].narrow or self.natural)


def table_lines(columns: Sequence[Column], rows: Sequence[Row], width: int | None = None) -> list[str]:
    """Draw a table for a terminal `width` columns wide, or as wide as it is. A column without any value is left out."""
    kept = [n for n in range(len(columns)) if any(row[n] for row in rows)]
    flat = _stacks(columns, rows, kept, stacked=False)
    if width is None or _total([one.natural for one in flat]) <= width:
        return list(_drawn(flat, [one.natural for one in flat]))
    stacks = _stacks(columns, rows, kept, stacked=True)
    while _total([one.least for one in stacks]) > width and any(columns[n].drop for n in kept):
        kept.remove(max(kept, key=lambda n: columns[n].drop))
        stacks = _stacks(columns, rows, kept, stacked=True)
    return list(_drawn(stacks, _widths(stacks, width)))


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _stacks(columns: Sequence[Column], rows: Sequence[Row], kept: Sequence[int], *, stacked: bool) -> list[_Stack]:
    """Group the columns that are kept: each alone, or with those that go below it."""
    titles = {columns[n].title for n in kept}
    groups: dict[str, list[int]] = {}
    for n in kept:
        goes_below = stacked and columns[n].below in titles
        groups.setdefault(columns[n].below if goes_below else columns[n].title, []).append(n)
    table: list[Row] = [[column.title for column in columns], *rows]
    return [
        _Stack([columns[n] for n in group], [_cell_lines(row[n] for n in group) for row in table])
        for group in groups.values()
    ]


def _cell_lines(cells: Iterable[Cell]) -> list[str]:
    lines = [[cell] if isinstance(cell, str) else cell for cell in cells if cell]
    return [line for some in lines for line in some] or [""]


def _widths(stacks: Sequence[_Stack], width: int) -> list[int]:
    """Narrow the columns that may be, the one with most to spare first, until all fit or none can be any more."""
    widths = [one.natural for one in stacks]
    while (excess := _total(widths) - width) > 0:
        spare = [now - one.least for now, one in zip(widths, stacks, strict=True)]
        widest = spare.index(max(spare))
        if not spare[widest]:
            break
        widths[widest] -= min(excess, spare[widest])
    return widths


def _drawn(stacks: Sequence[_Stack], widths: Sequence[int]) -> Iterator[str]:
    columns = [[_narrowed_all(cell, width) for cell in one.cells] for one, width in zip(stacks, widths, strict=True)]
    for number, row in enumerate(zip(*columns, strict=True)):
        for line in zip_longest(*row, fillvalue=""):
            yield (" " * GAP).join(map(_padded, line, widths)).rstrip()
        if number == 0:
            yield "─" * _total(widths)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def _narrowed_all(lines: Sequence[str], width: int) -> list[str]:
    return [part for line in lines for part in narrowed(line, width)]


def narrowed(line: str, width: int) -> list[str]:
    """Return a cell's line in lines of at most `width`: broken at blanks; a longer word loses its middle."""
    return [_without_middle(part, width) for part in _broken(line, width, WORD)]


def _without_middle(word: str, width: int) -> str:
    """Return a word with an ellipsis for its middle: names of trials differ at their ends."""
    if cell_len(word) <= width:
        return word
    end = (width - 1) // 2
    return f"{set_cell_size(word, width - 1 - end)}…{set_cell_size(word[::-1], end)[::-1]}"


def wrapped(line: str, width: int | None) -> str:
    """Return a line broken into several that fit: no id, path or command is broken, and columns keep their place."""
    if width is None or cell_len(line) <= width:
        return line
    start = _start(line, width)
    return "\n".join(_broken(line[start:], width, WORD_OR_COMMAND, line[:start], " " * (start or GAP)))


def _start(line: str, width: int) -> int:
    """Return where the text of a line begins, behind what stands in columns, unless that leaves little for it."""
    begin = IN_COLUMNS.match(line)
    found = begin.end() if begin else 0
    return found if found <= width // 2 else len(line) - len(line.lstrip())


def _broken(text: str, width: int, word: re.Pattern[str], start: str = "", indent: str = "") -> list[str]:
    """Break a text that follows on `start` into lines, all but the first with an indent."""
    lines = [start]
    for blanks, piece in word.findall(text):
        if lines[-1] != start and cell_len(lines[-1] + blanks + piece) > width:
            lines.append(indent + piece)
        else:
            lines[-1] += blanks + piece
    return lines
