"""Anybody who may tag can write anything into the lab's own tags: it is ignored, and it is named."""

import pytest

from scripts.core.aws.tag_forms import end_in, malformed
from scripts.core.aws.tags import ENDS, TTL, as_tags, tag_map


def tag(cloud, **tags):
    """Tag the one instance there is."""
    (machine,) = (thing for thing in cloud.inventory() if thing["kind"] == "instance")
    values = as_tags({f"lab:{key}": value for key, value in tags.items()})
    cloud.client("ec2", machine["region"]).create_tags(Resources=[machine["id"]], Tags=values)
    return machine


def test_an_instance_whose_end_is_no_time_ends_no_command(lab, cloud):
    """One such tag ended status, cost, report and every launch under a budget with a traceback, for good."""
    assert lab.launch().code == 0
    written = [as_tags(thing["tags"]) for thing in cloud.inventory() if "lab:record" in thing["tags"]]
    assert [malformed(tags) for tags in written] == [[]] * len(written), "what the lab writes, it reads"
    machine = tag(cloud, ends="tomorrow", ttl="long", idle="soon", made="\u202e6202")
    said = lab.run("status", JSON="1")
    assert (said.code, said.err) == (0, "")
    (resource,) = (event for event in said.events if event["event"] == "resource")
    assert "ends" not in resource
    assert lab.run("cost").code == 0
    assert lab.run("report", OUT=str(lab.path / "report.html")).code == 0
    audited = lab.run("audit", JSON="1")
    assert {e["key"] for e in audited.events if e["event"] == "malformed-tag" and e["id"] == machine["id"]} == {
        "lab:ends", "lab:ttl", "lab:idle", "lab:made",
    }  # fmt: skip
    shown = lab.run("audit").out
    assert f"instance {machine['id']} ({machine['region']}): its tag lab:ends = 'tomorrow' is not a time" in shown
    assert "\u202e" not in shown
    doctor = [e for e in lab.run("doctor", JSON="1").events if e.get("finding") == "tag-malformed"]
    assert {dict(e["values"])["key"] for e in doctor} == {"lab:ends", "lab:ttl", "lab:idle", "lab:made"}
    assert lab.teardown().code == 0


def test_a_malformed_tag_is_absent_unless_something_is_spared_by_it():
    spared = {"lab:kept": "always", "lab:dataset": "a b", "team": "tomorrow"}
    tags = as_tags({ENDS: "2026-11-26T10:00:00", TTL: "-1h", **spared})
    assert tag_map(tags) == spared
    assert {one.key for one in malformed(tags)} == {ENDS, TTL, "lab:kept", "lab:dataset"}
    assert tag_map([{"Key": "lab:shared"}]) == {"lab:shared": ""}


@pytest.mark.parametrize(
    "said", ["keep", "keep 30d", "keep 30d the paper is not out", "snapshot speech", "snapshot a 2"]
)
def test_what_becomes_of_a_volume_is_read(said):
    assert end_in(said) == said


@pytest.mark.parametrize("said", ["", "kepp", "keep soon", "snapshot", "snapshot ../x", "delete"])
def test_a_volume_whose_tag_nobody_can_read_is_kept(said):
    assert end_in(said) == "keep"
