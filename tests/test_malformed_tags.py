"""Anybody who may tag can write anything into the lab's own tags: it is ignored, and it is named."""

import pytest

from ec2lab.aws.tag_forms import disposition_in, malformed
from ec2lab.aws.tags import DELETION_POLICY, EXPIRES_AT, TTL, device_in, from_aws, to_aws

HERE = "us-east-1 us-west-2"


def tag(cloud, **tags):
    """Tag the one instance there is."""
    (instance,) = (thing for thing in cloud.inventory() if thing["kind"] == "instance")
    values = to_aws({f"lab:{key}": value for key, value in tags.items()})
    cloud.client("ec2", instance["region"]).create_tags(Resources=[instance["id"]], Tags=values)
    return instance


def test_an_instance_whose_end_is_no_time_ends_no_command(lab, cloud):
    """One such tag ended status, cost, report and every launch under a budget with a traceback, for good."""
    assert lab.launch().code == 0
    written = [to_aws(thing["tags"]) for thing in cloud.inventory() if "lab:request-id" in thing["tags"]]
    assert [malformed(tags) for tags in written] == [[]] * len(written), "what the lab writes, it reads"
    instance = tag(cloud, **{"expires-at": "tomorrow", "ttl": "long", "idle": "soon", "created-at": "\u202e6202"})
    said = lab.run("status", JSON="1")
    assert (said.code, said.err) == (0, "")
    (resource,) = (event for event in said.events if event["event"] == "resource")
    assert "ends" not in resource
    assert lab.run("cost").code == 0
    assert lab.run("report", OUTPUT=str(lab.path / "report.html")).code == 0
    audited = lab.run("audit", JSON="1", REGIONS=HERE)
    assert {e["key"] for e in audited.events if e["event"] == "malformed-tag" and e["id"] == instance["id"]} == {
        "lab:expires-at", "lab:ttl", "lab:idle", "lab:created-at",
    }  # fmt: skip
    shown = lab.run("audit", REGIONS=HERE).out
    assert (
        f"instance {instance['id']} ({instance['region']}): its tag lab:expires-at = 'tomorrow' is not a time" in shown
    )
    assert "\u202e" not in shown
    doctor = [e for e in lab.run("doctor", JSON="1").events if e.get("finding") == "tag-malformed"]
    assert {dict(e["values"])["key"] for e in doctor} == {"lab:expires-at", "lab:ttl", "lab:idle", "lab:created-at"}
    assert lab.teardown().code == 0


def test_a_malformed_tag_is_absent_unless_something_is_spared_by_it():
    spared = {"lab:retained": "always", "lab:dataset": "a b", "team": "tomorrow"}
    tags = to_aws({EXPIRES_AT: "2026-11-26T10:00:00", TTL: "-1h", **spared})
    assert from_aws(tags) == spared
    assert {one.key for one in malformed(tags)} == {EXPIRES_AT, TTL, "lab:retained", "lab:dataset"}
    assert from_aws([{"Key": "lab:shared"}]) == {"lab:shared": ""}


@pytest.mark.parametrize(
    "said", ["retain", "retain 30d", "retain 30d the paper is not out", "snapshot speech", "snapshot a 2"]
)
def test_what_becomes_of_a_volume_is_read(said):
    assert str(disposition_in(said)) == said


@pytest.mark.parametrize("said", ["", "kepp", "retain soon", "snapshot", "snapshot ../x", "delete"])
def test_a_volume_whose_tag_nobody_can_read_is_kept(said):
    assert str(disposition_in(said)) == "retain"


FITS = {
    "lab:experiment": ["foo", "a", "0", "a_b-c", "a" * 128],
    "lab:expires-at": ["never", "2026-11-26T10:00:00Z", "2000-01-01T00:00:00Z", "2199-12-31T23:59:59+00:00"],
    "lab:ttl": ["6h", "90m"],
    "lab:idle": ["30m"],
    "lab:created-at": ["2026-11-26T10:00:00+01:00"],
    "lab:retained": ["2026-11-24", "2026-11-24 after speech"],
    "lab:retain-until": ["2026-11-24"],
    "lab:deletion-policy": ["saved", "retain", "retain 8640000000s", "retain 30d why", f"snapshot speech {'v' * 64}"],
    "lab:dataset": ["speech"],
    "lab:bytes": ["0", "9" * 20],
    "lab:parent": ["snap-0123abcd", "snap-" + "0" * 32],
    "lab:uuid": ["0123-ABcd", "0" * 36],
    "lab:filesystem": ["ext4", "x" * 16],
    "lab:layout": ["parts"],
    "lab:instance": ["i-0123abcd"],
}
DOES_NOT = {
    "lab:experiment": ["", "Foo", "-a", "a" * 129, "a b", "a\n"],
    "lab:expires-at": ["Never", "2026-11-26T10:00:00", "1999-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "tomorrow"],
    "lab:ttl": ["", "6", "-6h", "six hours"],
    "lab:idle": [""],
    "lab:created-at": ["never", "", "2026-11-26T10:00:00"],
    "lab:retained": ["", "after speech", "2026-13-01", "2026-11-2"],
    "lab:retain-until": ["", "2026-11-24 10:00", "always"],
    "lab:deletion-policy": [
        "",
        "kept",
        "keep 9999999999s",
        "keep 9999999999d why",
        "keep s",
        "retain 30dwhy",
        f"snapshot speech {'v' * 65}",
    ],
    "lab:dataset": ["", "a b"],
    "lab:bytes": ["", "-1", "1.5", "9" * 21],
    "lab:parent": ["", "snap-", "snap-0123abc", "snap-" + "0" * 33, "vol-0123abcd"],
    "lab:uuid": ["", "012", "0" * 37, "ghij"],
    "lab:layout": ["", "disk"],
    "lab:filesystem": ["", "EXT4", "x" * 17],
    "lab:instance": ["", "i-", "vol-1"],
}
SPARING = {"lab:retained", "lab:retain-until", "lab:deletion-policy", "lab:dataset", "lab:instance"}
"""Tags by which something is spared: they count, whatever they say."""


@pytest.mark.parametrize("key", FITS)
def test_each_tag_has_its_form_and_counts_as_absent_without_it_unless_it_spares(key):
    for value in FITS[key]:
        assert malformed([{"Key": key, "Value": value}]) == [], value
        assert from_aws([{"Key": key, "Value": value}]) == {key: value}
    for value in DOES_NOT[key]:
        (found,) = malformed([{"Key": key, "Value": value}])
        assert str(found).startswith(f"{key} = {value!r} is not "), value
        assert (key in from_aws([{"Key": key, "Value": value}])) == (key in SPARING), value


@pytest.mark.parametrize("key", ["lab:deletion-policy:sdf", "lab:deletion-policy/dev/sdf"])
def test_a_devices_tag_has_the_form_of_its_key_and_speaks_of_the_device_as_older_ones_do(key):
    assert [one.key for one in malformed([{"Key": key, "Value": "x"}])] == [key]
    assert device_in(key, DELETION_POLICY) == "/dev/sdf"


def test_what_is_no_tag_of_the_labs_has_no_form():
    assert malformed([{"Key": "lab:created-by", "Value": ""}, {"Key": "team"}, {}]) == []
    assert malformed(None) == []


def test_no_tag_makes_a_version_larger_than_its_volume(cloud, lab):
    ec2 = cloud.client("ec2", "us-east-1")
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    written = to_aws({"lab:dataset": "small", "lab:version": "1", "lab:bytes": "9" * 20})
    ec2.create_snapshot(VolumeId=volume, TagSpecifications=[{"ResourceType": "snapshot", "Tags": written}])
    shown = lab.run("datasets", DATASET="small", JSON="1", REGIONS="us-east-1").events
    (small,) = [event for event in shown if event.get("dataset") == "small" or event.get("name") == "small"]
    assert small["dollars_per_month"] <= 0.05
