"""How tests are shared out among the processes that run them: the longest begin first, what is dear is made once.

The order is random but for that: pytest-randomly shuffles all others, and the longest among themselves.
"""

from __future__ import annotations

import pytest

from tests.lab_directory import REPOSITORY

LONGEST = (
    "tests/hosts/test_data.py",
    "tests/hosts/test_policy.py",
    "tests/hosts/test_secrets.py",
    "tests/registries/test_file_processes.py",
    "tests/registries/test_long_history.py",
    "tests/test_bench.py",
    "tests/test_distributed_examples.py",
    "tests/test_sweep.py",
    "tests/test_weather.py",
)
"""Files with tests of many seconds. Begun last, one of them would be waited for by all other processes."""
DEAR = ("aws_cli", "browser", "cloud_init", "cut_down", "second_cloud")
"""Fixtures that take seconds to make and then serve many tests: these are all run by one process."""

assert all((REPOSITORY / name).exists() for name in LONGEST)


def keep_together(items: list[pytest.Item]) -> None:
    """Have the tests of each dear fixture run in one process."""
    for item in items:
        for name in DEAR:
            if name in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.xdist_group(name))


def longest_first(items: list[pytest.Item]) -> None:
    """Put the longest tests first, and leave the order as it is otherwise."""
    longest = {REPOSITORY / name for name in LONGEST}
    items.sort(key=lambda item: item.path not in longest)
