"""How tests are shared out among the processes that run them: the longest begin first, what is dear is made once.

The order is random but for that: pytest-randomly shuffles all others, and the longest among themselves.
"""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.lab_directory import REPOSITORY

LONGEST = (
    "tests/hosts/test_data.py",
    "tests/hosts/test_policy.py",
    "tests/hosts/test_secrets.py",
    "tests/local_cloud/test_stand_in.py",
    "tests/registries/test_file_processes.py",
    "tests/registries/test_long_history.py",
    "tests/test_bench.py",
    "tests/test_distributed_examples.py",
    "tests/test_documented_commands.py",
    "tests/test_report.py",
    "tests/test_screens.py",
    "tests/test_sweep.py",
    "tests/test_scenario.py",
)
"""Files with tests of many seconds. Begun last, one of them would be waited for by all other processes."""
VIRTUAL_MACHINES = (
    "tests/vm/test_container.py",
    "tests/vm/test_outputs.py",
    "tests/vm/test_run.py",
    "tests/vm/test_ttl.py",
    "tests/vm/test_acceleration.py",
    "tests/vm/test_launched_instance.py",
    "tests/vm/test_onboarding.py",
    "tests/vm/test_bucket_build.py",
)
"""In the order in which they begin. A process has its next file while it runs one, so long ones are kept apart."""
TOGETHER = {
    "tests/hosts/test_first_boot.py": "a Debian root with cloud-init",
    "tests/hosts/test_user_data.py": "a Debian root with cloud-init",
    "tests/test_accounts.py": "a second cloud",
    "tests/test_pull_from_s3.py": "an AWS CLI",
    "tests/test_report_in_browser.py": "a browser",
    "tests/test_botocore_cache.py": "botocore's data",
    "tests/test_upload_log.py": "an AWS CLI",
}
"""Files that share what takes seconds to make: the tests of those with the same are all run by one process."""

assert all((REPOSITORY / name).exists() for name in (*LONGEST, *TOGETHER, *VIRTUAL_MACHINES))


class InOneProcess(LoadScopeScheduling):
    """Gives each process the next test when it is done with one, and tests that belong together to one process.

    The mark xdist_group would do that, but pytest 9.2 keeps the ids of tests elsewhere than xdist 3.8 writes them.
    """

    def _split_scope(self, nodeid: str) -> str:
        return TOGETHER.get(nodeid.partition("::")[0], nodeid)


def longest_first(items: list[pytest.Item]) -> None:
    """Put the longest tests first, those on virtual machines in their order, and leave the order as it is otherwise."""
    first = {REPOSITORY / name: -1 for name in LONGEST}
    first |= {REPOSITORY / name: place for place, name in enumerate(VIRTUAL_MACHINES)}
    items.sort(key=lambda item: first.get(item.path, len(first)))
