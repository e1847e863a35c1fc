"""What .ci/run installs is what the tests want."""

import pytest

from tests.emulators.emulator import MINISTACK, ROTO
from tests.lab_directory import REPOSITORY

pytestmark = pytest.mark.emulator


@pytest.mark.parametrize("emulator", [MINISTACK, ROTO], ids=lambda emulator: emulator.name)
def test_ci_installs_the_version_that_is_documented(emulator):
    assert f"install_tool {emulator.name} {emulator.requirement} &" in (REPOSITORY / ".ci/run").read_text()
    assert f"pip install {emulator.requirement}\n" in (REPOSITORY / "docs/emulators.md").read_text()
