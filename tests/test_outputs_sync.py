"""Files of a command's outputs reach the bucket whole, whatever happens to them or on the way, and come back."""

import contextlib
import hashlib
import json
import mmap
import os
import pathlib
import socket
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ec2lab.hosts import outputs_sync, s3_requests, signed_requests
from ec2lab.hosts.changing_files import Changed
from ec2lab.hosts.outputs_sync import Journal, Outputs
from ec2lab.hosts.s3_requests import Bucket
from ec2lab.hosts.signed_requests import Refused
from ec2lab.runs.s3_download import S3Prefix, download
from ec2lab.runs.s3_logs import S3RunLogs
from tests.unreliable_network import Network
from tests.vm.metadata import answers, serve

OWN = os.getuid(), os.getgid()
PART = 5 << 20
"""The least that S3 takes for a part."""


@pytest.fixture
def network(cloud, monkeypatch):
    """What lies between an instance and S3."""
    made, metadata = Network(cloud.url), serve(answers("i-0123456789abcdef0", "us-east-1", b"", cloud.secret))
    monkeypatch.setattr(signed_requests, "METADATA", f"http://127.0.0.1:{metadata.server_address[1]}")
    monkeypatch.setattr(outputs_sync, "PART", PART)
    monkeypatch.setenv("AWS_ENDPOINT_URL", made.url)
    cloud.client("s3", "us-east-1").create_bucket(Bucket="lab-runs")
    yield made
    for server in (made, metadata):
        server.shutdown()
        server.server_close()


class Instances:
    """Instances of one run, each with a directory of its own."""

    def __init__(self, cloud, directory):
        self.s3, self.directory, self.said, self.made = cloud.client("s3", "us-east-1"), directory, [], 0

    def one(self, root=None, every=60.0):
        """The outputs of an instance as they are when its program starts."""
        self.made += root is None
        root = root or self.directory / f"i{self.made}"
        root.mkdir(exist_ok=True)
        bucket = Bucket("s3://lab-runs/of/foo/i-1", lambda seconds: False, lambda: None)
        journal = Journal(str(self.directory / f"{root.name}.journal"))
        return Outputs(str(root), bucket, journal, every, self.said.append, lambda seconds: False)

    @property
    def objects(self):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket="lab-runs", Prefix="of/foo/i-1/outputs")
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        read = {key: self.s3.get_object(Bucket="lab-runs", Key=key)["Body"].read() for key in keys}
        return {key.removeprefix("of/foo/i-1/outputs"): content for key, content in read.items()}


@pytest.fixture
def instances(cloud, network, tmp_path):
    return Instances(cloud, tmp_path)


def test_what_has_changed_is_uploaded_and_nothing_else_also_after_a_restart(instances, network):
    outputs = instances.one()
    root = pathlib.Path(outputs.root)
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/model.pt").write_bytes(b"one")
    (root / "empty").touch()
    assert outputs.sync()
    assert instances.objects == {"/a/b/model.pt": b"one", "/empty": b""}
    before = network.requests
    assert outputs.sync()
    assert instances.one(root).sync()
    assert network.requests == before, "nothing has changed"
    (root / "a/b/model.pt").write_bytes(b"two")  # of the same size, maybe within the same second
    assert outputs.sync()
    assert instances.objects["/a/b/model.pt"] == b"two"
    assert instances.said == []


def test_a_large_file_arrives_in_parts_several_at_once_and_comes_back_with_its_times_and_modes(instances, network):
    outputs = instances.one()
    root = pathlib.Path(outputs.root)
    content = os.urandom(2 * PART + 12345)
    (root / "large").write_bytes(content)
    (root / "run.sh").write_text("true")
    (root / "run.sh").chmod(0o755)
    os.utime(root / "large", ns=(5, 1_700_000_000_123_456_789))
    assert outputs.sync()
    assert network.most_at_once > 1
    assert instances.objects["/large"] == content
    second = instances.one()
    assert second.restore(OWN) == (2, len(content) + 4)
    back = pathlib.Path(second.root)
    assert (back / "large").read_bytes() == content
    assert (back / "large").stat().st_mtime_ns == 1_700_000_000_123_456_789
    assert (back / "run.sh").stat().st_mode & 0o777 == 0o755
    before = network.requests
    assert second.sync()
    assert network.requests == before, "what was restored is not uploaded again"
    assert {path.name for path in back.iterdir()} == {"large", "run.sh"}, "nothing temporary is left"


def test_what_is_no_plain_file_is_decided_for_each_kind(instances):
    outputs = instances.one()
    root = pathlib.Path(outputs.root)
    (root / "ckpt").mkdir()
    (root / "ckpt/1.pt").write_bytes(b"one")
    os.link(root / "ckpt/1.pt", root / "hard")
    (root / "latest").symlink_to("ckpt/1.pt")
    (root / "current").symlink_to("ckpt")
    (root / "outside").symlink_to("/etc/passwd")
    (root / "above").symlink_to("../../x")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(root):
        server.bind("socket")
    with (root / "sparse").open("wb") as file:
        file.truncate(100_000)
    (root / 'odd \t"name" + é%41&<').write_bytes(b"odd")
    pathlib.Path(os.fsdecode(os.fsencode(root) + b"/not-\xff-utf8")).write_bytes(b"x")
    (root / ("d" * 200) / ("e" * 200) / ("f" * 200) / ("g" * 200)).mkdir(parents=True)
    (root / ("d" * 200) / ("e" * 200) / ("f" * 200) / ("g" * 200) / ("h" * 220)).write_bytes(b"x")
    assert outputs.sync()
    found = instances.objects
    state = json.loads(found.pop(".json"))
    files = {"/ckpt/1.pt": b"one", "/hard": b"one", "/sparse": bytes(100_000), '/odd \t"name" + é%41&<': b"odd"}
    assert found == files
    assert state == {"deleted": [], "links": {"latest": "ckpt/1.pt", "current": "ckpt"}}
    assert sorted(line.rpartition(": ")[2] for line in instances.said) == [
        "its name is not UTF-8",
        "its name is too long",
    ]
    second = instances.one()
    assert second.restore(OWN)[0] == 4
    back = pathlib.Path(second.root)
    assert {
        f"/{p.relative_to(back)}": p.read_bytes() for p in back.rglob("*") if p.is_file() and not p.is_symlink()
    } == files
    assert (back / "current/1.pt").read_bytes() == (back / "latest").read_bytes() == b"one"
    assert not (back / "outside").is_symlink()


def test_deleted_files_stay_in_the_bucket_and_do_not_come_back(instances):
    outputs = instances.one()
    root = pathlib.Path(outputs.root)
    (root / "1.pt").write_bytes(b"one")
    assert outputs.sync()
    (root / "1.pt").rename(root / "2.pt")
    (root / "dir").write_bytes(b"a file, then a directory")
    for _ in range(2):
        assert outputs.sync()
    (root / "dir").unlink()
    (root / "dir").mkdir()
    (root / "dir/x").write_bytes(b"x")
    assert outputs.sync(), "and the power is cut before the second look"
    assert {"/1.pt", "/2.pt", "/dir", "/dir/x"} < instances.objects.keys()
    second = instances.one()
    assert second.restore(OWN)[0] == 2
    back = pathlib.Path(second.root)
    assert sorted(str(p.relative_to(back)) for p in back.rglob("*")) == ["2.pt", "dir", "dir/x"]
    for _ in range(2):
        assert second.sync()
    third = instances.one()
    assert third.restore(OWN)[0] == 2, "what the first has deleted stays so"


def test_what_is_written_again_after_its_deletion_comes_back(instances):
    outputs = instances.one()
    root = pathlib.Path(outputs.root)
    for name in ("latest", "best", "outputs.json"):
        (root / name).write_bytes(b"old")
        assert outputs.sync()
        (root / name).unlink()
    for _ in range(3):
        assert outputs.sync()
    assert json.loads(instances.objects[".json"])["deleted"] == ["best", "latest", "outputs.json"]
    with (root / "events").open("wb", buffering=0) as events:  # as TensorBoard has one, all the time
        events.write(b"x")
        (root / "latest").write_bytes(b"new")
        assert not outputs.sync()
        restarted = instances.one(root)
        (root / "best").write_bytes(b"new")
        assert not restarted.sync()
    second = instances.one()
    assert second.restore(OWN)[0] == 2
    back = pathlib.Path(second.root)
    assert {path.name: path.read_bytes() for path in back.iterdir()} == {"latest": b"new", "best": b"new"}
    second = instances.one(back)
    (back / "outputs.json").write_bytes(b"new")
    assert second.sync()
    assert instances.one().restore(OWN)[0] == 3


def test_a_file_that_is_being_written_waits_and_no_longer_than_is_promised(instances, monkeypatch):
    outputs = instances.one()
    root = pathlib.Path(outputs.root)
    with (root / "log").open("ab", buffering=0) as log, (root / "model").open("wb", buffering=0) as model:
        log.write(b"a line\n")
        model.write(b"half")
        assert not outputs.sync()
        assert instances.objects == {"/log": b"a line\n"}, "of what is only appended to, the beginning stays"
        outputs.every = 0.0
        outputs.sync()
        assert instances.objects["/model"] == b"half", "at last as it is"
    (root / "mapped").write_bytes(bytes(4096))
    outputs.every = 60.0
    with (root / "mapped").open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), 0)
    mapped[0:4] = b"half"
    mapped.flush()
    assert not outputs.sync()
    assert "/mapped" not in instances.objects
    assert outputs.sync(is_last=True), "the command has ended"
    assert instances.objects["/mapped"].startswith(b"half")
    mapped.close()


def test_what_never_can_be_uploaded_is_said_once_and_what_can_again_too(instances, cloud):
    outputs = instances.one()
    (pathlib.Path(outputs.root) / "a").write_bytes(b"a")
    denied = {"action": "PutObject", "code": "AccessDenied", "message": "you may not", "status": 403}
    cloud.scenario(faults=[denied])
    assert not outputs.sync()
    assert not outputs.sync()
    assert instances.said == ["can't be uploaded to s3://lab-runs/of/foo/i-1/outputs/: AccessDenied: you may not"]
    cloud.scenario()
    assert outputs.sync()
    assert instances.said[1:] == ["uploaded again"]


def test_a_file_that_is_refused_keeps_no_other_from_the_bucket(instances, network):
    outputs = instances.one()
    root, network.refused = pathlib.Path(outputs.root), "model"
    for name in ("model1", "model2", *(f"{number:03}" for number in range(100))):
        (root / name).write_bytes(b"x")
    for _ in range(3):
        assert not outputs.sync()
    assert len(instances.objects) == 100
    network.refused = "model1"
    assert not outputs.sync()
    assert len(instances.objects) == 101


def test_nothing_is_under_way_any_more_once_a_round_has_failed(instances):
    began, done = [], []

    def work(number):
        if not number:
            raise Refused
        began.append(number)
        time.sleep(0.05)
        done.append(number)

    with pytest.raises(Refused):
        list(instances.one().bucket.each(work, range(30)))
    assert sorted(began) == sorted(done), "or it would replace what the next round puts"


def test_a_file_that_is_cut_short_while_it_is_sent_leaves_no_broken_connection(instances):
    bucket, waited = instances.one().bucket, []
    bucket.pause = waited.append

    def cut():
        yield b"half"
        raise Changed

    with pytest.raises(Changed):
        bucket.put("outputs/x", cut, 8, hashlib.sha256(b"").hexdigest(), {})
    bucket.put("outputs/y", lambda: b"y", 1, hashlib.sha256(b"y").hexdigest(), {})
    assert instances.objects == {"/y": b"y"}
    assert not any(waited), "nothing had to be tried again"


def test_who_is_told_to_end_in_the_middle_of_a_large_file_leaves_no_parts_that_cost_money(instances):
    outputs, answers_seen = instances.one(), []
    (pathlib.Path(outputs.root) / "large").write_bytes(bytes(3 * PART))
    outputs.bucket.progress, outputs.bucket.pause = lambda: answers_seen.append(1), lambda _: len(answers_seen) > 1
    assert not outputs.sync()
    assert answers_seen
    assert "Uploads" not in instances.s3.list_multipart_uploads(Bucket="lab-runs")


def test_a_bucket_of_another_region_is_found_by_all_requests_at_once(instances, cloud):
    elsewhere = {"LocationConstraint": "eu-west-1"}
    cloud.client("s3", "eu-west-1").create_bucket(Bucket="abroad", CreateBucketConfiguration=elsewhere)
    outputs = instances.one()
    outputs.bucket.name = "abroad"
    for number in range(60):
        (pathlib.Path(outputs.root) / str(number)).touch()
    assert outputs.sync()
    assert instances.said == []


def test_expired_credentials_are_asked_for_again(instances, cloud, monkeypatch):
    outputs = instances.one()
    (pathlib.Path(outputs.root) / "a").write_bytes(b"a")
    cloud.scenario(faults=[{"action": "PutObject", "code": "ExpiredToken", "status": 400, "times": 2}])
    asked = []
    monkeypatch.setattr(s3_requests, "Instance", lambda: asked.append(1) or signed_requests.Instance())
    assert outputs.sync()
    assert len(asked) == 3


def test_on_aws_a_bucket_is_addressed_by_its_host_name_unless_that_has_dots(monkeypatch, network):
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    instance, never = signed_requests.Instance(), lambda *_: False
    for name, url in (
        ("lab-runs", "https://lab-runs.s3.us-east-1.amazonaws.com/of/a%20b%2B?x=1"),
        ("lab.runs", "https://s3.us-east-1.amazonaws.com/lab.runs/of/a%20b%2B?x=1"),
    ):
        assert Bucket(f"s3://{name}/of", never, never)._url(instance, "a b+", {"x": "1"}) == url  # noqa: SLF001


def test_requests_go_through_the_proxy_that_the_environment_names(instances, network, monkeypatch, cloud):
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.url)
    monkeypatch.setenv("http_proxy", network.url.replace("//", "//alice:secret@"))
    monkeypatch.delenv("no_proxy", raising=False)
    outputs = instances.one()
    (pathlib.Path(outputs.root) / "a").write_bytes(b"a")
    assert outputs.sync()
    assert network.last == {"target": f"{cloud.url}/lab-runs/of/foo/i-1/outputs/a", "who": "Basic YWxpY2U6c2VjcmV0"}
    assert instances.objects == {"/a": b"a"}


def test_a_restore_that_is_denied_or_has_no_room_says_so_and_no_hostile_name_leads_elsewhere(
    instances, cloud, monkeypatch
):
    for name in ("../x", "a/../../y", "/etc/z", "b//c", "."):
        instances.s3.put_object(Bucket="lab-runs", Key=f"of/foo/i-1/outputs/{name}", Body=b"x")
    instances.s3.put_object(Bucket="lab-runs", Key="of/foo/i-1/outputs/good", Body=b"x")
    links = {"l": "/etc", "../up": "x", "in/l": "../../out"}
    state = json.dumps({"deleted": [], "links": links}).encode()
    instances.s3.put_object(Bucket="lab-runs", Key="of/foo/i-1/outputs.json", Body=state)
    outputs = instances.one()
    assert outputs.restore(OWN)[0] == 1
    there = sorted(str(p.relative_to(instances.directory)) for p in instances.directory.rglob("*"))
    assert there == ["i1", "i1.journal", "i1/good", "i1/in"]
    for nonsense in (b"[]", b"{", b'{"deleted": 3}'):
        instances.s3.put_object(Bucket="lab-runs", Key="of/foo/i-1/outputs.json", Body=nonsense)
        with pytest.raises(Refused, match=r"outputs\.json is not what the lab writes"):
            outputs.restore(OWN)
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result((1,) * 10 + (255,)[:0]))
    monkeypatch.setattr(outputs.bucket, "listed", lambda _: [s3_requests.Listed("outputs/big", 1 << 40, "")])
    with pytest.raises(Refused, match=r"1048576 MiB must be restored, but .* has less space"):
        outputs.restore(OWN)
    cloud.scenario(faults=[{"action": "ListObjectsV2", "code": "AccessDenied", "message": "no", "status": 403}])
    with pytest.raises(Refused, match="AccessDenied: no"):
        instances.one().restore(OWN)


CHANGES = st.lists(
    st.tuples(st.sampled_from(["a", "b", "d/c"]), st.sampled_from(["write", "rename", "append", "delete"])), max_size=4
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=4)
@given(rounds=st.lists(CHANGES, min_size=1, max_size=3), seed=st.integers(0, 99))
def test_however_requests_fail_each_object_is_a_version_that_its_file_had(rounds, seed, instances, network, cloud):
    for key in instances.objects:
        instances.s3.delete_object(Bucket="lab-runs", Key=f"of/foo/i-1/outputs{key}")
    network.share, network.chance = 0.4, network.chance.__class__(seed)
    outputs, versions = instances.one(), {}
    root = pathlib.Path(outputs.root)
    for number, changes in enumerate(rounds):
        for name, how in changes:
            path = root / name
            path.parent.mkdir(exist_ok=True)
            content = f"{name} {number} {len(versions.get(name, ()))}".encode() * 500
            if how == "delete":
                path.unlink(missing_ok=True)
                continue
            if how == "rename":
                (root / "draft").write_bytes(content)
                (root / "draft").rename(path)
            else:
                with path.open("ab" if how == "append" else "wb") as file:
                    file.write(content)
            versions.setdefault(name, set()).add(path.read_bytes())
        outputs.sync()
        for name, content in instances.objects.items():
            assert name == ".json" or content in versions[name[1:]]
    network.share = 0.0
    assert outputs.sync()
    there = {f"/{p.relative_to(root)}": p.read_bytes() for p in root.rglob("*") if p.is_file()}
    assert {name: instances.objects[name] for name in there} == there


def test_no_object_is_torn_while_its_file_is_rewritten_in_place_all_the_time(instances):
    outputs = instances.one()
    path, over, written = pathlib.Path(outputs.root) / "model", threading.Event(), [0]

    def write():
        while not over.is_set():
            written[0] += 1
            with path.open("wb", buffering=0) as file:
                for _ in range(8):
                    file.write(bytes([written[0] % 256]) * 30_000)
            over.wait(0.8)  # longer than a look at all processes

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen, deadline = set(), time.monotonic() + 5
        while len(seen) < 2 and time.monotonic() < deadline:
            outputs.sync()
            for content in instances.objects.values():
                assert (len(content), len(set(content))) == (240_000, 1), "one version, and all of it"
                seen.add(content[:1])
    finally:
        over.set()
        writer.join()
    assert outputs.sync()
    assert instances.objects["/model"] == path.read_bytes()


def test_a_file_that_changes_all_the_time_is_uploaded_at_last(instances):
    outputs, over = instances.one(every=0.0), threading.Event()
    path = pathlib.Path(outputs.root) / "replay"
    path.write_bytes(bytes(PART + 1))

    def write():
        with path.open("r+b", buffering=0) as file:
            while not over.is_set():
                file.write(os.urandom(8))
                file.seek(0)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        outputs.sync()
    finally:
        over.set()
        writer.join()
    assert len(instances.objects["/replay"]) == PART + 1


def test_what_an_instance_has_uploaded_is_what_a_pull_writes(instances, cloud, tmp_path):
    outputs = instances.one()
    root = pathlib.Path(outputs.root)
    (root / "a b/ü;").mkdir(parents=True)
    for name in ("a b/ü;/x%2F+&~\x1b.pt", "empty", "old.pt"):
        (root / name).write_bytes(name.encode() if name != "empty" else b"")
    (root / "large").write_bytes(os.urandom(PART + 1))
    (root / "latest").symlink_to("a b/ü;/x%2F+&~\x1b.pt")
    assert outputs.sync()
    (root / "old.pt").unlink()
    assert all(outputs.sync() for _ in range(2))
    assert b"old.pt" in instances.objects["/old.pt"], "its object stays"
    s3 = cloud.client("s3", "us-east-1")
    state = S3RunLogs(s3, "lab-runs", "of/foo/i-1").outputs_state()
    copied = download(S3Prefix(s3, "lab-runs", "of/foo/i-1/outputs/"), str(tmp_path / "here"), lambda *_: None, state)
    there, here = (
        {
            str(path.relative_to(tree)): path.is_dir() or (path.is_symlink(), path.read_bytes())
            for path in tree.rglob("*")
        }
        for tree in (root, tmp_path / "here")
    )
    assert here == there
    assert (copied.files, copied.skipped) == (3, [])
