"""What docs/mutants.md says of changes that nobody can notice."""

from __future__ import annotations

import re
from pathlib import Path

EXPLAINED = Path(__file__).parents[2] / "docs/mutants.md"


def explained(module: str) -> set[tuple[str, ...]]:
    """Return the changes that the section of a module has: its diff blocks, without indentation."""
    _, _, after = EXPLAINED.read_text().partition(f"\n## `{module}`\n")
    blocks = re.findall(r"^```diff\n(.*?)^```", after.partition("\n## ")[0], re.DOTALL | re.MULTILINE)
    return {tuple(block.splitlines()) for block in blocks}
