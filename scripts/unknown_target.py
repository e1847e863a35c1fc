"""Say which target is unknown, and which is meant: make runs this for a target without a rule, by any Python."""

import difflib
import os
import re
import sys
from pathlib import Path


def main() -> None:
    """Report the first goal in GOALS that the Makefile lacks."""
    makefile = (Path(__file__).parents[1] / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z][a-z-]*):.*## ", makefile, re.MULTILINE)
    unknown = next((goal for goal in os.environ["GOALS"].split() if goal not in targets), None)
    if unknown is None:
        sys.exit("error: a file that make needs is missing; restore it from git")
    close = [f"`make {target}`" for target in difflib.get_close_matches(unknown, targets, n=2)]
    meant = f"did you mean {' or '.join(close)}?" if close else "`make` lists the targets"
    shown = "".join(character if character.isprintable() else "?" for character in unknown)
    sys.exit(f"error: unknown target {shown!r} ({meant})")


if __name__ == "__main__":
    main()
