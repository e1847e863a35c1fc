"""make report: one file that shows live resources, history and costs, with AWS or without."""

import resource
from pathlib import Path

import pytest

from ec2lab.registry.file_registry import FileRegistry
from tests.generated_registry import GeneratedRegistry

NO_CREDENTIALS = {"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}
DENIED = "UnauthorizedOperation"


def report(lab, code=0, **variables):
    """The page's text, and the events of one kind after another."""
    ended = lab.run("report", JSON="1", **variables)
    assert ended.code == code, ended.err
    events = {}
    for event in ended.events:
        events.setdefault(event["event"], []).append(event)
    (written,) = events["report-written"]
    return Path(written["path"]).read_text(encoding="utf-8"), events


def test_a_launch_with_its_refusals_and_a_teardown_are_on_the_page_and_among_the_events(lab, cloud):
    cloud.scenario(capacity=[{"region": "us-east-1", "type": "p4d.24xlarge"}])
    assert lab.launch().code == 0
    text, events = report(lab)
    (instance,) = events["instance-history"]
    (alive,) = events["resource"]
    assert (alive["id"], alive["state"]) == (instance["id"], "running")
    assert instance["ended"] is None
    # A g5.12xlarge, its address, 500 GiB of data and its root volume.
    assert 5.672 < alive["dollars_per_hour"] < 6
    (refusal,) = events["rejections"]
    assert (refusal["category"], refusal["where"]) == ("insufficient capacity", "us-east-1")
    assert "audit-finding" not in events
    assert {row["dataset"]: sorted(row["regions"]) for row in events["dataset-summary"]} == {
        "speech": ["us-east-1", "us-west-2"]
    }
    for said in (instance["id"], "InsufficientInstanceCapacity", "speech", "nothing here is real", "500 GiB"):
        assert said in text
    assert lab.teardown().code == 0
    text, events = report(lab, OUTPUT="again.html")
    assert "resource" not in events
    assert "Nothing is running." in text
    assert [m["end_reason"] for m in events["instance-history"]] == ["taken down"]
    assert {cost["name"] for cost in events["cost-series"] if cost["by"] == "experiment"} == {"demo"}


def test_what_the_audit_finds_is_told(lab, cloud):
    ec2 = cloud.client("ec2", "us-west-2")
    identity = FileRegistry(lab.registry).id()
    whole = {
        "lab:experiment": "lost",
        "lab:request-id": "f" * 32,
        "lab:registry": identity,
        "lab:created-by": "bob@laptop",
    }
    tags = [{"Key": key, "Value": value} for key, value in whole.items()]
    ec2.create_volume(AvailabilityZone="us-west-2a", Size=10, VolumeType="gp3",
                      TagSpecifications=[{"ResourceType": "volume", "Tags": tags}])  # fmt: skip
    text, events = report(lab)
    found = [(f["finding"], f["resource_type"], f["region"]) for f in events["audit-finding"]]
    assert found == [("orphan", "volume", "us-west-2")]
    assert "orphan" in text


@pytest.mark.parametrize("out", ["", "again.html"])
def test_a_person_is_told_where_the_file_is(lab, out):
    ended = lab.run("report", OUTPUT=out)
    assert ended.code == 0
    assert f"{lab.path / (out or 'report.html')} is written" in ended.out
    assert "<h1>" in (lab.path / (out or "report.html")).read_text()


def test_without_credentials_the_page_is_made_from_the_registry_and_says_so(lab, cloud):
    assert lab.launch().code == 0
    lab.registry.write_text(lab.registry.read_text().replace('"partition":"local"', '"partition":"aws"'))
    lab.write("lab.toml", 'cloud = "aws"\nregions = ["us-east-1", "us-west-2"]\n')
    text, events = report(lab, 3, **NO_CREDENTIALS)
    assert {event["what"] for event in events["unavailable"]} == {"live resources", "datasets", "audit"}
    assert "From the registry only" in text
    assert "Unable to locate credentials" in text
    assert [one["experiment"] for one in events["resource"]] == ["demo"]
    assert [row["dataset"] for row in events["dataset-summary"]] == ["speech"], "as AWS last described it"
    assert events["cost-series"][0]["dollars"] > 0, "prices that the lab has seen, or that came with it"


def test_what_aws_does_not_allow_is_left_out_and_the_rest_is_told(lab, cloud):
    assert lab.launch().code == 0
    cloud.scenario(faults=[{"action": action, "code": DENIED} for action in ("DescribeSnapshots", "DescribeRegions")])
    text, events = report(lab, 3)
    regions = ("us-east-1", "us-west-2")
    assert [event["what"] for event in events["unavailable"]] == [
        f"{what} in {region}" for what in ("datasets", "audit") for region in regions
    ]
    assert DENIED in text
    assert events["resource"][0]["state"] == "running"


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("nowhere/report.html", "there is no directory"),
        ("lab.toml/report.html", "there is no directory"),
        ("experiments", "is not a file"),
        ("/dev/null", "is not a file"),
        ("/proc/report.html", "/proc"),
        ("x" * 300, "File name too long"),
    ],
)
def test_a_place_where_no_file_can_be_is_one_line(lab, cloud, out, said):
    ended = lab.run("report", OUTPUT=out)
    assert ended.code == 1
    assert ended.error.startswith("error: OUTPUT: ")
    assert said in ended.error


@pytest.mark.bare
def test_ten_thousand_records_of_three_hundred_instances_are_told_of_in_five_seconds(lab, cloud):
    GeneratedRegistry().team(sweep=250).fill(10_000).write(lab.registry)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    text, events = report(lab, PYTHONUNBUFFERED="1")  # a process of its own, whose time is ours
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert 0.5 < after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 5
    assert events["report-written"][0]["records"] >= 10_000
    assert len({instance["id"] for instance in events["instance-history"]}) > 300
    assert len(text) < 1_000_000
