"""Break the modules that decide, one change at a time, and list the changes that no test notices.

make mutants                        every module
make mutants ONLY=redaction         one of them

Exit status 1 if fewer than 95 % are noticed, or if docs/mutants.md does not say of each of the others, and of no more,
why nobody can notice it.
"""

from __future__ import annotations

import os
import sys
import time

from tests.mutants.explained import explained
from tests.mutants.modules import TESTS, tests_of
from tests.mutants.trying import copied_repository

GOAL = 0.95


def main() -> int:
    """Show a line for each module, and what docs/mutants.md lacks or has too much."""
    only = os.environ.get("ONLY", "")
    tried, noticed, wrong = 0, 0, 0
    with copied_repository() as copy:
        for module in TESTS:
            if only in module:
                began = time.monotonic()
                known = explained(module)
                every, alive = copy.survivors(module, tests_of(module))
                print(f"{module}: {every - len(alive)} of {every} noticed, {time.monotonic() - began:.0f} s")
                wrong += show("not noticed", alive - known) + show("explained, but noticed or not made", known - alive)
                tried, noticed = tried + every, noticed + every - len(alive)
    print(f"{noticed} of {tried} noticed, {noticed / tried:.1%}" if tried else f"ONLY: no module is called so: {only}")
    return int(not tried or noticed / tried < GOAL or bool(wrong))


def show(what: str, changes: set[tuple[str, ...]]) -> int:
    """Show changes as docs/mutants.md has them; return how many they are."""
    for lines in sorted(changes):
        print(f"  {what}:\n```diff", *lines, "```", sep="\n", flush=True)
    return len(changes)


if __name__ == "__main__":
    sys.exit(main())
