"""One registry, several accounts: what lives in one is neither gone nor touched from another."""

import json

import pytest

from ec2lab.registry.recorder import changes_something
from tests.live_resources import living_in

AWS = (
    'cloud = "aws"\nregions = ["us-east-1"]\n[network]\nssh_allowed_cidrs = ["10.0.0.0/8"]\n[ssh]\n'
    'boot_timeout = "0s"\n'
)
HERE = "us-east-1"
EXPERIMENT = 'instance_types = ["g5.xlarge"]\n'


def number_of(directory):
    return (directory / "account").read_text().strip()


@pytest.fixture
def launched(lab):
    """A lab whose experiment runs."""
    lab.write("experiments/demo.toml", EXPERIMENT)
    assert lab.launch().code == 0
    return lab


def test_from_another_account_it_is_named_and_neither_gone_nor_touched(
    launched, cloud, cloud_directory, second_cloud, second_cloud_directory
):
    launched.use(second_cloud_directory)
    ended = launched.run("teardown", EXP="demo")
    here, there = number_of(second_cloud_directory), number_of(cloud_directory)
    assert ended.code == 1
    assert f"demo is live in local cloud {there}, you are using local cloud {here}" in ended.error
    ended = launched.run("status")
    assert f"demo is live in local cloud {there}" in ended.out
    assert "no live resources" in ended.out
    assert launched.run("teardown", EXP="d*", YES="1").code == 1
    audited = launched.run("audit", REGIONS=HERE, FIX="1")
    assert audited.code == 0
    assert f"demo is live in local cloud {there}" in audited.out
    for script in ("stop", "start", "watch", "logs"):
        assert "demo is live in local cloud" in launched.run(script, EXP="demo").err, script
    asked = [record for record in launched.records() if record.get("account") == here]
    assert [record["operation"] for record in asked if changes_something(record.get("operation") or "Note")] == []
    launched.use(cloud_directory)
    assert [row["state"] for row in launched.status()] == ["running"]
    assert launched.teardown().code == 0
    assert living_in(cloud, HERE, "instance") == []


def test_one_begins_on_the_local_cloud_and_goes_on_in_aws_with_the_same_registry(launched, cloud, second_cloud):
    launched.write("lab.toml", AWS)
    aws = second_cloud.credentials("x")
    assert launched.launch(**aws).code == 0
    assert len(living_in(second_cloud, HERE, "instance")) == 1
    rows = launched.run("status", JSON="1", **aws)
    (elsewhere,) = [event for event in rows.events if event["event"] == "other-account"]
    assert (elsewhere["experiments"], elsewhere["partition"]) == (["demo"], "local")
    assert launched.teardown(**aws).code == 0
    assert living_in(second_cloud, HERE, "instance") == []
    assert len(living_in(cloud, HERE, "instance")) == 1
    refused = launched.run("teardown", EXP="demo", **aws)
    assert refused.code == 1
    assert 'cloud = "local" in lab.toml leads there' in refused.error
    launched.write("lab.toml", 'regions = ["us-east-1"]\n')
    assert launched.teardown().code == 0
    assert living_in(cloud, HERE, "instance") == []


def test_a_second_one_of_a_name_that_lives_in_another_aws_account_is_not_launched(lab, cloud, second_cloud):
    lab.write("lab.toml", AWS)
    lab.write("experiments/demo.toml", EXPERIMENT)
    assert lab.launch(**cloud.credentials("x")).code == 0
    refused = lab.run("launch", EXP="demo", **second_cloud.credentials("x"))
    assert refused.code == 1
    assert "demo is live in account" in refused.error
    assert living_in(second_cloud, HERE, "instance") == []
    kept = lab.run("teardown", EXP="demo", YES="1", **second_cloud.credentials("x"))
    assert kept.code == 1, "what lives in AWS is never simply removed from the registry"
    assert "the profile of that account leads there" in kept.error
    assert lab.teardown(**cloud.credentials("x")).code == 0


def test_what_lived_in_a_cloud_that_is_no_more_is_struck_out_where_that_is_said(launched, second_cloud_directory):
    launched.use(second_cloud_directory)
    ended = launched.run("teardown", EXP="demo", YES="1")
    assert ended.code == 0, ended.err
    assert "removed from the registry: i-" in ended.out
    assert launched.run("status").out == "no live resources\n"


def test_records_that_name_no_account_conclude_nothing(launched, cloud):
    old = [{k: v for k, v in record.items() if k not in ("account", "partition")} for record in launched.records()]
    launched.registry.write_text(json.dumps(old))
    assert "demo is live in an account that the records do not name" in launched.run("status").out
    assert launched.teardown().code == 1
    assert len(living_in(cloud, HERE, "instance")) == 1


def test_every_record_of_a_call_says_which_account_was_asked(launched, cloud_directory):
    calls = [record for record in launched.records() if record.get("operation")]
    assert {(record["partition"], record["account"]) for record in calls} == {("local", number_of(cloud_directory))}


def test_aws_is_asked_once_for_each_access_key_which_account_it_is_of(lab, cloud):
    lab.write("lab.toml", AWS)
    lab.write(
        "registry.json", json.dumps([{"event": "annotation", "id": "f" * 32, "time": "2026-01-01T00:00:00.000Z"}])
    )
    for key in ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE"):
        assert lab.run("status", **cloud.credentials(key)).code == 0
    assert len(cloud.calls("GetCallerIdentity")) == 2
    lab.run("status", **cloud.credentials("test"))
    lab.run("status", **cloud.credentials("test"))
    assert len(cloud.calls("GetCallerIdentity")) == 4, "a key that is not AWS's says nothing the next time"
    assert "AKIA" not in (lab.path / ".cache" / "accounts.json").read_text()
