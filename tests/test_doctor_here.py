"""What the doctor finds on this computer: ssh, computer, the registry, and how long credentials last."""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest

from ec2lab.aws.identity import end_of_credentials
from ec2lab.doctor.checks import computer, ssh
from ec2lab.doctor.checks.account import Credentials, Quotas, Regions, Tags
from ec2lab.doctor.checks.registry import RegistryHealth
from ec2lab.doctor.context import open_readonly
from ec2lab.doctor.runner import run_checks
from ec2lab.registry.file_registry import FileRegistry
from ec2lab.registry.record import Event, Record
from tests.lab_directory import VARIABLES

TABLE = "dynamodb://us-east-1/team"


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in (*VARIABLES, "SSH_AUTH_SOCK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir(mode=0o700)
    return tmp_path


@pytest.fixture
def look(lab, home):
    """Make one check; return its findings by id."""

    def found(check):
        with open_readonly(lab.path, "") as looked_at:
            return {finding.diagnosis.id: finding for _, finding in run_checks(looked_at, [check])}

    return found


@pytest.fixture
def key(home):
    """A key pair in ~/.ssh."""
    path = home / ".ssh" / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def test_a_key_with_a_passphrase_opens_nothing_until_it_is_in_the_agent(lab, look, home, key, monkeypatch):
    lab.write("members/zoe.toml", f'keys = ["{key.with_suffix(".pub").read_text().strip()}"]\n')
    subprocess.run(["ssh-keygen", "-q", "-p", "-a", "1", "-P", "", "-N", "secret", "-f", key], check=True)
    monkeypatch.setenv("MEMBER", "zoe")
    monkeypatch.setenv("SSH_AUTH_SOCK", "")
    locked = look(ssh.Ssh())["key-locked"]
    assert locked.text == f"zoe's key ~/.ssh/{key.name} has a passphrase, and is not in the agent"
    assert locked.remedy == f"`ssh-add ~/.ssh/{key.name}`"


def test_a_members_key_is_looked_for_in_ssh_and_in_the_agent(lab, look, home, key, monkeypatch):
    public = key.with_suffix(".pub").read_text().strip()
    assert set(look(ssh.Ssh())) == {"ssh-client"}, "without members there is nothing to compare with"
    lab.write("members/zoe.toml", f'keys = ["{public}"]\n')
    for user, named in (("bob", "bob"), ("root", "…"), ("Bob Ross", "…")):
        monkeypatch.setattr(ssh, "local_user", lambda user=user: user)
        assert f"`make user-add NAME={named}` adds you" in look(ssh.Ssh())["not-a-member"].remedy
    monkeypatch.setenv("MEMBER", "zoe")
    assert look(ssh.Ssh())["key-found"].text.endswith("is in ~/.ssh")
    socket = Path(tempfile.mkdtemp()) / "agent"  # a short path: since OpenSSH 10.1 an agent's own is below HOME
    agent = subprocess.run(["ssh-agent", "-c", "-a", socket], capture_output=True, text=True, check=True).stdout
    told = dict(line.split()[1:3] for line in agent.splitlines() if line.startswith("setenv"))
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", told["SSH_AUTH_SOCK"].rstrip(";"))
        subprocess.run(["ssh-add", "-q", str(key)], check=True)
        key.unlink()
        assert look(ssh.Ssh())["key-found"].text.endswith("is in the agent")
        subprocess.run(["ssh-add", "-q", "-D"], check=True)
        assert "key-not-here" in look(ssh.Ssh())
    finally:
        os.kill(int(told["SSH_AGENT_PID"].rstrip(";")), 15)
    monkeypatch.setenv("MEMBER", "nobody-here")
    assert look(ssh.Ssh())["no-such-member"].diagnosis.severity == "error"


def test_files_that_others_may_reach_are_named_with_what_closes_them(lab, look, home, key):
    key.chmod(0o644)
    (home / ".ssh" / "config").write_text("")
    (home / ".ssh" / "config").chmod(0o666)
    (lab.path / ".ssh").mkdir()
    (lab.path / ".ssh").chmod(0o777)
    with open_readonly(lab.path, "") as looked_at:
        found = [(f.diagnosis.id, f.remedy) for _, f in run_checks(looked_at, [ssh.Ssh()])]
    assert ("refused-by-ssh", "`chmod 600 ~/.ssh/id_ed25519`") in found
    assert ("refused-by-ssh", "`chmod 600 ~/.ssh/config`") in found
    assert any(identity == "open-to-others" and remedy.endswith("/lab/.ssh`") for identity, remedy in found)


def test_an_include_of_this_lab_is_seen_and_one_of_a_lab_that_is_gone_is_named(lab, look, home):
    own = lab.path / ".ssh" / "hosts"
    (home / ".ssh" / "config").write_text(f'Include "{own}/*"\nInclude /gone/.ssh/hosts/*\n')
    found = look(ssh.Ssh())
    assert "ssh-included" in found
    assert "/gone/.ssh/hosts/*" in found["stale-include"].text
    assert str(own) in found["stale-include"].remedy


def test_a_missing_or_an_old_ssh_is_named(look, home, monkeypatch):
    programs = home / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    assert set(look(ssh.Ssh())) == {"no-ssh"}
    (programs / "ssh").write_text("#!/bin/sh\necho 'OpenSSH_7.4p1, OpenSSL 1.0.2k-fips' >&2\n")
    (programs / "ssh").chmod(0o755)
    assert look(ssh.Ssh())["ssh-outdated"].text == "OpenSSH_7.4p1 is older than 7.6"


def test_what_is_installed_is_held_against_the_lock_and_old_tools_are_named(look, monkeypatch, home):
    assert computer.differing(f"boto3=={boto3.__version__} \\\n    --hash=sha256:0\n") == []
    assert computer.differing("boto3==0.1 \\\nnone-such==1\n") == [
        f"boto3 {boto3.__version__} (not 0.1)", "none-such is missing (not 1)",
    ]  # fmt: skip
    assert set(look(computer.Versions())) == {"versions"}
    assert platform.python_version() in look(computer.Versions())["versions"].text
    monkeypatch.setattr(computer, "differing", lambda _: ["boto3 0.1 (not 2)"])
    monkeypatch.setattr(computer, "make_version", lambda: "3.80")
    monkeypatch.setattr(computer, "OLDEST_PYTHON", (4, 0))
    assert set(look(computer.Versions())) == {"python-outdated", "make-outdated", "lockfile-mismatch", "versions"}


def test_a_registry_is_told_to_be_well_with_how_much_is_in_it(lab, look):
    assert set(look(RegistryHealth())) == {"registry-not-created-yet"}
    for _ in range(3):
        FileRegistry(lab.registry).append(Record(event=Event.ANNOTATION, annotation={"hello": "world"}))
    before = lab.registry.read_bytes()
    (found,) = look(RegistryHealth()).values()
    assert found.text == "registry.json: 3 records, 0 live resources"
    assert lab.registry.read_bytes() == before


def test_a_torn_or_an_open_registry_is_named_and_left_as_it_is(lab, look):
    lab.registry.write_bytes(
        b'[\n{"event":"annotation","id":"%s","time":"2026-11-26T10:00:00.000Z"},\n{"event":"ann' % (b"1" * 32)
    )
    lab.registry.chmod(0o644)
    found = look(RegistryHealth())
    assert set(found) == {"registry-torn", "registry-not-private", "registry-readable"}
    assert found["registry-not-private"].text.endswith("(mode 644)")
    assert lab.registry.read_bytes().endswith(b'"ann')


@pytest.mark.parametrize(
    "garbage", [b"nonsense", b'[\n{"event":"annotation","id":"1","time":"t","format":99}\n]\n', b"{}"]
)
def test_a_registry_that_can_not_be_read_is_wrong_and_everything_else_is_looked_at(lab, home, garbage):
    lab.registry.write_bytes(garbage)
    with open_readonly(lab.path, "") as looked_at:
        found = [(check.name, f.diagnosis.severity) for check, f in run_checks(looked_at, [Quotas(), RegistryHealth()])]
    assert ("quotas", "ok") in found
    assert ("registry", "error") in found
    assert lab.registry.read_bytes() == garbage


def test_where_it_can_not_be_written_or_the_disk_fills_up_is_named(look, lab, monkeypatch):
    lab.registry.write_text("[\n]\n")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root, as in a container, may write to anything
    assert look(RegistryHealth())["registry-not-writable"].diagnosis.severity == "error"
    monkeypatch.undo()
    for free, found in ((2**30, None), (100 * 2**20, "disk-low"), (2**20, "disk-full")):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        assert {"disk-low", "disk-full"} & set(look(RegistryHealth())) == ({found} if found else set())


def test_what_was_never_settled_and_who_died_at_work_is_named_and_who_is_at_work_is_left_alone(lab, look):
    intent = Record(
        event=Event.INTENT, experiment="demo", service="ec2", region="us-east-1", operation="RunInstances",
        script="launch",
        request={"ClientToken": "1" * 32, "TagSpecifications": [{"ResourceType": "instance", "Tags": []}]},
    )  # fmt: skip
    FileRegistry(lab.registry).append(intent)
    locks = lab.path / "registry.json.locks"
    locks.mkdir()
    (locks / "ended").write_text("")
    (locks / "demo").write_text("launch (alice@laptop:7, since 2026-11-24T10:00:00Z)")
    found = look(RegistryHealth())
    assert "make launch EXP=demo" in found["unresolved-intent"].remedy
    assert found["stale-lock"].text.startswith("demo: launch (alice@laptop:7")
    with (locks / "demo").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        found = look(RegistryHealth())
    assert set(found) == {"registry-readable", "lock-held"}


def test_a_table_is_looked_at_without_being_made_and_its_backups_are(look, cloud, monkeypatch):
    monkeypatch.setenv("REGISTRY", TABLE)
    assert set(look(RegistryHealth())) == {"registry-not-created-yet"}
    assert cloud.calls("CreateTable") == []
    dynamodb = cloud.client("dynamodb", "us-east-1")
    keys = (("place", "HASH"), ("id", "RANGE"))
    dynamodb.create_table(
        TableName="team", BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
    )  # fmt: skip
    found = look(RegistryHealth())
    assert {"table-not-backed-up", "table-not-protected"} <= set(found)
    assert "--table-name team" in found["table-not-backed-up"].remedy
    cloud.scenario(faults=[{"action": "DescribeTable", "code": "AccessDeniedException"}])
    assert set(look(RegistryHealth())) == {"registry-unreadable"}


def test_a_table_of_somebody_elses_is_named_as_that_and_left_alone(look, lab, cloud, monkeypatch):
    monkeypatch.setenv("REGISTRY", TABLE)
    dynamodb = cloud.client("dynamodb", "us-east-1")
    dynamodb.create_table(
        TableName="team", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
    )  # fmt: skip
    found = look(RegistryHealth())
    assert set(found) == {"no-registry"}
    assert "its keys are pk (HASH), not place (HASH) and id (RANGE)" in found["no-registry"].text
    line = lab.run("status", REGISTRY=TABLE).error
    assert line.startswith("error: dynamodb://us-east-1/team: the table team is no registry: ")
    line = lab.run("launch", EXP="demo", REGISTRY=TABLE).error
    assert "is no registry" in line
    assert cloud.calls("CreateTable") == cloud.calls("UpdateContinuousBackups") == []


def test_a_table_made_a_moment_ago_is_waited_for(lab, cloud):
    cloud.scenario(unknown={"table": 60})
    assert lab.run("launch", EXP="demo", REGISTRY=TABLE).code == 0
    assert len(cloud.calls("CreateTable")) == 1


def test_a_table_in_use_is_well_and_who_holds_an_experiment_there_is_told(lab, look, cloud, monkeypatch):
    monkeypatch.setenv("REGISTRY", TABLE)
    with open_readonly(lab.path, "") as looked_at:
        looked_at.opened.registry.append(Record(event=Event.ANNOTATION, annotation={"made": "the table"}))
    assert set(look(RegistryHealth())) == {"registry-readable"}
    lease = {
        "place": "lease",
        "id": "demo",
        "token": "1" * 32,
        "holder": "stop (bob@desk:1, since noon)",
        "process": "",
    }
    item = {key: {"S": value} for key, value in lease.items()} | {"until": {"N": "99999999999"}}
    cloud.client("dynamodb", "us-east-1").put_item(TableName="team", Item=item)
    assert look(RegistryHealth())["lock-held"].text == "demo: stop (bob@desk:1, since noon) is running"


@pytest.mark.parametrize(("renewed", "known"), [(False, True), (True, False)])
def test_a_sign_in_that_is_not_renewed_tells_when_it_ends(home, monkeypatch, renewed, known):
    config = home / "config"
    config.write_text(
        "[profile lab]\nsso_session = team\nsso_account_id = 111122223333\nsso_role_name = research\n"
        "[sso-session team]\nsso_start_url = https://example.awsapps.com/start\nsso_region = us-east-1\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    cache = home / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    token = {"accessToken": "x", "expiresAt": "2999-01-01T00:00:00Z", **({"refreshToken": "y"} if renewed else {})}
    (cache / f"{hashlib.sha1(b'team', usedforsecurity=False).hexdigest()}.json").write_text(json.dumps(token))
    ends = end_of_credentials(boto3.Session(profile_name="lab"))
    assert (ends is not None) == known
    if ends:
        assert ends.year == 2999


def test_a_directory_that_cannot_be_written_is_one_finding_and_no_sign_in_mends_it(lab):
    (lab.path / ".local-cloud").unlink()
    lab.write(".local-cloud", "in the way")
    with open_readonly(lab.path, "") as looked_at:
        found = [finding for _, finding in run_checks(looked_at, [Credentials(), Regions(), Tags()])]
    (problem,) = [finding for finding in found if finding.diagnosis.severity == "error"]
    assert "can't be made private" in problem.text
    assert problem.remedy == ""
    assert {finding.diagnosis.id for finding in found} - {problem.diagnosis.id} == {"check-skipped"}
