"""A plan shows what a launch would do, and makes nothing."""

import base64
import json
import re

import pytest

from ec2lab.registry.history import History
from ec2lab.registry.record import LAUNCHED, Event, Record
from tests.live_resources import living_in

SPOT_TOO = 'instance_types = ["p5.48xlarge", "g5.12xlarge"]\nmarkets = ["spot", "on-demand"]\n'


def plan(lab, **variables):
    return lab.run("plan", EXP="demo", JSON="1", **variables)


def candidates(ended):
    return [event for event in ended.events if event["event"] == "candidate"]


def test_the_candidates_are_what_a_launch_asks_in_the_order_in_which_it_asks(lab, cloud):
    planned = [(c["region"], c["instance_type"], c["market"], c["zone"]) for c in candidates(plan(lab))]
    cloud.scenario(capacity=[{}])
    assert lab.launch().code == 1
    asked = [
        (c["region"], c["params"]["InstanceType"], "on-demand", c["params"].get("Placement.AvailabilityZone"))
        for c in cloud.calls("RunInstances")
        if "DryRun" not in c["params"]
    ]
    assert planned == asked


def test_it_makes_nothing(lab, cloud):
    ended = plan(lab)
    assert ended.code == 0, ended.err
    changing = [c for c in cloud.calls() if not c["action"].startswith(("Describe", "Get", "List"))]
    assert [(c["action"], c["params"]["DryRun"], c["code"]) for c in changing] == [
        ("DeleteKeyPair", "true", "DryRunOperation"),
        ("RunInstances", "true", "DryRunOperation"),
    ]
    assert living_in(cloud, "us-east-1", "instance") == []
    ended = lab.teardown()
    assert ended.code == 1
    assert "never launched" in ended.error


def test_what_is_known_to_be_out_is_out_with_its_reason(lab, cloud):
    lab.write("lab.toml", 'regions = ["us-east-1", "eu-west-1"]\n')
    lab.write("experiments/demo.toml", SPOT_TOO + '[[data]]\ndataset = "speech"\nmount = "/data"\n')
    cloud.scenario(quotas={"Running On-Demand G and VT instances": 8})
    out = {
        (c["region"], c["instance_type"], c["market"]): c["excluded"] for c in candidates(plan(lab)) if not c["zone"]
    }
    assert out["us-east-1", "p5.48xlarge", "spot"] == "quota: All P5 Spot Instance Requests: 0 vCPUs, 192 are needed"
    assert out["us-east-1", "g5.12xlarge", "spot"] is None
    assert out["us-east-1", "g5.12xlarge", "on-demand"].startswith(
        "quota: Running On-Demand G and VT instances: 8 vCPUs"
    )
    assert out["eu-west-1", "g5.12xlarge", "spot"].startswith("dataset speech is not in eu-west-1 (`make snapshot-copy")


def test_a_price_that_is_not_known_is_unknown_and_not_zero(lab):
    lab.write("experiments/demo.toml", 'instance_types = ["g5.12xlarge", "m5.large"]\n')
    prices = {c["instance_type"]: c["dollars_per_hour"] for c in candidates(plan(lab))}
    assert prices == {"g5.12xlarge": 5.672, "m5.large": None}
    assert "unknown" in lab.run("plan", EXP="demo").out


def test_the_request_is_shown_with_its_tags_and_the_cloud_init_document(lab):
    (request,) = [event for event in plan(lab, COUNT="3").events if event["event"] == "planned-request"]
    assert request["request"]["MaxCount"] == 3
    tags = {t["Key"]: t["Value"] for t in request["request"]["TagSpecifications"][0]["Tags"]}
    assert tags["lab:experiment"] == "demo"
    assert request["cloud_init"].startswith("#cloud-config\n")
    assert request["prerequisites"] == ["a security group in us-east-1, ssh from 127.0.0.1/32"]


def test_what_the_image_and_the_snapshot_alone_know_has_a_price_too(lab, cloud):
    assert (
        "  price   up to $21.96 an hour, plus root volume and /data (price unknown)"
        in lab.run("launch", EXP="demo").out
    )
    (cost,) = [event for event in plan(lab).events if event["event"] == "forecast"]
    assert (cost["unknown"], cost["unpriced"]) == (0, [])
    a_month = (75 + 500) * 0.08 + 730 * (21.957642 + 0.005)
    assert cost["dollars"] == pytest.approx(24 * a_month / 730, rel=1e-4)
    cloud.scenario(faults=[{"action": "DescribeImages", "code": "UnauthorizedOperation", "times": 1}])
    ended = lab.run("plan", EXP="demo")
    assert "plus root volume (price unknown)" in ended.out
    assert "unknown to this plan: " in ended.err


def test_the_request_is_summed_up_and_is_whole_only_where_that_is_asked_for(lab):
    short = lab.run("plan", EXP="demo", COUNT="2").out
    told = dict(re.findall(r"^  (image|volumes|network|created)  +(.*)$", short, re.MULTILINE))
    assert re.fullmatch(r"/dev/sda1 gp3 encrypted; /dev/sdf gp3 from snap-[0-9a-f]+", told["volumes"])
    assert "first request: 2 x p4d.24xlarge, on-demand, in us-east-1, any zone" in short
    assert re.search(r"user data  1\d\.\d of 16 KiB", short)
    assert told["created"] == "a security group in us-east-1, ssh from 127.0.0.1/32"
    assert "#cloud-config" not in short
    assert told["image"].startswith("ami-")
    assert told["image"].endswith(", Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04) 20261006")
    assert len(short.splitlines()) < 40
    whole = lab.run("plan", EXP="demo", COUNT="2", VERBOSE="1").out
    for ended in (lab.run("plan", EXP="demo", COUNT="2", OUTPUT="plan.txt") for _ in range(2)):
        assert f"the whole request is in {lab.path / 'plan.txt'}" in ended.out, "its own file is written again"
    for text in (whole, (lab.path / "plan.txt").read_text()):
        assert '"MaxCount": 2' in text
        assert "\ncloud-init:\n#cloud-config\n" in text
    assert "was not written by this command" in lab.run("plan", EXP="demo", OUTPUT="lab.toml").error


def test_a_request_that_is_not_allowed_fails_with_what_is_missing_in_words(lab, cloud):
    decoded = {
        "explicitDeny": False,
        "context": {
            "principal": {"arn": "arn:aws:iam::1:user/eve"},
            "action": "ec2:RunInstances",
            "resource": "arn:aws:ec2:us-east-1:1:instance/*",
        },
    }
    encoded = base64.b64encode(json.dumps(decoded).encode()).decode()
    message = f"You are not authorized. Encoded authorization failure message: {encoded}"
    cloud.scenario(faults=[{"action": "RunInstances", "code": "UnauthorizedOperation", "message": message}])
    for ended in (plan(lab), lab.launch()):
        assert ended.code == 1
        assert "arn:aws:iam::1:user/eve may not ec2:RunInstances on arn:aws:ec2:us-east-1:1:instance/*" in ended.error
        assert encoded not in ended.error


def test_who_may_not_read_the_reason_is_told_so_and_spared_the_code(lab, cloud):
    message = "You are not authorized. Encoded authorization failure message: bm90IGpzb24"
    cloud.scenario(faults=[{"action": "RunInstances", "code": "UnauthorizedOperation", "message": message},
                          {"action": "DecodeAuthorizationMessage", "code": "AccessDenied"}])  # fmt: skip
    assert "sts:DecodeAuthorizationMessage would show what is missing" in lab.launch().error


@pytest.mark.parametrize("told", ["not json", '{"context": {"action": "x"}}', "[]"])
def test_a_reason_of_another_form_is_left_out(lab, cloud, told):
    encoded = base64.b64encode(told.encode()).decode()
    message = f"You are not authorized. Encoded authorization failure message: {encoded}"
    cloud.scenario(faults=[{"action": "RunInstances", "code": "UnauthorizedOperation", "message": message}])
    assert "would show what is missing" in lab.launch().error


def test_when_no_pool_would_be_asked_the_first_reason_is_the_error(lab):
    lab.write("experiments/demo.toml", 'instance_types = ["p4d.24xlarge"]\nzones = ["us-east-1e"]\n')
    ended = plan(lab)
    assert ended.code == 1
    assert ended.error == "error: demo: no pool would be tried: p4d.24xlarge is not offered in us-east-1e"


def test_a_plan_of_what_lives_does_not_make_its_launch_one_that_was_cut_off():
    launch = [Record(event=Event.INTENT, experiment="demo", operation="RunInstances", request={}),
              Record(event=Event.ANNOTATION, experiment="demo", annotation={LAUNCHED: ["i-1"]})]  # fmt: skip
    planned = Record(event=Event.INTENT, experiment="demo", operation="RunInstances", request={"DryRun": True})
    assert History(launch[:1]).of("demo").interrupted
    assert History([*launch[:1], planned]).of("demo").interrupted
    assert not History([*launch, planned]).of("demo").interrupted
