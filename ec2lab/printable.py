"""Makes text from outside safe to print: terminals obey control characters.

Tags, records, logs and the output of hosts come from others. A sequence that begins with ESC can rewrite the screen,
set the clipboard or the title; a bidirectional override shows a name in another order.
"""

from __future__ import annotations

import os
import re
import unicodedata

SGR = re.compile(r"\x1b\[[0-9;:]{0,60}m")  # colors and the like, ended by the empty one (ECMA-48, 8.3.117)
DRAWING = re.compile(r"\x1b\[(?:[02]?K|A|\?25[hl])")
"""What a progress bar needs for drawing: erase, cursor up, hide the cursor."""
LONGEST = 2000  # characters of others' text in a line; AWS's longest, an encoded authorization message, is shorter
RESET = "\x1b[0m"  # resets colors


def printable(text: str) -> str:
    r"""Return a line with every character visible: others are written as \x1b, \u202e or \n."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or unicodedata.category(c) == "Zs" else _escaped(c) for c in text)


def printable_document(text: str) -> str:
    """Return text of several lines, with tabs, and every other character visible."""
    return "\n".join(map(_with_tabs, text.split("\n")))


def printable_log(line: str) -> str:
    """Return a line of a log in its own colors; everything else is shown, not obeyed."""
    line = line.rstrip("\r\n").rpartition("\r")[2]  # a progress bar overwrites itself
    line = DRAWING.sub("", line)
    if line.isprintable():
        return line
    pieces, colors = SGR.split(line), SGR.findall(line)
    shown = [_with_tabs(pieces[0])]
    for color, piece in zip(colors, pieces[1:], strict=True):
        shown += [color, _with_tabs(piece)]
    return "".join(shown) + (RESET if colors else "")


def without_colors(line: str) -> str:
    return printable(SGR.sub("", DRAWING.sub("", line)).replace("\t", " "))


def shortened(text: str, longest: int = LONGEST) -> str:
    """Shorten text to be embedded in a line of ours, unless DEBUG=1."""
    if len(text) <= longest or os.environ.get("DEBUG") == "1":
        return text
    return f"{text[:longest].rstrip()}… ({len(text) - longest:,} more characters; DEBUG=1 shows all)"


def _with_tabs(text: str) -> str:
    return "\t".join(printable(part) for part in text.split("\t"))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
