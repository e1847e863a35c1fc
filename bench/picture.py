"""docs/benchmarks.svg: bars, with a whisker from the least to the most, readable on light and on dark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from bench.result import Row, Table

WIDTH, LEFT, RIGHT = 760, 190, 90
"""Of the picture, of the names at its left, and of the numbers at its right."""
BAR, GAP, HEADING = 16, 6, 34
STYLE = """
    text { font: 12px system-ui, sans-serif; fill: #24292f }
    .title { font-weight: 600 }
    .whisker { stroke: #24292f; stroke-width: 1.2 }
    .c0 { fill: #0969da } .c1 { fill: #bc4c00 } .c2 { fill: #8c959f } .c3 { fill: #1a7f37 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .whisker { stroke: #e6edf3 }
      .c0 { fill: #4493f8 } .c1 { fill: #db6d28 } .c2 { fill: #9198a1 } .c3 { fill: #3fb950 }
    }
"""
COLOURS = 4


def picture(tables: Sequence[Table]) -> str:
    """Return an SVG document with a group of bars for each table, each group on its own scale from nothing."""
    parts, top = [], 10
    for table in tables:
        parts += group(table, top)
        top += HEADING + len(table.rows) * (BAR + GAP)
    size = f'width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n'
        f"  <title>Benchmarks of ec2-lab</title>\n  <style>{STYLE}  </style>\n" + "".join(parts) + "</svg>\n"
    )


def group(table: Table, top: int) -> Iterator[str]:
    """Yield one table's title and bars, from `top` downwards."""
    yield f'  <text class="title" x="0" y="{top + 14}">{escape(table.title)}</text>\n'
    longest = max(row.sample.most for row in table.rows) or 1.0
    for number, row in enumerate(table.rows):
        yield from bar(row, table.unit, number, top + HEADING - 8 + number * (BAR + GAP), longest)


def bar(row: Row, unit: str, number: int, top: int, longest: float) -> Iterator[str]:
    """Yield one contender's name, bar, whisker and median."""
    scale = (WIDTH - LEFT - RIGHT) / longest
    median, least, most = (value * scale for value in (row.sample.median, row.sample.least, row.sample.most))
    middle, baseline = top + BAR / 2, top + BAR - 4
    yield f'  <text x="{LEFT - 8}" y="{baseline}" text-anchor="end">{escape(row.name)}</text>\n'
    yield f'  <rect class="c{number % COLOURS}" x="{LEFT}" y="{top}" width="{median:.1f}" height="{BAR}" rx="2"/>\n'
    yield f'  <path class="whisker" d="M{LEFT + least:.1f} {middle}H{LEFT + most:.1f}"/>\n'
    yield f'  <text x="{LEFT + max(median, most) + 6:.1f}" y="{baseline}">{row.sample.median:.2f} {unit}</text>\n'
