"""Credentials: one line for each way in which there are none, and one MFA code for all commands of an hour."""

import fcntl
import os
import pty
import stat
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from ec2lab.aws.clients import Clients
from ec2lab.aws.credentials import CredentialsProblem, expect_credentials
from ec2lab.config.models import Lab

MFA = "arn:aws:iam::123456789012:mfa/alice"
ROLE = "arn:aws:iam::123456789012:role/researcher"
SSO = "sso_session = team\nsso_account_id = 111122223333\nsso_role_name = research\n"
TEAM = "[sso-session team]\nsso_start_url = https://example.awsapps.com/start\nsso_region = us-east-1\n"


@pytest.fixture
def aws(lab, cloud, tmp_path, monkeypatch):
    """A lab on AWS, which is the local cloud here; returns what writes ~/.aws/config, and the environment."""
    home = tmp_path / "home"
    (home / ".aws").mkdir(parents=True)
    lab.write("lab.toml", 'cloud = "aws"\nprofile = "lab"\nregions = ["us-east-1", "us-west-2"]\n')
    environment = {"HOME": str(home), "AWS_ENDPOINT_URL": cloud.url, "AWS_EC2_METADATA_DISABLED": "true"}

    def configure(text):
        (home / ".aws" / "config").write_text(text)
        return environment

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return configure


def problem_with(profile="lab"):
    """What is said of a profile's credentials in this process."""
    lab = Lab(cloud="aws", profile=profile, regions=["us-east-1"])
    with pytest.raises(CredentialsProblem) as raised:
        expect_credentials(Clients(lab, Path()).session)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("config", "said", "command"),
    [
        ("", "lab.toml: profile: there is no profile 'lab'", "`aws configure sso --profile lab` makes it"),
        ("[profile lap]\n", '(did you mean "lap"?)', "`aws configure list-profiles`"),
        ("[profile lab]\n", "profile lab: Unable to locate credentials", "`aws configure sso --profile lab`"),
        (f"[profile lab]\n{SSO}{TEAM}", "profile lab: Error loading SSO Token", "`aws sso login --profile lab`"),
        (f"[profile lab]\n{SSO}", "The specified sso-session does not exist", "`aws configure sso --profile lab`"),
        ("[profile lab]\ncredential_process = sh -c 'echo no vault >&2; exit 3'\n", "no vault",
         "`aws configure get credential_process --profile lab`"),
        (f"[profile lab]\nrole_arn = {ROLE}\nsource_profile = nobody\n", '"nobody"', "correct ~/.aws/config"),
        ("[profile lab]\naws_access_key_id = AKIA\n", "missing: aws_secret_access_key", "set both keys"),
        ("[profile lab\n", "Unable to parse config file", "correct ~/.aws/config"),
    ],
)  # fmt: skip
def test_each_cause_is_a_line_with_what_fixes_it(aws, config, said, command):
    aws(config)
    line = problem_with()
    assert said in line
    assert command in line


def test_without_any_profile_the_profiles_that_there_are_are_named(aws):
    aws("")
    assert "`aws configure sso --profile NAME`" in problem_with(None)
    aws("[profile team]\n")
    assert 'profile = "team"' in problem_with(None)


def test_a_role_that_may_not_be_assumed_is_no_matter_of_the_labs_own_policy(aws, cloud):
    aws(f"[profile lab]\nrole_arn = {ROLE}\nsource_profile = user\n{user(cloud)}")
    denied = {"action": "AssumeRole", "code": "AccessDenied"}
    cloud.scenario(faults=[{**denied, "message": "User alice is not authorized to perform: sts:AssumeRole"}])
    line = problem_with()
    assert "AssumeRole: AccessDenied: User alice is not authorized" in line
    assert "trust policy" in line
    assert "iam-policy" not in line
    cloud.scenario(
        faults=[{**denied, "message": "MultiFactorAuthentication failed with invalid MFA one time pass code."}]
    )
    assert "wait for the next one" in problem_with()


def user(cloud):
    return f"[profile user]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = {cloud.secret}\n"


def detached(lab, script, environment, terminal=None):
    """Run a script in a session of its own, with a terminal or without any."""

    def take():
        if terminal is not None:
            fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)

    return subprocess.Popen(
        [sys.executable, "-m", f"scripts.{script}"], cwd=lab.path, env=lab.environment(**environment), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        preexec_fn=take, pass_fds=[] if terminal is None else [terminal],
    )  # fmt: skip


def test_one_mfa_code_serves_all_commands_of_an_hour_and_the_registry_too(lab, aws, cloud):
    environment = aws(
        f"[profile lab]\nrole_arn = {ROLE}\nsource_profile = user\nmfa_serial = {MFA}\n{user(cloud)}"
    ) | {"REGISTRY": "dynamodb://us-east-1/team"}  # fmt: skip
    out, err = (unasked := detached(lab, "status", environment)).communicate(timeout=30)
    assert (unasked.returncode, out) == (1, "")
    assert err.startswith("error: profile lab needs an MFA code, and there is no terminal to prompt on; ")
    assert err.count("\n") == 1
    typing, terminal = pty.openpty()
    asked = detached(lab, "status", environment, terminal)
    assert b"MFA code" in os.read(typing, 200)
    os.write(typing, b"123456\n")
    _, err = asked.communicate(timeout=30)
    assert (asked.returncode, err) == (0, "")
    assert lab.run("status", **environment).code == 0
    assumed = cloud.calls("AssumeRole")
    assert [call["params"]["TokenCode"] for call in assumed] == ["123456"]
    (kept,) = (Path(environment["HOME"]) / ".aws" / "cli" / "cache").glob("*.json")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_session_that_is_over_names_the_region_the_call_and_the_login(lab, aws, cloud):
    environment = aws(user(cloud).replace("[profile user]", "[profile lab]"))
    assert lab.run("datasets", **environment).code == 0
    cloud.scenario(faults=[{"action": "*", "code": "ExpiredToken", "message": "The security token is expired"}])
    line = lab.run("setup_aws", **environment).error
    assert " in us-east-1: " in line
    assert "ExpiredToken: The security token is expired" in line
    assert "`aws sso login --profile lab`" in line


@pytest.mark.parametrize("script", ["setup_aws", "launch", "audit"])
def test_a_script_without_credentials_says_so_in_one_line(lab, aws, cloud, script):
    environment = aws("[profile lab]\n")
    line = lab.run(script, EXP="demo", **environment).error
    assert line.startswith("error: profile lab: Unable to locate credentials; ")
    assert cloud.calls() == []


def test_doctor_says_what_fixes_credentials_and_not_that_an_author_can(lab, aws):
    environment = aws(f"[profile lab]\n{SSO}{TEAM}") | {"REGISTRY": "dynamodb://us-east-1/team"}
    ended = lab.run("doctor", JSON="1", **environment)
    (finding,) = [one for one in ended.events if one.get("check") == "credentials"]
    assert (finding["severity"], finding["finding"]) == ("error", "identity-unknown")
    assert finding["remedy"] == "`aws sso login --profile lab`"
    others = {one.get("finding") for one in ended.events if one.get("check") == "registry"}
    assert others == {"check-skipped"}
    assert "author" not in ended.out
