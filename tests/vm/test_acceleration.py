"""An accelerator is used when a kernel has started under it, and not for its name."""

import pytest

from tests.vm.acceleration import EMULATION, choose, starts

pytestmark = pytest.mark.vm


def test_a_kernel_starts_under_emulation_and_under_nothing_that_is_not_there(image):
    assert starts(image, EMULATION, patience=120)
    assert not starts(image, "no-such-accelerator")
    assert not starts(image, EMULATION, patience=0), "slower than it would be worth"


def test_what_was_chosen_first_is_chosen_by_all(image, tmp_path, monkeypatch):
    monkeypatch.delenv("VM_ACCEL")
    (tmp_path / "decided").write_text("what another process has found")
    assert choose(image, tmp_path / "decided") == "what another process has found"
    monkeypatch.setenv("VM_ACCEL", "named")
    assert choose(image, tmp_path / "decided") == "named"
