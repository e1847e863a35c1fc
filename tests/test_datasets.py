"""Datasets are listed with what they cost, and pruned only of what nobody uses."""

import pytest

DATA = 'instance_types = ["g5.xlarge"]\nregions = ["us-east-1"]\n[[data]]\ndataset = "speech"\nmount = "/data"\n'


def make_versions(cloud, region, *versions, dataset="speech"):
    """Make versions of a dataset, oldest first, and return their ids."""
    ec2 = cloud.client("ec2", region)
    volume = ec2.create_volume(AvailabilityZone=f"{region}a", Size=8)["VolumeId"]
    ids = []
    for version in versions:
        tags = {"lab:dataset": dataset, "lab:version": version, "lab:bytes": str(4 << 30)}
        tags = [{"Key": key, "Value": value} for key, value in tags.items()]
        made = ec2.create_snapshot(VolumeId=volume, TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags}])
        ids.append(made["SnapshotId"])
    return ids


OWN = """
from ec2lab.session import open_session
with open_session("test") as session:
    ec2 = session.cloud.ec2("{region}")
    volume = ec2.create_volume(AvailabilityZone="{region}a", Size=8)["VolumeId"]
    for version in {versions}:
        tags = [{{"Key": "lab:dataset", "Value": "speech"}}, {{"Key": "lab:version", "Value": version}}]
        mark = [{{"ResourceType": "snapshot", "Tags": tags}}]
        print(ec2.create_snapshot(VolumeId=volume, TagSpecifications=mark)["SnapshotId"])
"""


def make_own_versions(lab, region, *versions):
    """Make versions as the lab's own commands do, oldest first, and return their ids."""
    lab.write("own.py", OWN.format(region=region, versions=versions))
    return lab.run_file("own.py").out.split()


def listed(lab, **variables):
    ended = lab.run("datasets", JSON="1", **variables)
    assert ended.code == 0, ended.err
    return ended.events


def there(cloud, region, dataset="speech"):
    mine = [{"Name": "tag:lab:dataset", "Values": [dataset]}]
    return {s["SnapshotId"] for s in cloud.client("ec2", region).describe_snapshots(Filters=mine)["Snapshots"]}


def test_every_version_is_listed_in_every_region_with_its_size_and_monthly_cost(lab, cloud):
    (text,) = make_versions(cloud, "us-west-2", "2026-11", dataset="text")
    found = {(one["dataset"], one["region"]): one for one in listed(lab)}
    assert set(found) == {("speech", "us-east-1"), ("speech", "us-west-2"), ("text", "us-west-2")}
    one = found["text", "us-west-2"]
    assert (one["id"], one["version"], one["state"], one["bytes"]) == (text, "2026-11", "completed", 4 << 30)
    assert one["dollars_per_month"] == pytest.approx(4 * 0.05)
    assert one["fast_restore"] == ""


@pytest.mark.parametrize(
    ("script", "more"),
    [
        ("dataset_verify", {}),
        ("dataset_prune", {"KEEP_LAST": "1", "YES": "1"}),
        ("snapshot_copy", {"REGIONS": "eu-west-1"}),
    ],
)
def test_a_misspelt_dataset_is_an_error_that_names_the_one_that_may_be_meant(lab, script, more):
    ended = lab.run(script, DATASET="speach", **more)
    assert ended.code == 1
    assert ended.error.startswith("error: DATASET: ")
    assert ended.error.endswith('(did you mean "speech"?)')


def test_where_fast_restore_is_on_is_told(lab, cloud):
    (one, *_) = listed(lab, REGIONS="us-east-1")
    ec2 = cloud.client("ec2", "us-east-1")
    ec2.enable_fast_snapshot_restores(SourceSnapshotIds=[one["id"]], AvailabilityZones=["us-east-1a", "us-east-1b"])
    assert listed(lab, REGIONS="us-east-1")[0]["fast_restore"] == "us-east-1a, us-east-1b"


def test_a_price_that_is_not_known_is_not_zero(lab, cloud):
    make_versions(cloud, "eu-north-1", "1", dataset="text")
    (one,) = listed(lab, REGIONS="eu-north-1")
    assert one["dollars_per_month"] is None
    assert "and 1 with unknown price" in lab.run("datasets", REGIONS="eu-north-1").out


def test_pruning_shows_first_and_deletes_only_on_yes(lab, cloud):
    (by_hand,) = there(cloud, "us-east-1")
    ids = make_own_versions(lab, "us-east-1", "2", "3", "4")
    elsewhere = make_own_versions(lab, "eu-west-1", "2", "3", "4")  # which lab.toml does not name
    shown = lab.run("dataset_prune", KEEP_LAST="2", JSON="1")
    assert shown.code == 0, shown.err
    assert [e["id"] for e in shown.events if e["event"] == "would-delete"] == [elsewhere[0], ids[0]]
    assert len(there(cloud, "us-east-1")) == 4
    assert lab.run("dataset_prune", KEEP_LAST="2", YES="1", REGIONS="eu-west-1").code == 0
    assert there(cloud, "eu-west-1") == set(elsewhere[1:])
    assert len(there(cloud, "us-east-1")) == 4, "in a region that is not named all stays"
    assert lab.run("dataset_prune", KEEP_LAST="2", YES="1").code == 0
    assert there(cloud, "us-east-1") == {by_hand, *ids[1:]}
    assert len(there(cloud, "us-west-2")) == 1, "the only version there stays"


def test_what_this_registry_did_not_make_is_never_pruned_whatever_its_tags_say(lab, cloud):
    ec2 = cloud.client("ec2", "us-east-1")
    (by_hand,) = there(cloud, "us-east-1")
    (first, *_) = make_own_versions(lab, "us-east-1", "2", "3", "4")
    (found,) = ec2.describe_snapshots(SnapshotIds=[first])["Snapshots"]
    marked = [{"ResourceType": "snapshot", "Tags": found["Tags"]}]
    copied = ec2.create_snapshot(VolumeId=found["VolumeId"], TagSpecifications=marked)["SnapshotId"]
    pruned = lab.run("dataset_prune", KEEP_LAST="1", YES="1", JSON="1")
    assert {e["id"] for e in pruned.events if e["event"] == "in-use"} == {by_hand, copied}
    assert first not in there(cloud, "us-east-1")
    assert {by_hand, copied} < there(cloud, "us-east-1")
    before = there(cloud, "us-east-1")
    assert lab.run("dataset_prune", KEEP_LAST="1", YES="1", REGISTRY="second.json").code == 0
    assert there(cloud, "us-east-1") == before


def test_a_data_set_of_another_registry_is_used_only_where_lab_toml_names_that(lab, cloud):
    assert lab.run("snapshot_copy", DATASET="speech", REGIONS="eu-west-1", REGISTRY="second.json").code == 0
    lab.write("lab.toml", 'regions = ["eu-west-1"]\n')
    lab.write(
        "experiments/demo.toml", 'instance_types = ["g5.xlarge"]\n[[data]]\ndataset = "speech"\nmount = "/data"\n'
    )
    (made,) = cloud.client("ec2", "eu-west-1").describe_snapshots(
        Filters=[{"Name": "tag:lab:dataset", "Values": ["speech"]}]
    )["Snapshots"]
    (identity,) = [tag["Value"] for tag in made["Tags"] if tag["Key"] == "lab:registry"]
    refused = lab.run("launch", EXP="demo")
    assert refused.code == 1
    assert f"dataset speech in eu-west-1 belongs to another registry, {identity}" in refused.error
    lab.write("lab.toml", f'regions = ["eu-west-1"]\ndata_of = ["{identity}"]\n')
    assert lab.run("launch", EXP="demo").code == 0


def test_a_volume_of_no_experiment_that_anybody_could_name_holds_its_snapshot_and_ends_no_command(lab, cloud):
    make_own_versions(lab, "us-east-1", "2", "3")
    ec2 = cloud.client("ec2", "us-east-1")
    old = next(s["SnapshotId"] for s in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
               if {"Key": "lab:version", "Value": "2"} in s["Tags"])  # fmt: skip
    tags = [{"ResourceType": "volume", "Tags": [{"Key": "lab:experiment", "Value": "Not A Name"}]}]
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=old, TagSpecifications=tags)["VolumeId"]
    ended = lab.run("dataset_prune", DATASET="speech", KEEP_LAST="1", REGIONS="us-east-1")
    assert f"{volume} uses it" in ended.out, ended.err


def test_what_a_living_experiment_was_made_from_and_what_a_file_pins_is_never_deleted(lab, cloud):
    lab.write("experiments/demo.toml", DATA)
    assert lab.launch().code == 0
    ids = make_own_versions(lab, "us-east-1", "2", "3", "4")
    lab.write("experiments/pinning.toml", DATA + 'version = "2"\n')
    pruned = lab.run("dataset_prune", KEEP_LAST="1", YES="1", JSON="1")
    assert {e["reason"] for e in pruned.events if e["event"] == "in-use"} == {
        "demo uses it",
        "experiments/pinning.toml pins it",
    }
    assert ids[1] not in there(cloud, "us-east-1")
    assert {ids[0], ids[2]} < there(cloud, "us-east-1")


@pytest.mark.parametrize(
    ("script", "variables", "said"),
    [
        ("dataset_prune", {}, "KEEP_LAST: how many versions of each dataset to keep?"),
        ("dataset_prune", {"KEEP_LAST": "1", "DATASET": "A B"}, "DATASET: 'A B' is not a name"),
        ("datasets", {"REGIONS": "europe"}, "REGIONS: 'europe' is not a region"),
        (
            "snapshot_copy",
            {"DATASET": "speech", "REGIONS": "eu-west-1", "COMPLETE_WITHIN": "20m"},
            "COMPLETE_WITHIN: 20m: AWS offers 15m to 2d",
        ),
        (
            "snapshot_copy",
            {"DATASET": "speech", "REGIONS": "eu-west-1", "COMPLETE_WITHIN": "soon"},
            "COMPLETE_WITHIN: 'soon' is not a duration",
        ),
        ("snapshot_create", {"EXP": "demo"}, "DATASET: a version of which dataset?"),
        ("snapshot_create", {"DATASET": "speech", "EXP": "demo"}, "demo: no running instance"),
        ("volume_mount", {"HOST": "demo", "MOUNT": "/data"}, "VOLUME, SNAPSHOT, DATASET: set one of them"),
        ("volume_mount", {"HOST": "demo", "VOLUME": "data"}, "VOLUME: 'data' is not a volume's id"),
        ("volume_unmount", {"HOST": "-oProxyCommand=x", "MOUNT": "/data"}, "HOST: '-oProxyCommand=x' is neither"),
        ("ssh", {"EXP": "demo"}, "demo: no running instance; `make launch EXP=demo` launches it"),
        ("users", {"HOST": "demo"}, "members/: is empty; `make user-add NAME=alice`"),
        ("user_add", {}, "NAME: which member?"),
        ("user_add", {"NAME": "root"}, "NAME: 'root' can't be a login name"),
        ("user_remove", {"NAME": "alice"}, "NAME: 'alice' is not in members/"),
    ],
)
def test_what_can_not_be_done_is_one_line_that_says_how_it_can(lab, script, variables, said):
    ended = lab.run(script, **variables)
    assert ended.code == 1, ended.out
    assert said in ended.error


def test_a_snapshot_that_an_image_has_is_shown_as_such_and_keeps_no_other(lab, cloud):
    ids = make_own_versions(lab, "us-east-1", "2", "3", "4")
    ec2 = cloud.client("ec2", "us-east-1")
    disk = {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": ids[0]}}
    image = ec2.register_image(Name="mine", BlockDeviceMappings=[disk], RootDeviceName="/dev/sda1")["ImageId"]
    pruned = lab.run("dataset_prune", KEEP_LAST="1", YES="1", JSON="1")
    assert pruned.code == 0, pruned.err
    assert [e["reason"] for e in pruned.events if e["id"] == ids[0]] == [
        f"the image {image} uses it: deregister that first"
    ]
    assert there(cloud, "us-east-1") >= {ids[0], ids[2]}
    assert ids[1] not in there(cloud, "us-east-1")
    cloud.scenario(faults=[{"action": "DescribeImages", "code": "UnauthorizedOperation"}])
    make_own_versions(lab, "us-east-1", "5")
    pruned = lab.run("dataset_prune", KEEP_LAST="1", YES="1", JSON="1")
    assert pruned.code == 1, "it was not known beforehand"
    assert f"1 of 2 not deleted: {ids[0]} (us-east-1): DeleteSnapshot: InvalidSnapshot.InUse" in pruned.error
    assert ids[2] not in there(cloud, "us-east-1"), "the other one went"


def test_a_broken_file_pins_what_it_may_name_and_keeps_no_other(lab, cloud):
    ids = make_own_versions(lab, "us-east-1", "2", "3", "4")
    lab.write("experiments/broken.toml", DATA + 'version = "2"\nno toml\n')
    pruned = lab.run("dataset_prune", KEEP_LAST="1", YES="1", JSON="1")
    assert pruned.code == 0
    assert "experiments/broken.toml:7: not TOML" in pruned.err
    assert [e["reason"] for e in pruned.events if e["id"] == ids[0]] == [
        "experiments/broken.toml, which can't be read, may pin it"
    ]
    assert there(cloud, "us-east-1") >= {ids[0], ids[2]}
    assert ids[1] not in there(cloud, "us-east-1")
