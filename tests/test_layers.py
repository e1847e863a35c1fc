"""import-linter holds the layers of ec2lab (`make lint`); what is checked here is that its contracts name all of it."""

import tomllib
from pathlib import Path

import ec2lab

HOUSE = Path(ec2lab.__file__).parent
CONTRACTS = tomllib.loads((HOUSE.parent / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def test_each_module_and_package_is_in_one_layer():
    """One that no contract names could import anything."""
    top = {path.stem for path in HOUSE.glob("*.py")} | {path.parent.name for path in HOUSE.glob("*/__init__.py")}
    named = [module for contract in CONTRACTS for module in contract["source_modules"] if "." in module]
    layered = [*named, *CONTRACTS[-3]["forbidden_modules"]]
    assert sorted(layered) == sorted(f"ec2lab.{name}" for name in top - {"__init__"})
