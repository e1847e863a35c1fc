"""What looks like a secret is seen, by its name or its form, and what a model calls a token is not."""

import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ec2lab.secret_detection import FORMS, names_a_secret, secret_in, secret_in_command

SECRETS = [
    "token", "hf_token", "HF_TOKEN", "hfToken", "hftoken", "HUGGING_FACE_HUB_TOKEN", "GITHUB_TOKEN", "wandb_api_key",
    "WANDB_API_KEY", "apiKey", "apikey", "openai_key", "KAGGLE_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
    "auth_tokens", "password", "db_password", "PGPASSWORD", "MYSQL_PWD", "passwd", "passphrase", "secret",
    "client_secret", "SECRETS", "credential", "credentials", "auth", "basic_auth", "auth_header", "private_key",
    "signing_key", "token_value", "password2", "secret_string", "hf_token_base64", "bearer", "oauth_token",
    "aws_token",
]  # fmt: skip
NONE = [
    "lr", "seed", "epochs", "max_tokens", "num_tokens", "tokens", "tokenizer", "tokenizer_name", "pad_token",
    "eos_token", "bos_token", "mask_token", "unk_token", "sep_token", "subtoken", "pad_token_id", "token_dropout",
    "tokens_per_batch", "bytes_per_token", "token_type", "author", "key", "keys", "primary_key", "public_key",
    "num_key_value_heads", "key_dim", "secret_name", "secret_arn", "token_file", "password_file", "api_key_id",
    "use_auth_token", "no_auth", "auth_method", "access", "credentials_path", "class_token", "image_token", "n_token",
    "passes", "passive",
]  # fmt: skip
OF_EACH_KIND = {
    "an AWS access key": "AKIA" + "Q5ZR7JXWDT2M4KPN",
    "a Hugging Face token": "hf_" + "ThisIsATokenOfAModelHubForOneAndAll",
    "a GitHub token": "ghp_" + "0123456789abcdefghijABCDEFGHIJ012345",
    "a GitLab token": "glpat-" + "0123456789abcdefghij",
    "an API key": "sk-proj-" + "aB3dE-fGhIjKlMnOpQrStUvWxYz0123456789",
    "a Slack token": "xoxb-" + "1234567890-abcdefghij",
    "a Google API key": "AIza" + "SyA0123456789abcdefghijABCDEFGHIJ01",
    "the address of a webhook": "https://hooks.slack.com/services/" + "T01234567/B01234567/abcdefghijABCDEFGHIJ0123",
    "a Google token": "ya29." + "a0AfH6SMC0123456789abcdefghij",
    "an Azure key": "AccountKey=" + "0123456789abcdefghijABCDEFGHIJ0123456789abcdefgh==",
    "a signature that lets its bearer in": "sig=" + "0123456789abcdefghijABCDEFGHIJ0123456789abc%3D",
    "an NVIDIA key": "nvapi-" + "0123456789abcdefghijABCDEFGHIJ",
    "a Replicate token": "r8_" + "0123456789abcdefghijABCDEFGHIJ0123456",
    "a Groq key": "gsk_" + "0123456789abcdefghijABCDEFGHIJ0123456789abcdefghij",
    "a LangSmith key": "lsv2_pt_" + "0123456789abcdef0123456789abcdef_0123456789",
    "a Docker Hub token": "dckr_pat_" + "0123456789abcdefghijABCDEFG",
    "a Vault token": "hvs." + "0123456789abcdefghijABCDEFG",
    "a DigitalOcean token": "dop_v1_" + "0123456789abcdef0123456789abcdef0123456789abcdef",
    "a Stripe key": "sk_live_" + "0123456789abcdefABCD",
    "an npm token": "npm_" + "0123456789abcdefghijABCDEFGHIJ012345",
    "a PyPI token": "pypi-AgE" + "IcHlwaS5vcmcCJDAxMjM0NTY3",
    "a private key": "-----BEGIN OPENSSH PRIVATE " + "KEY-----",
    "a JSON web token": "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTYifQ" + ".SflKxwRJSMeKKF2QT4",
    "a password in an address": "postgresql://speech:" + "rattle-beacon@db.example.org/speech",
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_name_that_says_so_is_a_secret(name):
    assert names_a_secret(name)


@pytest.mark.parametrize("name", NONE)
def test_a_name_that_only_sounds_alike_is_none(name):
    assert not names_a_secret(name)


@pytest.mark.parametrize(("kind", "secret"), OF_EACH_KIND.items())
def test_each_issuers_form_is_seen_wherever_it_stands(kind, secret):
    assert secret_in(secret) == kind
    assert secret_in(f"x,{secret} y") == kind
    assert secret_in_command(f"curl -H 'X: {secret}' example.org") == kind


def test_every_form_has_an_example():
    assert OF_EACH_KIND.keys() == FORMS.keys()


@pytest.mark.parametrize(
    "text",
    [
        "task-refactor-the-data-loader-2026-11", "sk-learn-based-feature-extraction-v2", "hf_transfer", "ghp_short",
        "disk-usage-by-day", "https://example.org:8080/a@b", "s3://lab-runs/speech", "xoxo", "AKIA",
        "https://user:$PASSWORD@example.org", "meta-llama/Llama-3.1-8B-Instruct", "2026-11-24T10:00:00Z",
        "d41d8cd98f00b204e9800998ecf8427e", "hf_model_for_everything_2026", "git@github.com:speech/train.git",
        "arn:aws:iam::123456789012:role/lab",
    ],
)  # fmt: skip
def test_what_runs_are_full_of_is_no_secret(text):
    assert secret_in(text) is None
    assert secret_in_command(f"train --name {text} tag={text}") is None


letters = st.text(string.ascii_letters + string.digits + "_-./: =", max_size=60)
MARKS = ("AKIA", "ASIA", "hf_", "gh", "gl", "sk-", "xox", "AIza", "k_live", "npm_", "pypi", "eyJ", "://", "---",
         "hooks.", "api/webhooks", "ya29.", "GOCSPX-", "AccountKey=", "sig=", "Signature=", "nvapi-", "r8_", "gsk_",
         "lsv2_", "dckr_", "hvs.", "hvb.", "_v1_", "xapp-", "AGE-", "PuTTY-")  # fmt: skip


@given(letters.filter(lambda text: not any(mark in text for mark in MARKS)))
def test_without_an_issuers_mark_no_text_is_a_secret(text):
    assert secret_in(text) is None


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("HF_TOKEN=0123456789abcdef python3 train.py", "HF_TOKEN"),
        ("export WANDB_API_KEY='0123456789abcdef'\ntrain", "WANDB_API_KEY"),
        ("train --api-key 0123456789abcdef", "api-key"),
        ("train --password=correct4horse", "password"),
        ('python3 - <<E\ntoken = 1; api_key="abcdef0123456789"\nE', "api_key"),
    ],
)
def test_a_value_that_a_command_gives_a_secret_is_seen(command, named):
    assert secret_in_command(command) == f"a value for {named}"


@pytest.mark.parametrize(
    "command",
    [
        'export HF_TOKEN="$(aws secretsmanager get-secret-value --secret-id hub/token-2026 --query SecretString)"',
        "train --token $HF_TOKEN --api-key=${KEY} --token-file /run/secrets/token1 --password-stdin < /run/p4ssword",
        "train --pad-token '<pad>' --max-tokens 100000000 --eos-token=endoftext50256 --seed 12345678",
        "TOKEN=`cat /run/token1` PASSWORD=$(pass show lab2) train",
        "aws ssm get-parameter --name /lab/hub-token-1 --with-decryption --query Parameter.Value",
    ],
)
def test_a_command_that_fetches_its_secrets_holds_none(command):
    assert secret_in_command(command) is None


@pytest.mark.parametrize(
    "unit",
    ["a-", "sk-a", "_sk-", "-eyJaaaaaaaaaaa", "eyJa.", "a://b:", "-----BEGIN A ", "--a ", "a=", "hooks.slack.com/T"],
)
def test_a_text_is_looked_through_in_a_time_that_grows_with_it_alone(unit):
    """What somebody else wrote may be a megabyte; looked through again from each place, that takes an hour."""
    began = time.process_time()
    secret_in_command(unit * (100_000 // len(unit)))
    assert time.process_time() - began < 5
