"""Fixtures of instances that are real hosts, for scripts that work on one."""

import pytest

from tests.hosts.conftest import alice_key, debian, host, host_with_sshd, key_pairs  # noqa: F401
from tests.hosts.test_data import speech  # noqa: F401
from tests.hosts.test_mount_volumes import disks  # noqa: F401


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Begin with the races, which take their minute however many processors there are."""
    items.sort(key=lambda item: "test_team" not in item.nodeid)
