"""What looks at several regions shows what it can see, names what it can't with AWS's reason, and ends with 3."""

import json
import threading
from collections import Counter
from functools import partial

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError
from botocore.parsers import ResponseParserError
from hypothesis import given, settings
from hypothesis import strategies as st

from ec2lab.audit.inventory import enabled_regions
from ec2lab.aws.region_queries import RegionQueries
from ec2lab.config.lab_files import load_lab
from ec2lab.session import Session
from tests.full import examples
from tests.many_regions import run_instances

SEEN = "us-west-2"
ILL = {
    "us-east-1": ({"code": "UnauthorizedOperation"}, "UnauthorizedOperation: made so by the scenario"),
    "us-east-2": ({"code": "AuthFailure"}, "AuthFailure"),
    "us-west-1": ({"code": "NoSuchThingYet"}, "NoSuchThingYet"),
    "eu-west-1": ({"kind": "torn"}, "Unable to parse response"),
    "ca-central-1": ({"kind": "hang-after"}, "no response within 3 s"),
}
"""By region, what is wrong with it, and what is said of that."""
FAULTS = [{"region": region, "action": "Describe*", **fault} for region, (fault, _) in ILL.items()]
REGIONS = [*ILL, SEEN]


@pytest.fixture
def ill(lab, cloud):
    """A lab with data in one region that answers; the others fail each in its way."""
    lab.write("lab.toml", f"regions = {json.dumps(REGIONS)}\nregion_timeout = '3s'\n")
    cloud.scenario(faults=FAULTS)
    return lab


def of(ended, event):
    return [one for one in ended.events if one["event"] == event]


def names_each(ended):
    """Check that each of the ill regions is named once, with its reason; return which others are."""
    unseen = [(r, event["reason"]) for event in of(ended, "regions-unavailable") for r in event["regions"]]
    assert max(Counter(region for region, _ in unseen).values()) == 1
    for region, (_, why) in ILL.items():
        assert why in dict(unseen)[region]
    return dict(unseen).keys() - ILL.keys()


def test_status_shows_every_instance_and_the_report_is_written(ill, cloud):
    cloud.scenario()
    run_instances(ill, SEEN, list(ILL))
    cloud.scenario(faults=FAULTS)
    status = ill.run("status", JSON="1")
    assert status.code == 3, status.err
    assert {(one["region"], one["state"]) for one in of(status, "resource")} == {
        (SEEN, "running"),
        *((region, "not seen") for region in ILL),
    }
    assert not names_each(status)
    report = ill.run("report", JSON="1")
    assert report.code == 3, report.err
    assert {(one["experiment"], one["state"]) for one in of(report, "resource")} == {
        (one["experiment"], one["state"]) for one in of(status, "resource")
    }
    unanswered = {one["what"]: one["reason"] for one in of(report, "unavailable")}
    for region, (_, why) in ILL.items():
        assert why in unanswered[f"live resources in {region}"]
        assert why in unanswered[f"datasets in {region}"]
    assert ill.run("cost").code == 0, "it asks EC2 nothing but prices"


@pytest.mark.parametrize(
    ("script", "variables", "event", "shown"),
    [
        ("datasets", {}, "dataset-version", {"dataset": "speech", "region": SEEN}),
        ("dataset_prune", {"KEEP_LAST": "1", "YES": "1"}, "regions-unavailable", {}),
        ("snapshot_copy", {"DATASET": "speech", "REGIONS": "ap-south-1"}, "copy-progress", {"state": "completed"}),
        ("audit", {"REGIONS": " ".join(REGIONS)}, "audit-summary", {"regions": [SEEN, "global"]}),
    ],
)
def test_what_can_be_seen_is_shown_and_each_other_region_is_named_with_its_reason(ill, script, variables, event, shown):
    ended = ill.run(script, JSON="1", **variables)
    assert ended.code == 3, ended.err
    assert shown.items() <= of(ended, event)[-1].items()
    assert not names_each(ended)


def responds_within(lab, seconds):
    """Give regions so many seconds: more than the few calls take that are one query."""
    lab.write("lab.toml", (lab.path / "lab.toml").read_text().replace("'3s'", f"'{seconds}s'"))


def test_a_plan_goes_on_without_a_region_that_does_not_respond(ill):
    responds_within(ill, 8)
    ill.write("experiments/demo.toml", 'instance_types = ["c6i.large"]\n')
    plan = ill.run("plan", EXP="demo", JSON="1")
    assert plan.code == 3, plan.err
    out = {one["region"]: one["excluded"] for one in of(plan, "candidate")}
    assert out.pop(SEEN) is None
    for region, (_, why) in ILL.items():
        assert why.replace("3 s", "8 s") in out[region]
    assert [one["regions"] for one in of(plan, "regions-unavailable")] == [["ca-central-1"]]


def test_doctor_goes_on_without_a_region_that_does_not_respond(ill):
    ill.write("experiments/demo.toml", 'instance_types = ["c6i.large"]\n')
    doctor = ill.run("doctor", JSON="1")
    assert doctor.code == 3, doctor.err
    found = [one["message"] for one in of(doctor, "check-finding")]
    assert any("ca-central-1: no response within 9 s" in text for text in found)
    assert any("enabled, with network" in text and SEEN in text for text in found)


def test_an_audit_that_saw_no_region_says_so_and_nothing_else(lab, cloud):
    cloud.scenario(faults=[{"action": "Describe*", "code": "UnauthorizedOperation"}])
    ended = lab.run("audit")
    assert ended.code == 1
    assert "us-east-1, us-west-2: not seen: DescribeInstances: UnauthorizedOperation" in ended.err
    assert "orphaned" not in ended.out


def test_an_audit_does_not_say_that_nothing_is_forgotten_where_a_region_was_not_seen(lab, cloud):
    cloud.scenario(faults=[{"action": "Describe*", "region": "us-east-1", "code": "UnauthorizedOperation"}])
    ended = lab.run("audit", REGIONS="us-east-1 us-west-2")
    assert ended.code == 3
    assert "no orphaned resources in the regions that responded" in ended.out
    assert "us-east-1: not seen: DescribeInstances: UnauthorizedOperation" in ended.out


def test_which_regions_an_account_has_is_told_by_the_next_where_the_first_does_not(lab, cloud, in_cloud_time):
    session = Session(lab.path, load_lab(lab.path), "audit")
    cloud.scenario(faults=[{"action": "DescribeRegions", "region": "us-east-1", "code": "UnauthorizedOperation"}])
    regions, unseen = enabled_regions(session)
    assert regions[:2] == ["us-east-1", "us-west-2"]
    assert "eu-west-1" in regions
    assert unseen == {}
    cloud.scenario(faults=[{"action": "DescribeRegions", "code": "UnauthorizedOperation"}])
    regions, unseen = enabled_regions(session)
    assert regions == ["us-east-1", "us-west-2"], "those where the lab may have something"
    assert "us-west-2 did not list them: DescribeRegions: Unauth" in unseen["other regions"]
    session.close()


@pytest.mark.parametrize("fault", [{"kind": "torn"}, {"code": "NoSuchThingYet"}, {"code": "UnauthorizedOperation"}])
def test_how_far_data_is_loaded_is_unknown_where_aws_does_not_tell_it(lab, cloud, fault):
    assert lab.launch().code == 0
    cloud.scenario(faults=[{"action": "DescribeVolumeStatus", **fault}])
    ended = lab.run("status", JSON="1")
    assert ended.code == 0
    assert [(one["state"], one["loaded"]) for one in of(ended, "resource")] == [("running", "unknown")]
    assert [(one["what"], one["region"]) for one in of(ended, "unavailable")] == [("loaded", "us-east-1")]


def test_prices_that_aws_does_not_tell_are_unknown_and_end_nothing(lab, cloud):
    lab.write("experiments/demo.toml", 'instance_types = ["m5.large"]\nmarkets = ["spot"]\n')
    assert lab.launch().code == 0
    faults = [{"action": "GetProducts", "kind": "torn"}, {"action": "DescribeSpotPriceHistory", "kind": "torn"}]
    cloud.scenario(faults=faults)
    for path in (lab.path / ".cache").glob("prices*"):
        path.unlink()
    ended = lab.run("status", JSON="1")
    assert ended.code == 0, ended.err
    assert of(ended, "resource")[0]["unknown_prices"] > 0
    assert {(one["what"], one["region"]) for one in of(ended, "unavailable")} == {("spot prices", "us-east-1")}


NEVER, URL = threading.Event(), "https://ec2"
REFUSED = ClientError({"Error": {"Code": "AuthFailure", "Message": "no"}}, "DescribeInstances")
OUTCOMES = {
    "refused": REFUSED, "closed": ConnectionClosedError(endpoint_url=URL), "torn": ResponseParserError("torn"),
    "no way": EndpointConnectionError(endpoint_url=URL), "slow": ReadTimeoutError(endpoint_url=URL),
    "hangs": NEVER,
}  # fmt: skip


def responds(outcome):
    """What a region does."""
    if outcome is NEVER:
        NEVER.wait(60)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


REGION = st.sampled_from(["us-east-1", "eusc-de-east-1", "us-gov-west-1", "ap-south-1"])
WORLD = st.dictionaries(
    st.tuples(REGION, st.sampled_from(["instance", "volume"])), st.sampled_from(["there", *OUTCOMES]), max_size=8
)


@settings(max_examples=examples(40))
@given(WORLD)
def test_whatever_regions_answer_all_that_some_tell_is_there_and_all_others_are_named(world):
    responses = RegionQueries(timeout=0.02).run(
        {key: partial(responds, OUTCOMES.get(outcome, outcome)) for key, outcome in world.items()}
    )
    hanging = {region for (region, _), outcome in world.items() if outcome == "hangs"}
    failing = {key for key, outcome in world.items() if outcome != "there"}
    assert list(responses.found) == [key for key in world if key in responses.found], "in the order of asking"
    assert {key for key in world if key not in failing and key[0] not in hanging} <= responses.found.keys()
    assert responses.found.keys().isdisjoint(failing)
    assert responses.failures.keys() == world.keys() - responses.found.keys()
    assert responses.unseen.keys() == {region for region, _ in responses.failures}
    assert all(responses.unseen.values())


def test_a_launch_goes_on_without_a_region_that_does_not_respond_and_names_it(lab, cloud):
    """It was silent for eight minutes: botocore waits a minute for each of five tries of each question."""
    lab.write("lab.toml", 'regions = ["us-east-1", "us-west-2"]\nregion_timeout = "1s"\n')
    lab.write("experiments/demo.toml", 'instance_types = ["g5.xlarge"]\n')
    cloud.scenario(faults=[{"region": "us-east-1", "kind": "hang-after"}])
    launched = lab.launch()
    assert launched.code == 0
    (passed_over,) = [event for event in launched.events if event["event"] == "region-skipped"]
    assert (passed_over["region"], passed_over["reason"]) == ("us-east-1", "no response within 3 s")
    assert [one["region"] for one in cloud.inventory() if one["kind"] == "instance"] == ["us-west-2"]
