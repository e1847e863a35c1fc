"""Programs of templates/ run on the Python that a host has: 3.9 on Amazon Linux 2023 and Rocky 9, 3.13 on Debian 13."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ec2lab.hosts.program_packer import program, sent, with_modules
from ec2lab.templates import TEMPLATES

PROGRAMS = sorted(path.name for path in TEMPLATES.glob("*.py"))
LOADING = """
import json, sys, types
for name, text in json.load(sys.stdin).items():
    module = sys.modules["program"] = types.ModuleType("program")  # dataclasses look their module up
    exec(compile(text, name, "exec", dont_inherit=True), module.__dict__)
print("%d.%d" % sys.version_info[:2])
"""


def test_programs_use_nothing_that_python_3_9_lacks(tmp_path):
    for name in PROGRAMS:
        (tmp_path / name).write_text(program(name))
    vermin = [sys.executable, "-c", "import vermin; vermin.main()"]
    options = ["--quiet", "--no-tips", "--violations", "--target=3.9-"]
    found = subprocess.run([*vermin, *options, *PROGRAMS], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def loaded_by(*python):
    """Load all programs, and return the version that the interpreter says it has."""
    over_ssh = "volumes-over-ssh.py"  # it imports another, and goes with that as a whole
    texts = {name: program(name) for name in PROGRAMS if name != over_ssh}
    texts |= {f"{name}, sent": sent(name) for name in texts}
    texts[over_ssh] = with_modules(over_ssh, "mount-volumes.py")
    command = [*python, "-I", "-c", LOADING]
    loaded = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, check=False)
    assert loaded.returncode == 0, loaded.stderr
    return loaded.stdout.strip()


@pytest.mark.every_release
def test_programs_load_as_they_are_and_as_they_are_sent(debian):
    expected = {"bookworm": "3.11", "trixie": "3.13", "bullseye": "3.9"}
    release = next(line for line in (debian / "etc/os-release").read_text().splitlines() if "VERSION_CODENAME" in line)
    assert loaded_by("chroot", debian, "python3") == expected[release.partition("=")[2]]


def interpreters(version):
    """Yield what may be Python of a version here: commands, which may be pyenv's and end in vain, and pyenv's own."""
    yield from (Path(directory, f"python{version}") for directory in os.get_exec_path())
    yield from Path.home().glob(f".pyenv/versions/{version}.*/bin/python")


@pytest.mark.parametrize("version", ["3.10", "3.12"])
def test_programs_load_on_the_python_of_ubuntu(version):
    """22.04 has 3.10, 24.04 has 3.12."""
    for python in interpreters(version):
        if python.exists() and subprocess.run([python, "--version"], capture_output=True, check=False).returncode == 0:
            assert loaded_by(python) == version
            return
    pytest.skip(f"no Python {version} is here: pyenv install {version}, or the package of your distribution")
