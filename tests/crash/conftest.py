"""Fixtures of machines that are real hosts, for scripts that work on one."""

from tests.hosts.conftest import alice_key, debian, host, host_with_sshd, key_pairs  # noqa: F401
from tests.hosts.test_data import speech  # noqa: F401
from tests.hosts.test_mount_volumes import disks  # noqa: F401
