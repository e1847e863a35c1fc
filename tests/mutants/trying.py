"""Runs the tests of a module for each change to it, in a copy of the repository.

Each run is forked from this process, which has loaded what all tests load, but nothing of the repository's own.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from tests.mutants.changes import changes

REPOSITORY = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__")
OWN = ("scripts", "ec2lab", "local_cloud", "tests")
PRELOADED = ("boto3", "hypothesis", "jinja2", "moto", "pydantic", "rich.table", "sh", "typer", "xdist", "yaml")
OPTIONS = ("-q", "-x", "-n", "0", "-p", "no:randomly", "-p", "no:cacheprovider", "--hypothesis-profile", "mutants")
settings.register_profile(
    "mutants", deadline=None, max_examples=50, derandomize=True, database=None, phases=(Phase.explicit, Phase.generate)
)
"""One example that fails is enough, and need not be the smallest."""
PATIENCE = 60
"""Seconds for the tests of one change. What goes on for ever is noticed by whoever waits for it."""


class WithoutCloud:
    """Leaves out the tests that run scripts on a local cloud: they take seconds, for each of a thousand changes."""

    @staticmethod
    def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
        """Keep the others."""
        items[:] = [item for item in items if "cloud_directory" not in getattr(item, "fixturenames", ())]


@contextmanager
def copied_repository() -> Iterator[Copy]:
    """Copy the repository, and load what its tests load."""
    for name in PRELOADED:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as place:
        yield Copy(Path(shutil.copytree(REPOSITORY, Path(place, "repository"), ignore=LEFT_OUT)))


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of the repository, of which one module at a time is changed."""

    root: Path

    def survivors(self, module: str, tests: list[str]) -> tuple[int, set[tuple[str, ...]]]:
        """Return how many changes a module was tried with, and those that its tests did not notice."""
        path = self.root / module
        source = path.read_text()
        if not self.passes(tests, unchanged=True):
            said = self.output.read_text(errors="replace")
            sys.exit(f"{said}\nerror: {module}: its tests fail without a change: {' '.join(tests)}")
        every, alive = 0, set()
        for change in changes(source):
            path.write_text(change.source)
            every += 1
            alive |= {change.lines} if self.passes(tests) else set()
        path.write_text(source)
        return every, alive

    @property
    def output(self) -> Path:
        """What the last tests said."""
        return self.root / ".output"

    def passes(self, tests: list[str], *, unchanged: bool = False) -> bool:
        """Run tests in a process of their own; say whether they pass. The bytecode of what is unchanged is kept."""
        pid = os.fork()
        if pid == 0:
            self._become(tests, unchanged=unchanged)
        deadline = time.monotonic() + PATIENCE
        while True:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return status == 0
            if time.monotonic() > deadline:
                os.killpg(pid, signal.SIGKILL)
            time.sleep(0.01)

    def _become(self, tests: list[str], *, unchanged: bool) -> None:
        os.setsid()
        output = os.open(self.output, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(output, stream)
        os.chdir(self.root)
        sys.dont_write_bytecode = not unchanged
        sys.path[0] = str(self.root)
        for name in [name for name in sys.modules if name.partition(".")[0] in OWN]:
            del sys.modules[name]
        sys.pycache_prefix = str(self.root / ".bytecode")
        os._exit(pytest.main([*OPTIONS, *tests], plugins=[WithoutCloud()]))
