"""What is printed to be copied can be copied as it is: paths and names with spaces in it are quoted."""

import re
import subprocess

import pytest

from ec2lab.aws.errors import remedy_of
from ec2lab.config.lab_files import new_key_pair
from ec2lab.doctor.checks import ssh
from ec2lab.doctor.checks.registry import RegistryHealth
from ec2lab.doctor.context import open_readonly
from ec2lab.doctor.runner import run_checks
from ec2lab.errors import UserError
from ec2lab.hosts.ssh_config import SshConfig, SshTarget
from tests.lab_directory import LabDirectory


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with a key that others may read, and whose passphrase nobody has said."""
    home = tmp_path / "a home"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    for name, value in (("HOME", str(home)), ("MEMBER", "zoe"), ("SSH_AUTH_SOCK", "")):
        monkeypatch.setenv(name, value)
    key = home / ".ssh/a key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-a", "1", "-f", key], check=True)
    key.chmod(0o644)
    return home


@pytest.fixture
def spaced(tmp_path, home):
    """A lab in a directory, and with a registry, that have spaces in their names."""
    lab = LabDirectory(tmp_path / "a lab")
    lab.write("lab.toml", 'regions = ["us-east-1"]\nregistry = "the registry.json"\n')
    lab.write("the registry.json", "[\n]\n").chmod(0o644)
    lab.write("members/zoe.toml", f'keys = ["{(home / ".ssh/a key.pub").read_text().strip()}"]\n')
    lab.write(".ssh/config", "")
    (lab.path / ".ssh").chmod(0o777)
    return lab


def words(command):
    """A command as a shell divides it."""
    return subprocess.run(["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True).stdout


def test_the_include_that_a_launch_prints_is_one_that_ssh_reads(spaced, tmp_path):
    files = SshConfig(spaced.path)
    files.write("demo", [SshTarget("demo", "203.0.113.7", "i-0aaaaaaaaaaaaaaaa", "us-east-1")], None)
    (tmp_path / "config").write_text(f"{files.include_line}\n")
    told = subprocess.run(
        ["ssh", "-G", "-F", tmp_path / "config", "demo"], capture_output=True, text=True, check=True
    ).stdout
    assert "hostname 203.0.113.7\n" in told


def test_each_command_of_the_doctor_is_about_a_file_that_is_there(spaced, home):
    (home / ".ssh/config").write_text("Include /gone/.ssh/hosts/*\n")
    with open_readonly(spaced.path, "") as lab:
        found = {f.diagnosis.id: f.remedy for _, f in run_checks(lab, [ssh.Ssh(), RegistryHealth()])}
    key, registry = f"{home}/.ssh/a key", spaced.path / "the registry.json"
    commands = {name: re.findall("`(.*?)`", remedy) for name, remedy in found.items()}
    assert words(commands["key-locked"][0]) == f"ssh-add\n{key}\n"
    assert words(commands["refused-by-ssh"][0]) == f"chmod\n600\n{key}\n"
    assert words(commands["open-to-others"][0]) == f"chmod\ngo-w\n{spaced.path}/.ssh\n"
    assert words(commands["registry-not-private"][0]) == f"chmod\n600\n{registry}\n"
    assert commands["stale-include"] == [SshConfig(spaced.path).include_line]


def test_a_key_is_named_as_make_takes_it(spaced, home):
    for key, named in ((home / ".ssh", home / ".ssh/a key.pub"), (home / ".ssh/a key", home / ".ssh/a key.pub")):
        refused = spaced.run("user_add", NAME="bob", KEY=str(key)).error
        assert f"KEY='{named}'" in refused
    new_key_pair("bob")
    with pytest.raises(UserError, match=f"KEY='{home}/.ssh/ec2-lab-bob.pub'"):
        new_key_pair("bob")


def test_a_profile_is_named_as_the_aws_cli_takes_it(spaced):
    spaced.write("lab.toml", 'cloud = "aws"\nregions = ["us-east-1"]\n')
    refused = spaced.run("status", AWS_PROFILE="my profile").err
    assert "`aws configure sso --profile 'my profile'`" in refused
    assert "--profile 'my profile'" in remedy_of("ExpiredToken", "", "my profile")
