"""The account against the registry: what is forgotten is found, priced, and deleted only where it is ours."""

import getpass
import json
import re
import socket

import pytest

HERE, ALL = "us-east-1 us-west-2", ""
"""Where is looked: all regions take two seconds."""
ME = f"{getpass.getuser()}@{socket.gethostname()}"


@pytest.fixture
def running(lab):
    """A lab whose experiment runs."""
    lab.write(
        "experiments/demo.toml", 'instance_types = ["g5.xlarge"]\n[[data]]\ndataset = "speech"\nmount = "/data"\n'
    )
    assert lab.launch().code == 0
    return lab


def audit(lab, regions=HERE, **variables):
    """The exit code, the sum, and the findings."""
    ended = lab.run("audit", JSON="1", REGIONS=regions, **variables)
    events = ended.events if ended.out else []
    (summary,) = [e for e in events if e["event"] == "audit-summary"] or [None]
    return ended.code, summary, [e for e in events if e["event"] == "audit-finding"]


def lose_registry(lab):
    """Lose the whole file."""
    lab.registry.rename(lab.path / "lost.json")


def lose_records(lab):
    """Lose all records but the one that says which registry it is."""
    lab.registry.write_text(json.dumps([r for r in lab.records() if "registry" in (r.get("annotation") or {})]))


def marked(lab, kind, **tags):
    """Tag specifications as this registry's own calls make them."""
    (identity,) = [r["annotation"]["registry"] for r in lab.records() if "registry" in (r.get("annotation") or {})]
    whole = {
        "lab:request-id": "0" * 32,
        "lab:registry": identity,
        "lab:created-by": ME,
        "lab:experiment": "old",
        **tags,
    }
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in whole.items()]}]


def instances(cloud, region="us-east-1"):
    found = cloud.client("ec2", region).describe_instances()["Reservations"]
    return [i["InstanceId"] for r in found for i in r["Instances"] if i["State"]["Name"] != "terminated"]


def test_nothing_is_forgotten_where_all_that_lives_is_in_the_registry(running):
    code, summary, found = audit(running, ALL)
    assert (code, found) == (0, [])
    assert {"us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1"} <= set(summary["regions"])
    assert summary["unavailable"] == {}


def test_orphans_are_found_with_their_price_and_their_maker(running):
    lose_records(running)
    code, summary, found = audit(running)
    assert code == 3
    assert {f["finding"] for f in found} == {"orphan"}
    by_kind = {f["resource_type"]: f for f in found if f["dollars_per_month"] > 20}
    # 1.006 and 0.005 dollars an hour for 730 hours; 500 GiB of gp3 at 0.08 a month.
    assert by_kind["instance"]["dollars_per_month"] == pytest.approx((1.006 + 0.005) * 730)
    assert by_kind["volume"]["dollars_per_month"] == pytest.approx(40.0)
    assert {f["created_by"] for f in found} == {ME}
    assert summary["dollars_per_month"] == pytest.approx(sum(f["dollars_per_month"] for f in found), abs=0.01)
    assert summary["counts"]["orphan"] == len(found) == 3


def test_orphans_are_deleted_after_they_were_shown_and_what_runs_by_its_name_alone(running, cloud):
    lose_records(running)
    (instance,) = instances(cloud)
    shown = running.run("audit", REGIONS=HERE, FIX="1")
    assert shown.code == 3
    assert f"skipped: instance {instance} (us-east-1), it runs: ONLY={instance} selects it" in shown.out
    assert instances(cloud) == [instance]
    ended = running.run("audit", REGIONS=HERE, FIX="1", ONLY=instance)
    assert ended.out.index("orphan") < ended.out.index("deleting instance")
    assert instances(cloud) == []
    assert running.run("audit", REGIONS=HERE, FIX="1").code == 0
    assert cloud.client("ec2", "us-east-1").describe_volumes()["Volumes"] == []
    assert audit(running) == (0, audit(running)[1], [])


def test_a_teammates_are_shown_and_left_alone_until_they_are_named(running, cloud):
    ec2 = cloud.client("ec2", "us-east-1")
    volume = ec2.create_volume(
        AvailabilityZone="us-east-1a",
        Size=1,
        TagSpecifications=marked(running, "volume", **{"lab:created-by": "bob@laptop"}),
    )["VolumeId"]
    ended = running.run("audit", REGIONS=HERE, FIX="1")
    assert ended.code == 3
    assert "made by bob@laptop: OWNER=bob@laptop selects it" in ended.out
    assert volume in {one["VolumeId"] for one in ec2.describe_volumes()["Volumes"]}
    assert running.run("audit", REGIONS=HERE, FIX="1", OWNER="bob@laptop").code == 0
    assert volume not in {one["VolumeId"] for one in ec2.describe_volumes()["Volumes"]}


def test_what_cloudtrail_says_that_somebody_else_made_is_left_alone_until_it_is_named(running, cloud):
    ec2 = cloud.client("ec2", "us-east-1")
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, TagSpecifications=marked(running, "volume"))[
        "VolumeId"
    ]
    ended = running.run("audit", REGIONS=HERE, FIX="1")
    assert ended.code == 3
    assert f"{volume} (us-east-1), made by testing, according to CloudTrail: ONLY={volume} selects it" in ended.out
    assert running.run("audit", REGIONS=HERE, FIX="1", ONLY=volume).code == 0


def test_what_another_registry_made_is_no_orphan_and_runs_on(running, cloud):
    (instance,) = instances(cloud)
    for variables in ({}, {"OWNER": "everyone"}):
        ended = running.run("audit", REGIONS=HERE, FIX="1", JSON="1", REGISTRY="second.json", **variables)
        assert ended.code == 0
        assert {e["finding"] for e in ended.events if e["event"] == "audit-finding"} == {"another registry's"}
    assert instances(cloud) == [instance]
    held = cloud.client("ec2", "us-east-1").describe_volumes()["Volumes"][0]["VolumeId"]
    assert "is attached to" in running.run("audit", REGIONS=HERE, FIX="1", REGISTRY="second.json", ONLY=held).err
    assert running.run("audit", REGIONS=HERE, FIX="1", REGISTRY="second.json", ONLY=instance).code == 0
    assert instances(cloud) == []


@pytest.mark.parametrize("lacking", ["lab:registry", "lab:created-by", "lab:request-id"])
def test_what_carries_some_of_the_labs_tags_is_shown_as_a_strangers_and_never_touched(running, cloud, lacking):
    ec2 = cloud.client("ec2", "us-east-1")
    (specification,) = marked(running, "volume")
    tags = [tag for tag in specification["Tags"] if tag["Key"] != lacking]
    volume = ec2.create_volume(
        AvailabilityZone="us-east-1a", Size=1, TagSpecifications=[{**specification, "Tags": tags}]
    )["VolumeId"]
    ended = running.run("audit", REGIONS=HERE, FIX="1", OWNER="everyone")
    assert ended.code == 0
    assert "carries some of the lab's tags, and not all" in ended.out
    assert volume in {one["VolumeId"] for one in ec2.describe_volumes()["Volumes"]}
    refused = running.run("audit", REGIONS=HERE, FIX="1", ONLY=volume)
    assert f"ONLY: {volume} is not the lab's" in refused.err


def test_a_copy_of_what_the_registry_made_is_told_from_it_and_deleted_by_its_name_alone(running, cloud):
    ec2 = cloud.client("ec2", "us-east-1")
    (instance,) = instances(cloud)
    tags = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]["Tags"]
    address = ec2.allocate_address(Domain="vpc", TagSpecifications=[{"ResourceType": "elastic-ip", "Tags": tags}])
    code, _, (found,) = audit(running)
    assert (code, found["finding"], found["id"]) == (3, "copy", address["AllocationId"])
    assert audit(running, FIX="1", OWNER="everyone")[0] == 3
    assert len(ec2.describe_addresses()["Addresses"]) == 1
    assert audit(running, FIX="1", ONLY=address["AllocationId"])[0] == 0
    assert ec2.describe_addresses()["Addresses"] == []
    assert instances(cloud) == [instance]


@pytest.mark.parametrize("tag", ["lab:shared", "lab:dataset"])
def test_nothing_that_costs_hides_behind_a_tag_of_what_is_the_labs(running, cloud, tag):
    volume = cloud.client("ec2", "us-east-1").create_volume(
        AvailabilityZone="us-east-1a", Size=1, TagSpecifications=marked(running, "volume", **{tag: "lab"})
    )["VolumeId"]
    code, _, found = audit(running)
    assert (code, [(one["finding"], one["id"]) for one in found]) == (3, [("orphan", volume)])


def test_who_is_meant_must_be_somebody(lab):
    assert "OWNER: 'bob' is not a user" in lab.run("audit", REGIONS=HERE, FIX="1", OWNER="bob").error


def test_an_orphaned_volume_that_is_to_be_kept_is_not_deleted(running, cloud):
    ec2 = cloud.client("ec2", "us-west-2")
    tags = marked(running, "volume", **{"lab:deletion-policy": "retain"})
    ec2.create_volume(AvailabilityZone="us-west-2a", Size=10, VolumeType="gp3", TagSpecifications=tags)
    ended = running.run("audit", REGIONS=HERE, FIX="1")
    assert ended.code == 3
    assert "marked retain at teardown" in ended.out
    assert len(ec2.describe_volumes()["Volumes"]) == 1


def test_ghosts_are_found_and_struck_out(running, cloud):
    (instance,) = instances(cloud)
    cloud.client("ec2", "us-east-1").terminate_instances(InstanceIds=[instance])
    cloud.scenario()
    lines = running.registry.read_text().replace(json.dumps(instance), json.dumps("i-0123456789abcdef0"))
    running.registry.write_text(lines)  # as old as a registry whose instance AWS does not even list any more
    age(running)
    code, _, found = audit(running)
    assert (code, [(f["finding"], f["id"]) for f in found]) == (3, [("stale-record", "i-0123456789abcdef0")])
    assert audit(running, FIX="1")[0] == 0
    assert audit(running)[0] == 0
    assert running.status() == []


def age(lab):
    """Let all that the registry tells be from another day."""
    records = lab.records()
    for record in records:
        record["time"] = f"2026-01-01{record['time'][10:]}"
    lab.registry.write_text(json.dumps(records))


def test_what_the_registry_takes_for_ended_and_lives_is_unfinished(running, cloud):
    (instance,) = instances(cloud)
    note = {
        "format": 1,
        "event": "annotation",
        "id": "f" * 32,
        "time": running.records()[-1]["time"],
        "annotation": {"deleted": [instance]},
        "partition": "local",
        "account": running.records()[-1]["account"],
    }
    running.registry.write_text(json.dumps([*running.records(), note]))
    ended = running.run("audit", REGIONS=HERE)
    assert ended.code == 3
    assert "not-terminated: `make teardown EXP=demo` deletes it" in ended.out
    assert running.teardown().code == 0
    assert instances(cloud) == []
    assert audit(running)[0] == 0


def test_strangers_that_look_forgotten_are_shown_and_never_touched(lab, cloud):
    ec2 = cloud.client("ec2", "eu-central-1")
    volume = ec2.create_volume(AvailabilityZone="eu-central-1a", Size=100, VolumeType="gp3", Iops=4000)["VolumeId"]
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    image = ec2.describe_images()["Images"][0]["ImageId"]
    (stopped,) = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType="c6i.large")["Instances"]
    ec2.stop_instances(InstanceIds=[stopped["InstanceId"]])
    code, _, found = audit(lab, ALL)
    assert code == 0, "strangers may be meant so"
    shown = {f["id"]: f for f in found}
    assert {f["finding"] for f in found} == {"unmanaged"}
    assert shown[volume]["reason"] == "attached to nothing"
    assert shown[address]["reason"] == "not in use"
    assert shown[stopped["InstanceId"]]["reason"].startswith("stopped")
    assert shown[volume]["dollars_per_month"] is None, "no price is listed there: unknown, not zero"
    assert shown[volume]["created_by"] == "testing", "CloudTrail knows"
    assert lab.run("audit", REGIONS="eu-central-1", FIX="1").code == 0
    assert len(ec2.describe_addresses()["Addresses"]) == 1


def test_what_a_volume_costs_is_its_size_and_what_it_has_beyond_what_comes_with_it(lab, cloud):
    ec2 = cloud.client("ec2", "us-east-1")
    ec2.create_volume(AvailabilityZone="us-east-1a", Size=100, VolumeType="gp3", Iops=5000, Throughput=625)
    ec2.create_volume(AvailabilityZone="us-east-1a", Size=100, VolumeType="io2", Iops=1000)
    ec2.allocate_address(Domain="vpc")
    _, summary, found = audit(lab)
    # 100 x 0.08 + 2,000 x 0.005 + 500 x 0.04;  100 x 0.125 + 1,000 x 0.065;  730 x 0.005
    assert sorted(f["dollars_per_month"] for f in found) == pytest.approx([3.65, 38.0, 77.5])
    assert summary["dollars_per_month"] == pytest.approx(119.15)


def test_a_kept_volume_is_shown_with_its_cost_and_is_no_alarm(lab):
    lab.write(
        "experiments/demo.toml",
        'instance_types = ["g5.xlarge"]\n[[scratch]]\nmount = "/scratch"\nsize_gib = 100\ndeletion_policy = "retain"\n'
        'retain_for = "30d"\nreason = "until the paper is out"\n',
    )
    assert lab.launch().code == 0
    assert lab.teardown().code == 0
    code, _, found = audit(lab)
    assert (code, [(f["finding"], f["dollars_per_month"]) for f in found]) == (0, [("retained", 8.0)])


def test_a_region_that_may_not_be_asked_is_told_of_and_stops_no_other(running, cloud):
    lose_records(running)
    cloud.scenario(faults=[{"region": "eu-*", "code": "UnauthorizedOperation"}])
    code, summary, found = audit(running, "us-east-1 eu-west-1")
    assert code == 3
    assert len(found) == 3
    assert "UnauthorizedOperation" in summary["unavailable"]["eu-west-1"]
    assert "eu-west-1" not in summary["regions"]


def test_where_cloudtrail_may_not_be_asked_the_audit_is_made_without_it(lab, cloud):
    cloud.client("ec2", "us-east-1").allocate_address(Domain="vpc")
    cloud.scenario(faults=[{"action": "LookupEvents", "code": "AccessDeniedException"}])
    code, _, (found,) = audit(lab)
    assert (code, found["created_by"]) == (0, "")


def test_a_lost_registry_is_rebuilt_from_the_tags_where_its_id_is_named_and_teardown_works_from_it(running, cloud):
    lose_registry(running)
    shown = running.run("registry_rebuild", REGIONS=HERE)
    assert shown.code == 0
    assert "0 imported into the registry" in shown.out
    identity = re.search(r"`make registry-rebuild ONLY=([0-9a-f]{8})`", shown.out)[1]
    preview = running.run("registry_rebuild", REGIONS=HERE, ONLY=identity)
    assert (preview.code, preview.err) == (0, "")
    assert "nothing was written; run again with YES=1 to import 3 into registry.json" in preview.out
    assert not running.registry.exists() or running.status() == []
    assert "is the id of 0 registries here" in running.run("registry_rebuild", REGIONS=HERE, ONLY="0" * 8).err
    rebuilt = running.run("registry_rebuild", REGIONS=HERE, YES="1", ONLY=identity)
    assert rebuilt.code == 0, rebuilt.err
    assert "3 imported into the registry: demo" in rebuilt.out
    assert {line["id"] for line in running.status()} >= set(instances(cloud))
    assert audit(running)[0] == 0
    assert "0 imported" in running.run("registry_rebuild", REGIONS=HERE, YES="1").out
    refused = running.launch()
    assert "demo is already live" in refused.error
    assert running.teardown().code == 0
    assert instances(cloud) == []
    assert cloud.client("ec2", "us-east-1").describe_volumes()["Volumes"] == []


def test_an_instance_that_is_being_launched_meanwhile_is_no_orphan(lab, cloud):
    cloud.scenario(latency=0.2, pending=1.0)
    launching = lab.start("launch", EXP="demo")
    for _ in range(3):
        code, _, found = audit(lab)
        assert (code, found) == (0, [])
    _, err = launching.communicate(timeout=60)
    assert launching.returncode == 0, err
