"""What the lab is made of is pinned, whole, wanted, and comes from nowhere in particular."""

import re
import tomllib

import pytest

from tests.lab_directory import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
LOCKS = {
    "requirements.lock": [*PROJECT["dependencies"], *EXTRAS["local"]],
    "requirements-dev.lock": [*PROJECT["dependencies"], *EXTRAS["local"], *EXTRAS["dev"]],
}
COMMANDS = {
    "coverage",
    "import-linter",
    "mypy",
    "pip-tools",
    "pytest-xdist",
    "pytest-randomly",
    "pytest-timeout",
    "ruff",
    "types-boto3",
    "flask",
    "flask-cors",
}
"""What is run and not imported, or imported by another of them."""
SOURCES = ("scripts", "ec2lab", "local_cloud", "tests", "bench", "templates")
MODULES = {"pyyaml": "yaml", "pytest-mock": "mocker"}


def named(requirement):
    return re.match(r"[A-Za-z0-9-]+", requirement)[0].lower()


def pinned(lock):
    """Return the packages of a lock file with the hashes that are allowed."""
    text = (REPOSITORY / lock).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if re.match(r"[a-z0-9]", line)]
    return {line.partition("==")[0]: re.findall(r"--hash=sha256:[0-9a-f]{64}", line) for line in lines}


@pytest.mark.parametrize("lock", LOCKS)
def test_all_that_is_asked_for_is_pinned_and_each_has_its_hashes(lock):
    found = pinned(lock)
    assert {named(requirement) for requirement in LOCKS[lock]} <= found.keys()
    assert all(found.values()), [name for name, hashes in found.items() if not hashes]


def test_both_locks_pin_the_same_versions():
    versions = {
        lock: dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^ \\]+)", (REPOSITORY / lock).read_text(), re.MULTILINE))
        for lock in LOCKS
    }
    small, large = versions["requirements.lock"], versions["requirements-dev.lock"]
    assert small.items() <= large.items()


@pytest.mark.parametrize("lock", LOCKS)
def test_no_address_says_where_they_come_from(lock):
    text = (REPOSITORY / lock).read_text()
    assert "://" not in text
    assert not re.search(r"https?:|file:/|--index|--find-links|--extra-index", text)


def test_each_that_is_asked_for_is_used():
    sources = [path for place in SOURCES for path in (REPOSITORY / place).rglob("*.py")]
    text = "\n".join(path.read_text() for path in sources)
    for requirement in LOCKS["requirements-dev.lock"]:
        module = MODULES.get(named(requirement), named(requirement).replace("-", "_"))
        used = named(requirement) in COMMANDS or re.search(rf"\b(import|from) {module}\b|\b{module}[.(]", text)
        assert used, requirement
