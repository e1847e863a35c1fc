"""Run the suite: `python -m tests`. COVERAGE=1 measures branches in the same run, and shows them by file."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from coverage import CoverageData

PACKAGES = [Path(name).resolve() for name in ("scripts", "ec2lab", "local_cloud")]
DATA = Path(".cache/coverage")
MEASURED = "not vm and not crash and not emulator and not host and not gpu and not bare"
"""What bears being measured; the few tests that do not are run after it as they are."""


MEMORY = Path("/dev/shm")
"""A file system in memory: a flush to disk, thousands of which the tests wait for, takes no time there."""
ROOM = 4 << 30
"""The bytes that must be free there; the tests write 0.7 GB."""


def run(*words: str) -> int:
    """Run a module of this Python, and return its exit code."""
    return subprocess.run([sys.executable, "-m", *words], check=False).returncode


def use_memory() -> None:
    """Have pytest's temporary directories lie in memory, if there is room, and programs can be run there."""
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK):
        found = os.statvfs(MEMORY)
        if found.f_bavail * found.f_frsize > ROOM and not found.f_flag & os.ST_NOEXEC:
            os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
            os.environ["PYTEST_ADDOPTS"] = f"-o tmp_path_retention_policy=failed {os.environ.get('PYTEST_ADDOPTS', '')}"


def name_all_files() -> None:
    """Have the report name every file, also one that nothing has run."""
    data = CoverageData(str(DATA / "data"), suffix="all")
    data.add_arcs({})  # this data is of branches
    data.touch_files(str(path) for package in PACKAGES for path in package.rglob("*.py"))
    data.write()


def measured() -> int:
    """Run every test once and report the branches; the report is shown even if a test fails."""
    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir(parents=True)
    codes = [
        run(
            "coverage",
            "run",
            f"--include={','.join(f'{package}/*' for package in PACKAGES)}",
            "-m",
            "pytest",
            "-m",
            MEASURED,
        ),
        run("pytest", "-m", "bare"),
    ]
    name_all_files()
    codes += [run("coverage", "combine", "--quiet"), run("coverage", "report")]
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    is_measured = os.environ.pop("COVERAGE", "")
    for name in ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS"):  # which hand COVERAGE to every make that a test runs
        os.environ.pop(name, None)
    use_memory()
    sys.exit(measured() if is_measured else run("pytest"))
