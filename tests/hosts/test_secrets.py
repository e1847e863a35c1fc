"""A lab's whole day, and no secret of it in the registry, a log, a file, a command line or on the screen."""

import base64
import gzip
from pathlib import Path

import pytest

from tests.hosts.instance import be_the_instance
from tests.hosts.test_first_password import typed_at_a_terminal
from tests.lab_directory import REPOSITORY

PASSWORD = "rattle beacon 4711 glacier"
COMMAND = "echo what-the-command-is-and-no-log-tells"
AWS = {
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIK7MDENGbPxRfiCYsecretKEY",
    "AWS_SESSION_TOKEN": "IQoJb3JpZ2luX2VjsecretTOKEN",
}
PARAMETER = "hf_ThisIsATokenOfAModelHub"
OWN_SCRIPT = f"""
from pathlib import Path
from ec2lab.session import locked_session
with locked_session("demo", "own") as session:
    ec2, ssm = session.cloud.ec2("us-east-1"), session.cloud.client("ssm", "us-east-1")
    ssm.put_parameter(Name="hub", Value="{PARAMETER}", Type="SecureString")
    assert ssm.get_parameter(Name="hub", WithDecryption=True)["Parameter"]["Value"] == "{PARAMETER}"
    made = session.cloud.client("sts", "us-east-1").assume_role(
        RoleArn="arn:aws:iam::123456789012:role/lab", RoleSessionName="lab")["Credentials"]
    pair = ec2.create_key_pair(KeyName="own")
    Path("../secrets").write_text("\\n".join([made["SecretAccessKey"], made["SessionToken"], pair["KeyMaterial"]]))
"""


def lines_of(key):
    """The lines of a private key that tell something of it."""
    return [line for line in key.splitlines() if line and not line.startswith("-----")]


def user_data_of(cloud):
    """The user data of the one instance, as cloud-init reads it."""
    (instance,) = [thing for thing in cloud.inventory() if thing["kind"] == "instance"]
    asked = {"InstanceId": instance["id"], "Attribute": "userData"}
    told = cloud.client("ec2", instance["region"]).describe_instance_attribute(**asked)
    sent = base64.b64decode(told["UserData"]["Value"])
    return (gzip.decompress(sent) if sent.startswith(b"\x1f\x8b") else sent).decode()


@pytest.fixture
def watched(lab, tmp_path):
    """A lab whose every process tells which commands it starts."""
    commands = tmp_path / "commands"
    watching = {"COMMANDS": str(commands), "PYTHONPATH": f"{REPOSITORY / 'tests/watched_processes'}:{REPOSITORY}"}
    plain = lab.environment
    lab.environment = lambda **variables: plain(**watching, **AWS, **variables)
    lab.home = str(tmp_path / "home")
    return lab


def test_no_secret_is_to_be_read_anywhere_after_a_days_work(watched, cloud, host_with_sshd, alice_key, tmp_path):
    lab, screens = watched, []
    lab.write("lab.toml", 'regions = ["us-east-1"]\n[accounts]\nsudo = "password"\nadministrators = ["alice"]\n')
    lab.write("experiments/demo.toml", f"instance_types = ['c6i.large']\ncommand = '{COMMAND}'\n")

    def run(script, **variables):
        ended = lab.run(script, HOME=lab.home, **variables)
        screens.append(ended.out + ended.err)
        return ended

    assert run("launch", EXP="demo").code == 0
    user_data = user_data_of(cloud)
    assert COMMAND in user_data, "as nothing is delivered to it"
    be_the_instance(cloud, lab, host_with_sshd, "alice", alice_key)
    host_with_sshd.accounts({"members": {"alice": {"keys": [alice_key.line], "sudo": "nopasswd"}}})
    lab.write("members/bob.toml", f'keys = ["{alice_key.line}"]\ngroups = ["sudo"]\n')
    added = run("user_add", NAME="carol")
    assert added.code == 0, added.err
    (private,) = [p for p in Path(lab.home, ".ssh").iterdir() if "carol" in p.name and p.suffix != ".pub"]
    asked = {"HOST": "demo", "NAME": "bob", "PASSWORD": "ask", "MEMBER": "alice"}
    screen, lines = typed_at_a_terminal(lab, [PASSWORD, PASSWORD], **asked)
    assert "password set" in screen
    screens.append(screen)
    lab.write("own.py", OWN_SCRIPT)
    own = lab.run_file("own.py")
    assert own.code == 0, own.err
    for script, variables in (
        ("status", {}), ("users", {"HOST": "demo", "DRY_RUN": "1"}), ("stop", {"EXP": "demo"}),
        ("start", {"EXP": "demo"}), ("audit", {}), ("launch", {"EXP": "demo", "DEBUG": "1"}),
        ("teardown", {"EXP": "demo"}),
    ):  # fmt: skip
        run(script, MEMBER="alice", **variables)

    secrets = [PASSWORD, COMMAND, PARAMETER, *AWS.values(), *(tmp_path / "secrets").read_text().splitlines()[:2]]
    secrets += lines_of((tmp_path / "secrets").read_text().partition("\n-----BEGIN")[2])
    secrets += lines_of(private.read_text()) + lines_of(alice_key.file.read_text())
    assert len(secrets) > 12
    assert all(len(secret) > 8 for secret in secrets)

    commands = (tmp_path / "commands").read_text() + repr(lines)
    assert "ssh" in commands
    assert "scripts.launch" in commands, "the watch works"
    logs = [lab.path / ".local-cloud/server.log"]
    kept = [f for f in lab.path.rglob("*") if f.is_file() and f.parent.name != ".local-cloud"]
    kept = [f for f in kept if f.name not in ("demo.toml", "own.py")]
    assert lab.registry in kept
    for secret in secrets:
        assert secret not in commands, "in a process's arguments"
        assert secret == COMMAND or secret not in user_data, "in user data"
        assert not [s for s in screens if secret in s], "on a screen"
        assert not [f for f in [*kept, *logs] if secret in f.read_text(errors="replace")], "in a file"
    assert "(secret)" in lab.registry.read_text(), "what there was is marked"
