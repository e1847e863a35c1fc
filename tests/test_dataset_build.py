"""A dataset is built from what lies here: sent block by block, taken up where it was left, and only what changed."""

import random
import shutil
import signal
import subprocess
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ec2lab.datasets.ebs_direct import BLOCK, blocks, changed, digests, whole
from tests.waiting import wait_until

MIB = 1 << 20


@pytest.fixture
def recordings(lab):
    """A directory with a few files, some of them large enough for blocks of their own."""
    noise = random.Random(7)
    for number in range(6):
        lab.write(f"recordings/{number}.wav", "").write_bytes(noise.randbytes(2 * MIB))
    lab.write("recordings/deep/er/notes.txt", "hello\n")
    lab.write("lab.toml", 'regions = ["us-east-1", "us-west-2"]\n')
    return lab.path / "recordings"


def build(lab, **variables):
    ended = lab.run("dataset_build", **{"DATASET": "talks", "SOURCE": "./recordings", "JSON": "1", **variables})
    assert ended.code == 0, ended.err
    return ended.events[-1]


def test_tags_that_are_too_long_for_a_snapshot_are_named_before_anything_is_made(lab, recordings, cloud):
    lab.write("lab.toml", f'regions = ["us-east-1"]\n[tags]\nnote = "{"v" * 256}"\n')
    line = lab.run("dataset_build", DATASET="talks", SOURCE="./recordings").error
    assert "lab.toml: tags: 'note'" in line
    assert "values of up to 255 here" in line
    assert cloud.calls("StartSnapshot") == []


def sent(cloud):
    return len([call for call in cloud.calls("PutSnapshotBlock") if call["status"] == 201])


def versions(cloud, region="us-east-1"):
    mine = [{"Name": "tag:lab:dataset", "Values": ["talks"]}]
    found = cloud.client("ec2", region).describe_snapshots(Filters=mine)["Snapshots"]
    return {tag["Value"]: s for s in found for tag in s["Tags"] if tag["Key"] == "lab:version"}


def read_back(cloud, snapshot, path):
    """Write a snapshot's content to a file, as a volume made from it would have it."""
    ebs = cloud.client("ebs", "us-east-1")
    with path.open("wb") as file:
        file.truncate(snapshot["VolumeSize"] << 30)
        for listed in ebs.list_snapshot_blocks(SnapshotId=snapshot["SnapshotId"])["Blocks"]:
            place = {"BlockIndex": listed["BlockIndex"], "BlockToken": listed["BlockToken"]}
            file.seek(listed["BlockIndex"] * BLOCK)
            file.write(ebs.get_snapshot_block(SnapshotId=snapshot["SnapshotId"], **place)["BlockData"].read())
    return path


def inside(image, name):
    """Read a file inside of an ext4 image, without mounting it."""
    return subprocess.run(["debugfs", "-R", f"cat {name}", image], capture_output=True, check=True).stdout


def test_a_directory_becomes_a_version_that_a_launch_finds(lab, cloud, recordings, tmp_path):
    done = build(lab)
    assert done["version"] == "1"
    snapshot = versions(cloud)["1"]
    assert (snapshot["State"], snapshot["Encrypted"], snapshot["VolumeSize"]) == ("completed", True, 1)
    tags = {tag["Key"]: tag["Value"] for tag in snapshot["Tags"]}
    assert (tags["lab:filesystem"], tags["lab:label"], tags["Name"]) == ("ext4", "talks", "talks@1")
    image = read_back(cloud, snapshot, tmp_path / "read.img")
    checked = subprocess.run(["e2fsck", "-fn", image], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    assert inside(image, "/deep/er/notes.txt") == b"hello\n"
    assert inside(image, "/3.wav") == (recordings / "3.wav").read_bytes()
    told = subprocess.run(
        ["blkid", "-p", "-o", "value", "-s", "UUID", image], capture_output=True, text=True, check=True
    )
    assert tags["lab:uuid"] == told.stdout.strip()
    lab.write("experiments/foo.toml", 'instance_types = ["g5.xlarge"]\n[[data]]\ndataset = "talks"\nmount = "/data"\n')
    assert lab.launch("foo").code == 0


def test_zero_blocks_are_not_sent_and_no_block_is_on_record(lab, cloud, recordings):
    build(lab)
    assert 20 <= sent(cloud) < 200, "the volume has 2,048 blocks, the files 25"
    recorded = [record["operation"] for record in lab.records() if record.get("service") == "ebs"]
    assert recorded == ["StartSnapshot", "StartSnapshot", "CompleteSnapshot", "CompleteSnapshot"]


def test_the_same_content_again_is_nothing_to_do(lab, cloud, recordings):
    build(lab)
    before = sent(cloud)
    assert build(lab)["event"] == "unchanged"
    assert sent(cloud) == before
    assert set(versions(cloud)) == {"1"}


@pytest.mark.parametrize("remembered", [True, False])
def test_a_new_version_sends_only_the_blocks_that_changed(lab, cloud, recordings, tmp_path, remembered):
    build(lab)
    before = sent(cloud)
    if not remembered:
        for file in (lab.path / ".datasets").iterdir():
            file.unlink()
    content = bytearray((recordings / "2.wav").read_bytes())
    content[MIB + 5] ^= 1
    (recordings / "2.wav").write_bytes(content)
    assert build(lab)["version"] == "2"
    assert sent(cloud) - before <= 4, "one block of data, and the inode's time"
    image = read_back(cloud, versions(cloud)["2"], tmp_path / "read.img")
    assert inside(image, "/2.wav") == content
    assert subprocess.run(["e2fsck", "-fn", image], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(("after", "ending"), [(1, signal.SIGKILL), (12, signal.SIGINT), (25, signal.SIGKILL)])
def test_left_in_the_middle_and_run_again_it_goes_on_with_the_same_snapshot(lab, cloud, recordings, after, ending):
    cloud.scenario(latency=0.05)
    running = lab.start("dataset_build", DATASET="talks", SOURCE="./recordings")
    wait_until(lambda: sent(cloud) >= after)
    running.send_signal(ending)
    running.communicate(timeout=60)
    cloud.scenario()
    build(lab)
    assert set(versions(cloud)) == {"1"}
    image = read_back(cloud, versions(cloud)["1"], lab.path / "read.img")
    assert inside(image, "/5.wav") == (recordings / "5.wav").read_bytes()
    assert subprocess.run(["e2fsck", "-fn", image], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("kind", ["reset-before", "reset-after", "html-503"])
def test_lost_answers_are_asked_again_and_make_no_second_snapshot(lab, cloud, recordings, kind):
    cloud.scenario(
        faults=[
            {"action": "PutSnapshotBlock", "kind": kind, "times": 5},
            {"action": "StartSnapshot", "kind": kind, "times": 1},
        ]
    )
    build(lab)
    assert set(versions(cloud)) == {"1"}
    assert lab.run("dataset_verify", DATASET="talks", REGIONS="us-east-1").code == 0


def test_a_version_that_is_taken_up_begins_with_its_own_parent_whatever_came_after(lab, cloud, recordings, tmp_path):
    build(lab)
    before = (recordings / "4.wav").read_bytes()
    shutil.copytree(recordings, lab.path / "others")
    (lab.path / "others/4.wav").write_bytes(before[::-1])
    (recordings / "1.wav").write_bytes(before)
    cloud.scenario(faults=[{"action": "PutSnapshotBlock", "code": "ValidationException"}])
    assert lab.run("dataset_build", DATASET="talks", SOURCE="./recordings").code == 1
    cloud.scenario()
    assert build(lab, SOURCE="./others")["version"] == "3"
    assert build(lab)["version"] == "2"
    image = read_back(cloud, versions(cloud)["2"], tmp_path / "read.img")
    assert inside(image, "/1.wav") == before
    assert inside(image, "/4.wav") == before, "as version 1 has it, and not as version 3"
    assert lab.run("dataset_verify", DATASET="talks", VERSION="2", REGIONS="us-east-1").code == 0


def test_a_version_after_one_that_is_not_encrypted_is_encrypted_and_whole(lab, cloud, recordings):
    ec2 = cloud.client("ec2", "us-east-1")
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    tags = [{"Key": "lab:dataset", "Value": "talks"}, {"Key": "lab:version", "Value": "1"}]
    ec2.create_snapshot(VolumeId=volume, TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags}])
    assert build(lab)["version"] == "2"
    assert versions(cloud)["2"]["Encrypted"]
    assert cloud.calls("ListSnapshotBlocks") == [], "nothing is begun with, so nothing is read back"


@pytest.mark.parametrize("kind", ["reset-after", "html-503"])
def test_a_completion_whose_answer_was_lost_is_no_failure(lab, cloud, recordings, kind):
    cloud.scenario(faults=[{"action": "CompleteSnapshot", "kind": kind, "times": 1}])
    assert build(lab)["event"] == "dataset-built"
    assert versions(cloud)["1"]["State"] == "completed"


def test_a_block_that_is_cut_off_on_its_way_back_is_asked_for_again(lab, cloud, recordings):
    build(lab)
    cloud.scenario(faults=[{"action": "GetSnapshotBlock", "kind": "truncated", "times": 3}])
    ended = lab.run("dataset_verify", DATASET="talks", REGIONS="us-east-1")
    assert ended.code == 0, ended.err


def test_the_image_is_deleted_once_it_is_sent_or_given_up(lab, cloud, recordings):
    cloud.scenario(faults=[{"action": "StartSnapshot", "code": "AccessDeniedException", "times": 1}])
    assert lab.run("dataset_build", DATASET="talks", SOURCE="./recordings").code == 1
    assert list((lab.path / ".datasets").glob("*.img")) == []
    build(lab)
    assert list((lab.path / ".datasets").glob("*.img")) == []


def test_a_tarball_and_a_raw_image_do_as_well(lab, cloud, recordings, tmp_path):
    with tarfile.open(lab.path / "talks.tar.gz", "w:gz") as archive:
        archive.add(recordings, ".")
    build(lab, SOURCE="./talks.tar.gz")
    image = read_back(cloud, versions(cloud)["1"], tmp_path / "read.img")
    assert inside(image, "/deep/er/notes.txt") == b"hello\n"
    raw = lab.path / "disk.img"
    with raw.open("wb") as file:
        file.truncate(64 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-L", "mine", raw], check=True)
    build(lab, SOURCE="./disk.img", VERSION="raw")
    tags = {tag["Key"]: tag["Value"] for tag in versions(cloud)["raw"]["Tags"]}
    assert (tags["lab:filesystem"], tags["lab:label"]) == ("ext4", "mine")


def test_a_tarball_that_leads_out_of_its_directory_is_refused(lab, cloud, recordings):
    with tarfile.open(lab.path / "evil.tar", "w") as archive:
        archive.add(recordings / "0.wav", "../../outside.wav")
    ended = lab.run("dataset_build", DATASET="talks", SOURCE="./evil.tar")
    assert ended.code == 1
    assert "can't be unpacked" in ended.error
    assert cloud.calls("StartSnapshot") == []


def test_verify_reads_back_and_finds_a_copy_whole(lab, cloud, recordings):
    build(lab)
    assert lab.run("snapshot_copy", DATASET="talks", REGIONS="us-west-2").code == 0
    ended = lab.run("dataset_verify", DATASET="talks", JSON="1")
    assert ended.code == 0, ended.err
    assert [(e["region"], e["same"]) for e in ended.events] == [("us-east-1", True), ("us-west-2", True)]


def test_verify_finds_a_block_that_is_not_what_was_built(lab, cloud, recordings):
    build(lab)
    tags = [tag for tag in versions(cloud)["1"]["Tags"] if not tag["Key"].startswith("lab:request-id")]
    ebs = cloud.client("ebs", "us-east-1")
    other = ebs.start_snapshot(
        VolumeSize=1, Encrypted=True, Tags=[{**t, "Value": "2"} if t["Key"] == "lab:version" else t for t in tags]
    )
    ebs.complete_snapshot(SnapshotId=other["SnapshotId"], ChangedBlocksCount=0)
    ended = lab.run("dataset_verify", DATASET="talks", VERSION="2", REGIONS="us-east-1")
    assert ended.code == 1
    assert "differs from what was built; build or copy it again" in ended.error


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"DATASET": "talks"}, "DATASET, SOURCE: what is built, and from what?"),
        (
            {"DATASET": "talks", "SOURCE": "./nowhere"},
            "SOURCE: nowhere: is neither a directory, a tarball, a raw image nor s3://",
        ),
        ({"DATASET": "talks", "SOURCE": "./recordings", "SIZE": "much"}, "SIZE: 'much' is not a size (try 500G or 2T)"),
        (
            {"DATASET": "talks", "SOURCE": "./recordings", "REGIONS": "us-east-1 us-west-2"},
            "REGIONS: it is built in one region; `make snapshot-copy DATASET=talks` copies it to others",
        ),
        ({"DATASET": "talks", "SOURCE": "s3://bucket/talks"}, "SIZE: how large is the volume?"),
        ({"DATASET": "speech", "SOURCE": "./recordings", "VERSION": "1"}, "VERSION: speech@1 exists already"),
    ],
)
def test_what_can_not_be_built_is_one_line(lab, recordings, variables, said):
    ended = lab.run("dataset_build", **variables)
    assert ended.code == 1
    assert said in ended.error


contents = st.dictionaries(st.integers(0, 9), st.sampled_from([b"\0", b"a", b"b"]))


@given(before=contents, after=contents)
def test_what_changed_is_what_turns_one_image_into_the_other(before, after, tmp_path_factory):
    directory = tmp_path_factory.mktemp("images")
    paths = []
    for name, content in (("before", before), ("after", after)):
        paths.append(directory / name)
        with paths[-1].open("wb") as file:
            file.truncate(10 * BLOCK)
            for index, byte in content.items():
                file.seek(index * BLOCK + 17)
                file.write(byte)
    one, other = (digests(path) for path in paths)
    result = dict(blocks(paths[0]))
    for index in changed(one, other):
        result[index] = dict(blocks(paths[1])).get(index, bytes(BLOCK))
    kept = {index: content for index, content in result.items() if any(content)}
    assert kept == dict(blocks(paths[1]))
    assert (whole(one) == whole(other)) == (not changed(one, other))
