"""Secrets of an experiment: its file names their sources, and no command tells a value."""

import json
import tomllib

import pytest

from ec2lab.config.models import Experiment
from ec2lab.runs.distributed_env import node_environments
from ec2lab.runs.launcher_secrets import launcher_secrets
from ec2lab.runs.upload import Delivery

TOKEN = "correct-horse-4711-battery"
FILE = """
instance_types = ["g5.xlarge"]
regions = ["us-east-1"]
command = "python3 train.py"
instance_profile = "reader"
on_interruption = "relaunch"
[secrets]
HF_TOKEN = "env:MY_HUB"
WANDB_API_KEY = "secretsmanager:wandb#key"
DB_PASSWORD = "ssm:/speech/db"
"""
MISSING = "demo: secrets: not set in this command's environment: MY_HUB (export MY_HUB=…)"


@pytest.fixture
def secretive(lab, cloud):
    """A lab whose experiment has a secret of each source."""
    cloud.client("iam", "us-east-1").create_instance_profile(InstanceProfileName="reader")
    lab.write("experiments/demo.toml", FILE)
    return lab


def test_a_plan_shows_names_and_sources_and_what_is_not_set_and_never_a_value(secretive):
    planned = secretive.run("plan", EXP="demo", JSON="1", MY_HUB=TOKEN)
    assert planned.code == 0, planned.err
    assert [event for event in planned.events if event["event"] == "planned-secret"] == [
        {"event": "planned-secret", "name": "HF_TOKEN", "source": "env:MY_HUB", "is_set": True},
        {"event": "planned-secret", "name": "WANDB_API_KEY", "source": "secretsmanager:wandb#key", "is_set": None},
        {"event": "planned-secret", "name": "DB_PASSWORD", "source": "ssm:/speech/db", "is_set": None},
    ]
    unset = secretive.run("plan", EXP="demo")
    assert "secret: HF_TOKEN from env:MY_HUB, which is not set here: a launch would refuse" in unset.out
    assert TOKEN not in planned.out + planned.err


def test_a_launch_without_a_variable_ends_in_one_line_before_aws_is_asked_for_anything(secretive, cloud):
    for empty in ({}, {"MY_HUB": ""}):
        ended = secretive.launch(**empty)
        assert (ended.code, ended.error) == (1, f"error: {MISSING}")
    odd = secretive.run("launch", EXP="demo", MY_HUB="\udcff")
    assert odd.error == "error: demo: secrets: not UTF-8 text: MY_HUB (give it in base64)"
    assert cloud.calls("RunInstances") == []


def test_a_sweep_says_so_once_and_a_rerun_has_the_same_secrets(secretive, cloud):
    assert secretive.launch(MY_HUB=TOKEN).code == 0
    again = secretive.run("rerun", EXP="demo", NEW_EXP="again")
    assert again.error == f"error: {MISSING.replace('demo', 'again')}"
    secretive.write("experiments/demo.toml", FILE.replace("[secrets]", "matrix = { seed = [1, 2] }\n[secrets]"))
    swept = secretive.run("sweep", EXP="demo")
    assert swept.error == f"error: {MISSING}"
    assert len(cloud.calls("RunInstances")) == 1
    assert TOKEN not in secretive.registry.read_text()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            'HF_TOKEN = "hunter2"',
            'secrets.HF_TOKEN: is not a source of a secret (try "env:HF_TOKEN", "ssm:/speech/hf" or',
        ),
        ('HF_TOKEN = "ssm:hunter 2"', "secrets.HF_TOKEN: is not a source of a secret"),
        ("HF_TOKEN = hunter2", "not TOML: Invalid value"),
        ('DB = "hunter2', "not TOML: "),
        ('secrets = { DB = "hunter2', "not TOML: "),
        ('DB = ["hunter2"]', "secrets.DB: is not a source of a secret"),
        ('secrets = "hunter2"', 'secrets: is not a table of sources (try { HF_TOKEN = "env:HF_TOKEN" })'),
        ('LD_PRELOAD = "env:HOME"', "secrets.LD_PRELOAD: 'LD_PRELOAD' is a variable of the system"),
        ('BASH_ENV = "env:HOME"', "secrets.BASH_ENV: 'BASH_ENV' is a variable of the system"),
        ('"a-b" = "env:HOME"', "secrets.a-b: 'a-b' can't be a secret's name"),
        ('lr = "env:LR"\n[parameters]\nlr = 0.1', "lr is in parameters and in secrets; remove it from one"),
    ],
)
def test_what_is_no_source_or_no_name_is_refused_and_never_repeated(secretive, line, said):
    before, header, _ = FILE.partition("[secrets]\n")
    secretive.write("experiments/demo.toml", f"{before}{header * (not line.startswith('secrets'))}{line}\n")
    ended = secretive.launch(DEBUG="1")
    assert ended.code == 1
    assert said in ended.err
    assert "hunter" not in ended.out + ended.err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("command", "secrets requires a command"),
        ("instance_profile", "secrets.WANDB_API_KEY requires an instance_profile that lets the instance read it"),
    ],
)
def test_what_secrets_need_is_said(secretive, line, said):
    secretive.write("experiments/demo.toml", "\n".join(w for w in FILE.splitlines() if not w.startswith(f"{line} =")))
    assert said in secretive.launch(MY_HUB=TOKEN).error


def test_the_set_up_shows_the_policy_of_each_profile_limited_to_its_secrets_and_images(secretive):
    arn = "arn:aws:ssm:eu-west-1:999999999999:parameter/shared"
    secretive.write(
        "experiments/other.toml", FILE.replace('regions = ["us-east-1"]', "").replace("ssm:/speech/db", f"ssm:{arn}")
    )
    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/speech:7@sha256:" + "a" * 64
    of_image = f'instance_types = ["g5.xlarge"]\ncommand = "x"\ninstance_profile = "reader"\ncontainer = "{image}"\n'
    secretive.write("experiments/boxed.toml", of_image)
    secretive.write("experiments/broken.toml", "instance_types = 5\n")
    secretive.write("lab.toml", 'regions = ["us-east-1", "us-west-2"]\n')
    shown = secretive.run("setup_aws", JSON="1")
    assert (shown.code, "experiments/broken.toml: instance_types: " in shown.err) == (0, True), shown.err
    account = secretive.account["account"]
    (event,) = [event for event in shown.events if event["event"] == "profile-policy"]
    secrets = [f"arn:aws:secretsmanager:{r}:{account}:secret:wandb-??????" for r in ("us-east-1", "us-west-2")]
    assert event["instance_profile"] == "reader"
    assert event["policy"]["Statement"] == [
        {"Effect": "Allow",
         "Action": ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
         "Resource": ["arn:aws:ecr:us-east-1:123456789012:repository/team/speech"]},
        {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": secrets},
        {"Effect": "Allow", "Action": "ssm:GetParameter",
         "Resource": [arn, f"arn:aws:ssm:us-east-1:{account}:parameter/speech/db"]},
        {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": ["*"]},
    ]  # fmt: skip
    assert json.dumps(event["policy"]) in secretive.run("setup_aws").out, "to be copied"


def test_every_node_is_sent_the_same_secrets_once_and_what_sends_them_shows_none(monkeypatch):
    monkeypatch.setenv("MY_HUB", TOKEN)
    nodes = [
        {"InstanceId": f"i-{n}", "PrivateIpAddress": f"10.0.0.{n}", "LaunchTime": "", "AmiLaunchIndex": n}
        for n in (1, 2)
    ]
    experiment = Experiment.model_validate(tomllib.loads(FILE.replace('on_interruption = "relaunch"', "nodes = 2")))
    delivery = Delivery("demo", experiment, None, nodes)
    environments = node_environments("demo", nodes)
    sent = [json.loads(delivery.header(environments[node["InstanceId"]])) for node in nodes]
    for told in sent:
        mode, text = told["files"]["/run/ec2-lab/secrets.json"]
        assert (mode, json.loads(text)) == ("0600", {"HF_TOKEN": TOKEN})
        assert json.dumps(told).count(TOKEN) == 1
    assert TOKEN not in repr(delivery) + str(delivery) + repr(launcher_secrets("demo", experiment))
    monkeypatch.setenv("MY_HUB", "another")
    assert json.loads(delivery.header({}))["run"] == sent[0]["run"], "a token that was renewed makes no other run"
