"""import-linter holds the layers of ec2lab (`make lint`); docs/architecture.md shows the same."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONTRACT = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]


def test_the_documented_layers_are_those_that_the_linter_holds():
    _, section = (ROOT / "docs" / "architecture.md").read_text().split("## Layers\n")
    rows = re.findall(r"^((?:\w+, )*\w+)  +\w", section.split("```")[1], re.MULTILINE)
    assert rows == [", ".join(re.split(r" [:|] ", layer)) for layer in CONTRACT["layers"][:-1]]
