"""scripts/core is a house with floors: nothing leans on what stands above it."""

import re
from pathlib import Path

import pytest

from scripts import core

CORE = Path(core.__file__).parent
FLOORS = [line.split("  ")[0].split(", ") for line in re.findall(r"^    (.+)$", core.__doc__, re.MULTILINE)]
ROOMS = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
IMPORT = re.compile(r"^ *from scripts\.(\w+)(?:\.(\w+))?(?:\.\w+)? import", re.MULTILINE)


def test_every_room_stands_on_a_floor():
    assert {path.parent.name for path in CORE.glob("*/__init__.py")} == ROOMS.keys()


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_imports_from_a_floor_above(room):
    for path in (CORE / room).glob("*.py"):
        for top, other in IMPORT.findall(path.read_text()):
            assert ROOMS.get(other, 0) <= ROOMS[room], f"{path.name} of {room} imports from {other}"
            assert top == "core", f"{path.name} imports scripts.{top}"


def test_core_imports_no_script_and_no_plugin():
    for path in CORE.glob("*.py"):
        assert {top for top, _ in IMPORT.findall(path.read_text())} <= {"core"}, path.name
