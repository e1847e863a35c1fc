"""Checks of this computer: its clock, the lab's files and plugins, the versions of all that runs here."""

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

from ec2lab.doctor.check import Check, Requirement
from ec2lab.doctor.context import CheckSkipped, DoctorContext
from ec2lab.findings import Finding, error, ok, warning

MAX_SKEW = 300  # seconds (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html)
NOTICEABLE = 30
FIX_NTP = "`sudo timedatectl set-ntp true` (macOS: `sudo sntp -sS time.apple.com`)"

CLOCK_OK = ok("clock-ok", "within {seconds} s of AWS's")
CLOCK_SKEWED = warning("clock-skew", "{seconds} s {direction} AWS's, which rejects calls from 300 s on", FIX_NTP)
CLOCK_SKEW_TOO_LARGE = error("clock-skew-too-large", "{seconds} s {direction} AWS's, which rejects all calls", FIX_NTP)


class Clock(Check):
    """Compared by the Date of AWS's response, which even an error has."""

    name = "clock"
    order = 41
    needs = Requirement.ANSWER

    def run(self, lab: DoctorContext) -> Iterator[Finding]:
        skew = lab.caller().skew
        if skew is None:
            raise CheckSkipped("AWS did not answer")
        off = max(0, round(abs(skew) - 1))  # a Date has no fractions
        found = CLOCK_SKEW_TOO_LARGE if off > MAX_SKEW else CLOCK_SKEWED if off > NOTICEABLE else CLOCK_OK
        if found is CLOCK_OK:
            yield found.of(seconds=1 + off)
        else:
            yield found.of(seconds=round(abs(skew)), direction="ahead of" if skew > 0 else "behind")


CONFIG_VALID = ok("config-valid", "lab.toml, {experiments} in experiments/, {members} in members/")
CONFIG_INVALID = error(
    "config-invalid", "{complaint}", "fix that line; `make new EXP=…` writes a file with every key explained"
)
NO_EXPERIMENT = warning("no-experiment", "experiments/ is empty", "`make new EXP=…` writes one")
NO_MEMBER = warning(
    "no-member", "members/ is empty: nobody can log in to an instance",
    "`make user-add NAME=… KEY=~/.ssh/id_ed25519.pub` adds you",
)  # fmt: skip
PLUGIN_LOAD_FAILED = error("plugin-broken", "{reason}", "fix or remove it; this check used only the built-in plugins")


class Files(Check):
    """lab.toml, every experiment, every member: all errors, not only the first."""

    name = "config-files"
    order = 10

    def run(self, lab: DoctorContext) -> Iterator[Finding]:
        files = lab.files
        for complaints in files.invalid.values():
            yield from (CONFIG_INVALID.of(complaint=complaint) for complaint in complaints)
        if lab.plugin_trouble:
            yield PLUGIN_LOAD_FAILED.of(reason=lab.plugin_trouble)
        if not files.experiments and not any(name.startswith("experiments/") for name in files.invalid):
            yield NO_EXPERIMENT.of()
        if not files.members and not any(name.startswith("members/") for name in files.invalid):
            yield NO_MEMBER.of()
        if not files.invalid:
            yield CONFIG_VALID.of(experiments=len(files.experiments), members=len(files.members))


REPOSITORY = Path(__file__).parents[3]
OLDEST_PYTHON = (3, 11)
OLDEST_MAKE = (3, 81)  # the version on macOS; the Makefile needs nothing newer
SHOWN = ("boto3", "botocore", "moto")

VERSIONS = ok("versions", "{versions}")
PYTHON_OLD = error(
    "python-outdated", "Python {found} is too old; ec2-lab requires 3.11",
    "`rm -r .venv`, then `make doctor PYTHON=python3.11`",
)  # fmt: skip
LOCKFILE_MISMATCH = warning(
    "lockfile-mismatch", "installed versions differ from requirements.lock: {subjects}",
    "`rm .venv/ready`; the next make installs them again",
)  # fmt: skip
MAKE_OLD = warning("make-outdated", "make {found} is older than 3.81", "install GNU make")


class Versions(Check):
    """Python, ec2-lab, its packages as pinned in requirements.lock, make. The AWS CLI is not needed."""

    name = "versions"
    order = 20

    def run(self, lab: DoctorContext) -> Iterator[Finding]:
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
        yield VERSIONS.of(versions=", ".join(known))


def differing(lock: str) -> list[str]:
    """Return the packages of a lock file that are missing or have another version."""
    pinned = re.findall(r"^([\w.-]+)==([^\s\\;]+)", lock, re.MULTILINE)
    return [
        f"{name} {_installed(name) or 'is missing'} (not {wanted})"
        for name, wanted in pinned
        if _installed(name) != wanted
    ]


def numbers(output: str) -> tuple[int, ...]:
    """Parse "4.3" into (4, 3)."""
    return tuple(int(number) for number in re.findall(r"\d+", output)[:2])


def make_version() -> str:
    """Return the version of GNU make; empty where there is none."""
    if not shutil.which("make"):
        return ""
    output = subprocess.run(["make", "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    found = re.search(r"GNU Make (\S+)", output)
    return found[1] if found else ""


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _ec2lab_version() -> str:
    return str(tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"])
