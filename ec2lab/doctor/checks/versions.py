"""The versions of all that runs here."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ec2lab.doctor.check import Check, Diagnosis, Finding, Severity
from ec2lab.doctor.context import DoctorContext

REPOSITORY = Path(__file__).parents[3]
OLDEST_PYTHON = (3, 11)
OLDEST_MAKE = (3, 81)
"""What macOS ships; the Makefile asks for nothing newer."""
SHOWN = ("boto3", "botocore", "moto")

VERSIONS = Diagnosis("versions", Severity.OK, "{told}")
PYTHON_OLD = Diagnosis(
    "python-outdated", Severity.WRONG, "Python {found} is too old, ec2-lab wants 3.11",
    "`rm -r .venv`, then `make doctor PYTHON=python3.11`",
)  # fmt: skip
LOCKFILE_MISMATCH = Diagnosis(
    "lockfile-mismatch", Severity.WARNING, "installed otherwise than requirements.lock says: {subjects}",
    "`rm .venv/ready`, and make installs it again",
)  # fmt: skip
MAKE_OLD = Diagnosis("make-outdated", Severity.WARNING, "make {found} is older than 3.81", "install GNU make")


class Versions(Check):
    """Python, ec2-lab, its packages as requirements.lock pins them, make. The aws-cli is not needed."""

    name = "versions"
    order = 20

    def look(self, lab: DoctorContext) -> Iterator[Finding]:
        """Compare with what is wanted."""
        del lab
        if sys.version_info < OLDEST_PYTHON:
            yield PYTHON_OLD.of(found=platform.python_version())
        make = make_version()
        if make and numbers(make) < OLDEST_MAKE:
            yield MAKE_OLD.of(found=make)
        if others := differing((REPOSITORY / "requirements.lock").read_text()):
            yield LOCKFILE_MISMATCH.of(*others)
        packages = [f"{name} {_installed(name) or 'not installed'}" for name in SHOWN]
        known = [
            f"ec2-lab {_ec2lab_version()}",
            f"Python {platform.python_version()}",
            *packages,
            f"make {make or 'not found'}",
        ]
        yield VERSIONS.of(told=", ".join(known))


def differing(lock: str) -> list[str]:
    """Return which packages of a lock file are installed in another version, or not at all."""
    pinned = re.findall(r"^([\w.-]+)==([^\s\\;]+)", lock, re.MULTILINE)
    return [
        f"{name} {_installed(name) or 'is missing'} (not {wanted})"
        for name, wanted in pinned
        if _installed(name) != wanted
    ]


def numbers(told: str) -> tuple[int, ...]:
    """Return "4.3" as (4, 3)."""
    return tuple(int(number) for number in re.findall(r"\d+", told)[:2])


def make_version() -> str:
    """Return the version of GNU make; nothing where there is none."""
    if not shutil.which("make"):
        return ""
    told = subprocess.run(["make", "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    found = re.search(r"GNU Make (\S+)", told)
    return found[1] if found else ""


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _ec2lab_version() -> str:
    return str(tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"])
