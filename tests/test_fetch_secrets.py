"""An instance gathers its command's secrets: all arrive byte for byte, or one line says which can't be had."""

import json
import os
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ec2lab.config.secrets import SecretSource
from ec2lab.hosts.program_packer import program
from tests.changed_constants import sent_with
from tests.vm.metadata import answers, serve

ODD = ' two\n"lines"\r\n\t$HOME `id` \\n\\\n é 🤗 # ; \x07\x1b[31m=end\\ '


@pytest.fixture
def fetched(cloud, tmp_path):
    """A function that gathers secrets by their sources; returns how that ended, and what was written."""
    known = answers("i-0123456789abcdef0", "us-east-1", b"", cloud.secret)
    server = serve(known)
    (tmp_path / "run").mkdir()
    own = {"/opt/ec2-lab": str(tmp_path), "/run/ec2-lab": str(tmp_path / "run"), "(1, 2, 4, 8, 15, 30, 60)": "(0, 0)"}
    text = program("fetch-secrets.py")
    for constant, mine in own.items():
        assert text.count(constant) > 0
        text = text.replace(constant, mine)

    def fetch(delivered=None, **sources):
        told = {name: SecretSource.parse(source).as_sent() for name, source in sources.items()}
        (tmp_path / "secrets.json").write_text(json.dumps(told))
        if delivered is not None:
            (tmp_path / "run/secrets.json").write_text(json.dumps(delivered))
        inherited = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
        service = f"http://127.0.0.1:{server.server_address[1]}"
        variables = {"AWS_ENDPOINT_URL": cloud.url, "AWS_EC2_METADATA_SERVICE_ENDPOINT": service}
        command = [sys.executable, "-I", "-c", text]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env={**inherited, **variables})
        return done, {path.name: path.read_bytes().decode() for path in sorted((tmp_path / "run").iterdir())}

    yield fetch, known
    server.shutdown()
    server.server_close()


def test_secrets_of_every_source_are_gathered_for_root_alone_and_what_was_brought_goes(fetched, cloud, tmp_path):
    fetch, _ = fetched
    cloud.client("ssm", "us-east-1").put_parameter(Name="/speech/hf", Value=ODD, Type="SecureString")
    manager = cloud.client("secretsmanager", "eu-west-1")
    arn = manager.create_secret(Name="wandb", SecretString=json.dumps({"key": ODD, "n": 1}))["ARN"]
    done, files = fetch({"A": ODD}, A="env:A", B="ssm:/speech/hf", C=f"secretsmanager:{arn}#key")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert files.keys() == {"secrets.env"}
    assert (tmp_path / "run/secrets.env").stat().st_mode & 0o777 == 0o600
    assert read_back(files["secrets.env"]) == {"A": ODD, "B": ODD, "C": ODD}


def test_what_is_missing_or_denied_is_one_line_with_awss_own_words_and_no_value(fetched, cloud):
    fetch, known = fetched
    manager = cloud.client("secretsmanager", "us-east-1")
    manager.create_secret(Name="wandb", SecretString=json.dumps({"n": 1}))
    manager.create_secret(Name="plain", SecretString="hunter2")
    manager.create_secret(Name="bytes", SecretBinary=b"hunter2")
    denied = {"action": "GetParameter", "code": "AccessDeniedException", "message": "you may not", "status": 400}
    cloud.scenario(faults=[denied])
    done, files = fetch(
        None, A="env:A", B="ssm:/b", C="secretsmanager:wandb#key", D="secretsmanager:plain#key",
        E="secretsmanager:none", F="secretsmanager:wandb#n", G="secretsmanager:bytes",
    )  # fmt: skip
    assert (done.returncode, files.keys()) == (1, {"never-began"})
    line = files["never-began"]
    for said in (
        "the command never started: secrets: A (env:A): lost, because the instance rebooted before the command began",
        "B (ssm:/b): AccessDeniedException in us-east-1: you may not (`make setup-aws` shows the policy",
        "C (secretsmanager:wandb): has no key 'key'", "D (secretsmanager:plain): is no JSON object",
        "E (secretsmanager:none): ResourceNotFoundException in us-east-1: Secrets Manager can't find the specified s",
        "F (secretsmanager:wandb): has no text at 'n'", "G (secretsmanager:bytes): is not text",
    ):  # fmt: skip
        assert said in line
    assert "\n" not in line
    assert "hunter2" not in line + done.stdout + done.stderr
    del known["meta-data/iam/security-credentials/writer"]
    assert "the instance has no instance profile" in fetch(None, B="ssm:/b")[1]["never-began"]


def test_what_waiting_changes_is_tried_again(fetched, cloud):
    fetch, _ = fetched
    cloud.client("ssm", "us-east-1").put_parameter(Name="b", Value="it", Type="SecureString")
    cloud.scenario(faults=[{"action": "GetParameter", "code": "ThrottlingException", "status": 400, "times": 2}])
    assert read_back(fetch(None, B="ssm:b")[1]["secrets.env"]) == {"B": "it"}
    cloud.scenario(faults=[{"action": "GetParameter", "kind": "html-503"}])
    assert "B (ssm:b): 503 in us-east-1" in fetch(None, B="ssm:b")[1]["never-began"]


def read_back(text):
    """Read an environment file as systemd does (src/basic/env-file.c), in so far as we write them: all in quotes."""
    found, rest = {}, text
    while rest:
        name, value, rest = re.match(r'(\w+)="((?:\\.|[^\\"])*)"\n(.*)', rest, re.DOTALL).groups()
        found[name] = re.sub(r'\\([\\"$`])', r"\1", value)
    return found


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_every_value_is_quoted_so_that_systemd_reads_the_same(value):
    values = {}
    exec(compile(program("fetch-secrets.py"), "fetch-secrets.py", "exec"), values)  # noqa: S102 - our own template
    assert read_back(values["assignment"]("A", value)) == {"A": value}


def test_no_run_waits_for_its_secrets_for_ever(tmp_path):
    """Its end is written down once nobody has delivered them, and not where somebody has."""
    late = sent_with("delivery-deadline.py", LIMIT="0").replace("/var/lib/ec2-lab/instance", str(tmp_path))
    subprocess.run([sys.executable, "-I", "-c", late], check=True, capture_output=True)
    why = "the command never started: its secrets were not delivered within an hour of the boot"
    ended = json.loads((tmp_path / "ended.json").read_text())
    assert (ended["exit_code"], ended["why"]) == (1, why)
    assert (tmp_path / "delivered").read_text() == why, "what a launch that goes on says"
    (tmp_path / "delivered").write_text("a run")
    (tmp_path / "ended.json").unlink()
    subprocess.run([sys.executable, "-I", "-c", late], check=True)
    assert not (tmp_path / "ended.json").exists()
