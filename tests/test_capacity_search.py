"""A launch finds what is there to be had, whatever one zone, region, market or quota answers."""

import pytest

from tests.live_resources import living_in

C6 = 'instance_types = ["c6i.large"]\n'


def regions(lab, *names):
    lab.write("lab.toml", f"regions = {list(names)}\n".replace("'", '"'))


def said(ended, name):
    return [event for event in ended.events if event["event"] == name]


def asked(cloud):
    return [(call["region"], call["params"].get("Placement.AvailabilityZone")) for call in cloud.calls("RunInstances")]


def test_a_region_that_is_not_opted_in_is_passed_over_with_its_name_and_the_next_is_asked(lab, cloud):
    regions(lab, "ap-east-1", "us-east-1")
    lab.write("experiments/demo.toml", C6)
    planned = lab.run("plan", EXP="demo", JSON="1")
    assert planned.code == 0, planned.err
    out = {event["region"]: event["excluded"] for event in said(planned, "candidate")}
    assert "in ap-east-1: AuthFailure: AWS was not able to validate" in out["ap-east-1"]
    assert out["us-east-1"] is None
    ended = lab.launch()
    assert ended.code == 0, ended.err
    assert [event["region"] for event in said(ended, "region-skipped")] == ["ap-east-1"]
    assert living_in(cloud, "us-east-1", "instance")


def test_credentials_are_at_fault_only_where_every_region_says_so(lab, cloud):
    cloud.scenario(not_opted_in=["us-east-1", "us-west-2"])
    lab.write("experiments/demo.toml", C6)
    ended = lab.launch()
    assert ended.code == 1
    assert ended.error.startswith("error: us-east-1: AuthFailure: AWS was not able to validate the provided access")
    assert "according to every region" in ended.error
    assert cloud.calls("RunInstances") == []


def test_zones_without_a_default_subnet_are_not_asked_and_the_second_region_is(lab, cloud):
    regions(lab, "us-west-2", "us-east-1")
    lab.write("experiments/demo.toml", C6)
    cloud.scenario(capacity=[{"region": "us-west-2"}, {"zone": "us-east-1[abcd]"}])
    assert lab.launch().code == 0
    assert asked(cloud) == [("us-west-2", None), ("us-east-1", None)]
    assert lab.teardown().code == 0
    cloud.scenario(capacity=[{}])
    assert lab.launch().code == 1
    zones = {zone for region, zone in asked(cloud) if region == "us-west-2" and zone}
    assert zones == {"us-west-2a", "us-west-2b", "us-west-2c"}


def test_where_default_subnets_can_not_be_read_a_zone_without_one_is_refused_and_the_search_goes_on(lab, cloud):
    regions(lab, "us-west-2")
    lab.write("experiments/demo.toml", 'instance_types = ["c6i.large", "m5.large"]\nmarkets = ["spot", "on-demand"]\n')
    cloud.scenario(
        faults=[{"action": "DescribeSubnets", "code": "UnauthorizedOperation"}],
        capacity=[{"zone": f"us-west-2{letter}"} for letter in "abc"],
    )
    ended = lab.launch()
    assert ended.code == 1
    refused = [event for event in said(ended, "launch-rejected") if event["zone"] == "us-west-2d"]
    (once,) = [(event["code"], event["category"]) for event in refused]
    assert once == ("InvalidSubnetID.NotFound", "ZONE_UNAVAILABLE"), "one refusal is for all types and markets"
    assert "the list of zones to try is incomplete: DescribeSubnets in us-west-2: UnauthorizedOperation" in ended.err


def test_zones_are_tried_with_what_is_known_where_offerings_can_not_be_read(lab, cloud):
    regions(lab, "us-east-1")
    lab.write("experiments/demo.toml", C6)
    faults = [{"action": "DescribeInstanceType*", "code": "UnauthorizedOperation", "message": "no"}]
    planned = lab.run("plan", EXP="demo", JSON="1")
    cloud.scenario(faults=faults)
    planned = lab.run("plan", EXP="demo", JSON="1")
    assert planned.code == 0, planned.err
    assert [event["zone"] for event in said(planned, "candidate")][:2] == [None, "us-east-1a"]
    assert "unknown to this plan: DescribeInstanceTypeOfferings in us-east-1: UnauthorizedOperation" in planned.err
    cloud.scenario(faults=faults, capacity=[{"zone": "us-east-1a", "calls": 1}, {"zone": "us-east-1[bcdf]"}])
    ended = lab.launch()
    assert ended.code == 0, ended.err
    assert asked(cloud)[-1] == ("us-east-1", "us-east-1a")


def test_a_region_that_fails_for_a_moment_is_asked_in_the_next_round(lab, cloud):
    regions(lab, "us-east-1")
    lab.write("experiments/demo.toml", f'{C6}capacity_timeout = "60s"\n')
    cloud.scenario(faults=[{"action": "DescribeSecurityGroups", "code": "RequestLimitExceeded", "times": 5}])
    ended = lab.launch()
    assert ended.code == 0, ended.err
    (passed,) = said(ended, "region-skipped")
    assert "RequestLimitExceeded" in passed["reason"]
    assert len(said(ended, "retry-scheduled")) == 1


def test_a_refused_spot_quota_leaves_the_other_quota_of_the_family_and_names_itself(lab, cloud):
    regions(lab, "us-east-1")
    lab.write("experiments/demo.toml", 'instance_types = ["p5.48xlarge", "p4d.24xlarge"]\nmarkets = ["spot"]\n')
    cloud.scenario(capacity=[{"type": "p4d*"}])
    ended = lab.launch()
    assert ended.code == 1
    codes = [(event["instance_type"], event["code"]) for event in said(ended, "launch-rejected")][:2]
    assert codes == [
        ("p5.48xlarge", "MaxSpotInstanceCountExceeded"), ("p4d.24xlarge", "InsufficientInstanceCapacity"),
    ]  # fmt: skip
    (in_vain,) = said(ended, "capacity-exhausted")
    assert "higher quota from AWS: All P5 Spot Instance Requests, in us-east-1" in in_vain["advice"][0]


def test_what_spot_does_not_support_may_be_had_on_demand_and_no_offer_is_denied(lab, cloud):
    regions(lab, "us-east-1")
    lab.write("experiments/demo.toml", f'{C6}markets = ["spot", "on-demand"]\n')
    unsupported = {"market": "spot", "code": "Unsupported"}
    cloud.scenario(capacity=[unsupported])
    assert lab.launch().code == 0
    assert lab.teardown().code == 0
    cloud.scenario(capacity=[unsupported, {}])
    (in_vain,) = said(lab.launch(), "capacity-exhausted")
    assert "us-east-1 refuses c6i.large, spot, as it is asked for (The requested configuration" in in_vain["advice"][0]
    assert not any("offers it" in line for line in in_vain["advice"])


def test_a_misspelled_type_is_answered_with_the_one_that_may_be_meant_by_plan_and_launch(lab):
    regions(lab, "us-east-1")
    lab.write("experiments/demo.toml", 'instance_types = ["p4d.24xlrage"]\n')
    meant = 'p4d.24xlrage is not offered in us-east-1 (did you mean "p4d.24xlarge"?)'
    assert lab.run("plan", EXP="demo").error == f"error: demo: no pool would be tried: {meant}"
    (in_vain,) = said(lab.launch(), "capacity-exhausted")
    assert in_vain["advice"] == [f"{meant}: leave it out, or add a region that offers it"]


@pytest.mark.parametrize(("code", "helps"), [("VolumeLimitExceeded", "EBS storage"), ("InternalError", "KMS key")])
def test_a_late_refusal_of_the_whole_region_costs_one_instance_and_not_one_a_pool(lab, cloud, code, helps):
    regions(lab, "us-east-1", "us-west-2")
    lab.write("experiments/demo.toml", 'instance_types = ["c6i.large", "m5.large"]\nmarkets = ["spot", "on-demand"]\n')
    cloud.scenario(capacity=[{"region": "us-east-1", "code": f"Client.{code}", "late": True}])
    ended = lab.run("launch", EXP="demo")
    assert ended.code == 0, ended.err
    assert [region for region, _ in asked(cloud)] == ["us-east-1", "us-west-2"]
    if code == "InternalError":
        assert helps in ended.out
    assert lab.teardown().code == 0
    cloud.scenario(capacity=[{"code": f"Client.{code}", "late": True}])
    assert helps in lab.run("launch", EXP="demo").out


def test_a_region_that_never_answers_clearly_is_looked_at_and_the_next_is_asked(lab, cloud):
    lab.write("experiments/demo.toml", C6)
    cloud.scenario(faults=[{"action": "RunInstances", "region": "us-east-1", "kind": "reset-before"}])
    ended = lab.launch()
    assert ended.code == 0, ended.err
    assert {region for region, _ in asked(cloud)} == {"us-east-1", "us-west-2"}
    assert living_in(cloud, "us-west-2", "instance")
    assert [resource["state"] for resource in lab.status()] == ["running"], "nothing is left to be resolved"


def test_what_a_region_made_that_never_said_so_is_found_and_used(lab, cloud):
    lab.write("experiments/demo.toml", C6)
    cloud.scenario(faults=[{"action": "RunInstances", "region": "us-east-1", "kind": "reset-after", "times": 1},
                          {"action": "RunInstances", "region": "us-east-1", "code": "InternalError"}])  # fmt: skip
    ended = lab.launch()
    assert ended.code == 0, ended.err
    assert {region for region, _ in asked(cloud)} == {"us-east-1"}
    assert len(living_in(cloud, "us-east-1", "instance")) == 1


def test_an_image_that_needs_a_subscription_is_named_with_awss_link(lab, cloud):
    lab.write("experiments/demo.toml", C6)
    link = "https://aws.amazon.com/marketplace/pp?sku=abc"
    message = f"In order to use this AWS Marketplace product you need to accept terms and subscribe: {link}"
    cloud.scenario(faults=[{"action": "RunInstances", "code": "OptInRequired", "message": message}])
    ended = lab.launch()
    assert ended.code == 1
    assert link in ended.error
    assert "opted in to this region" not in ended.error


def test_an_account_that_shows_tags_in_the_metadata_takes_the_labs_all_the_same(lab, cloud):
    lab.write("experiments/demo.toml", C6)
    cloud.scenario(metadata_defaults={"InstanceMetadataTags": "enabled"})
    assert lab.launch().code == 0
    assert cloud.calls("RunInstances")[0]["params"]["MetadataOptions.InstanceMetadataTags"] == "disabled"
