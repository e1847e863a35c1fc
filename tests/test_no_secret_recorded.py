"""What looks like a secret is refused wherever it would be recorded, and no complaint repeats it."""

import pytest

TOKEN = "hf_" + "ThisIsATokenOfAModelHub0123456789"
EXPERIMENT = 'instance_types = ["g5.xlarge"]\n'


def refused(lab, cloud, script, **variables):
    """Return the complaint of a command that made nothing and wrote the secret nowhere."""
    ended = lab.run(script, **variables)
    assert ended.code == 1, ended.out
    assert TOKEN not in ended.out + ended.err
    assert not [
        f for f in lab.path.rglob("*") if f.suffix != ".toml" and f.is_file() and TOKEN in f.read_text("latin1")
    ]
    assert cloud.calls("RunInstances") == []
    return ended.error


@pytest.mark.parametrize(
    ("script", "words", "said"),
    [
        (
            "launch",
            f"hf_token={TOKEN}",
            "PARAMS: 'hf_token' looks like a secret: it would be recorded; name",
        ),
        (
            "launch",
            "lr=0.1 wandb_api_key=abc",
            "PARAMS: 'wandb_api_key' looks like a secret: it would be recorded; name",
        ),
        ("sweep", f"note={TOKEN}", "PARAMS: holds a Hugging Face token: it would be recorded"),
        ("plan", TOKEN, "PARAMS: holds a Hugging Face token"),
    ],
)
def test_parameters_chosen_by_hand(lab, cloud, script, words, said):
    lab.write("experiments/demo.toml", EXPERIMENT + "matrix = { seed = [1, 2] }\n")
    assert refused(lab, cloud, script, EXP="demo", PARAMS=words).startswith(f"error: {said}")


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[parameters]\nhub_token = 'x'\n", "parameters.hub_token: 'hub_token' looks like a secret"),
        (f"[parameters]\nnote = '{TOKEN}'\n", "parameters.note: holds a Hugging Face token: it would be recorded"),
        (f"[matrix]\nnote = ['a', '{TOKEN}']\n", "matrix.note[1]: holds a Hugging Face token"),
        (f"command = 'HF={TOKEN} train'\n", "command: holds a Hugging Face token: it would be recorded"),
        ("command = 'train --password=correct4horse'\n", "command: holds a value for password"),
        (
            f"[[scratch]]\nmount='/x'\nsize_gib=1\ndeletion_policy='retain'\nretain_for='1d'\nreason='{TOKEN}'\n",
            "reason: holds",
        ),
    ],
)
def test_what_stands_in_an_experiments_file(lab, cloud, toml, said):
    lab.write("experiments/demo.toml", EXPERIMENT + toml)
    line = refused(lab, cloud, "launch", EXP="demo")
    assert line.startswith("error: experiments/demo.toml: ")
    assert said in line


@pytest.mark.parametrize("tags", [f"{{ note = '{TOKEN}' }}", "{ hub_token = 'x' }"])
def test_the_labs_tags(lab, cloud, tags):
    lab.write("lab.toml", f'regions = ["us-east-1"]\ntags = {tags}\n')
    line = refused(lab, cloud, "launch", EXP="demo")
    assert "looks like a secret, and everybody in the account can read tags; leave it out" in line


def test_a_command_that_fetches_its_own_secrets_is_launched(lab, cloud):
    fetch = 'export HF_TOKEN="$(aws secretsmanager get-secret-value --secret-id hub --query SecretString)"'
    lab.write("experiments/demo.toml", EXPERIMENT + f"command = '''\n{fetch}\ntrain\n'''\n")
    ended = lab.launch()
    assert ended.code == 0, ended.err
