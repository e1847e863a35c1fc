"""An endpoint that carries dry runs out, as EC2 never does, is found out by harmless ones, and at worst once."""

import pytest

from ec2lab.aws.authorization import HARMLESS
from ec2lab.doctor.checks.permissions import Permissions
from ec2lab.doctor.context import open_readonly
from ec2lab.doctor.runner import run_checks
from tests.lab_directory import VARIABLES
from tests.local_cloud.requests import run

DISCOVERED = "dry-run-carried-out"


@pytest.fixture
def look(lab, monkeypatch):
    """What the doctor finds of a lab in two regions that is carried out."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    lab.write("lab.toml", 'regions = ["us-east-1", "us-west-2"]\n')
    lab.write("experiments/demo.toml", 'instance_types = ["c6i.large"]\n')

    def found(identity=DISCOVERED):
        with open_readonly(lab.path, "") as looked_at:
            every = [finding for _, finding in run_checks(looked_at, [Permissions()])]
        return [finding for finding in every if finding.diagnosis.id == identity]

    return found


def tried(cloud):
    """The dry runs that reached the cloud."""
    return [call for call in cloud.calls() if call["params"].get("DryRun") == "true"]


def test_where_all_are_carried_out_only_harmless_ones_are_asked_for(look, cloud):
    cloud.scenario(ignores_dry_run=["*"])
    before = cloud.inventory()
    (found,) = look()
    assert found.diagnosis.severity == "error"
    assert found.subjects == ("us-east-1", "us-west-2")
    assert {call["action"] for call in tried(cloud)} <= set(HARMLESS)
    assert cloud.inventory() == before


def test_one_that_reads_dry_and_changes_for_real_is_found_out_too(look, cloud):
    cloud.scenario(ignores_dry_run=["Delete*", "Create*", "Run*"])
    before = cloud.inventory()
    assert len(look()) == 1
    assert {call["action"] for call in tried(cloud)} == set(HARMLESS)
    assert cloud.inventory() == before


def test_a_launch_that_is_carried_out_all_the_same_is_the_last_and_is_named(look, cloud):
    cloud.scenario(ignores_dry_run=["RunInstances"])
    (found,) = look()
    assert len(cloud.calls("RunInstances")) == 1
    (made,) = [one["id"] for one in cloud.inventory() if one["kind"] == "instance"]
    assert f"terminate-instances --region {found.subjects[0]} --instance-ids {made}" in found.remedy


def test_what_would_harm_things_of_the_lab_is_tried_one_at_a_time_and_ends_with_the_first(look, cloud):
    ec2 = cloud.client("ec2", "us-east-1")
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "lab:registry", "Value": "f" * 32}]}]
    run(ec2, TagSpecifications=tags)
    cloud.scenario(ignores_dry_run=["StartInstances", "StopInstances", "TerminateInstances", "ModifyInstanceAttribute"])
    assert len(look()) == 1
    assert len([call for call in tried(cloud) if call["code"] is None]) == 1


@pytest.mark.usefixtures("in_cloud_time")
def test_a_region_that_goes_silent_is_asked_for_no_other_and_named(look, cloud):
    cloud.scenario(faults=[{"action": "CreateVolume", "region": "us-east-1", "kind": "hang-after"}])
    found = look("check-unavailable")
    assert {one.text for one in found} == {
        "not available: us-east-1: no response within 10 s (lab.toml: region_timeout)"
    }
    assert len([call for call in cloud.calls("CreateVolume") if call["region"] == "us-east-1"]) == 1


def test_where_no_harmless_one_is_allowed_none_is_made(look, cloud):
    cloud.scenario(faults=[{"action": action, "code": "UnauthorizedOperation"} for action in HARMLESS])
    assert look() == []
    assert {call["action"] for call in tried(cloud)} == set(HARMLESS)


@pytest.mark.parametrize(("ignored", "made"), [(["*"], 0), (["RunInstances"], 1)])
def test_a_plan_that_is_checked_says_so_and_what_it_made_is_on_record(lab, cloud, ignored, made):
    assert lab.run("launch", EXP="demo").code == 0  # for its security group
    assert lab.run("teardown", EXP="demo").code == 0
    cloud.scenario(ignores_dry_run=ignored)
    ended = lab.run("plan", EXP="demo")
    assert ended.code == 1
    assert "carried out" in ended.error
    running = [one for one in cloud.inventory() if one["kind"] == "instance" and one["state"] != "terminated"]
    assert len(running) == made
    if made:
        assert running[0]["id"] in ended.error
        assert lab.run("teardown", EXP="demo").code == 0
        assert {one["state"] for one in cloud.inventory() if one["kind"] == "instance"} == {"terminated"}
