"""What runs left in S3 is listed and fetched, whatever it is called and whatever becomes of it meanwhile."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ec2lab.errors import UserError
from ec2lab.hosts.file_stream import Entry, parse_manifest
from ec2lab.registry.file_registry import FileRegistry
from ec2lab.runs import s3_download
from ec2lab.runs.s3_download import S3Object, S3Prefix, download, entries_of, expect_room, fold
from ec2lab.runs.s3_outputs import chosen, runs_with_outputs
from tests.recorded import note

FIRST, SECOND, THIRD, FOURTH = "i-00001", "i-00002", "i-00003", "i-00004"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def address(origin, experiment="speech", bucket="lab-runs"):
    return f"s3://{bucket}/team/{experiment}/{origin}/outputs/"


@pytest.fixture
def bucket(cloud):
    """Puts objects below lab-runs/team/speech/, in a region that is none of the lab's."""
    s3 = cloud.client("s3", "eu-north-1")
    s3.create_bucket(Bucket="lab-runs", CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})
    return lambda key, body, within="speech": s3.put_object(Bucket="lab-runs", Key=f"team/{within}/{key}", Body=body)


@pytest.fixture
def recorded(lab):
    """Records a launch of instances, which began runs or resumed those of others."""

    def record(day, experiment="speech", **origins):
        provenance = [
            {
                "instance": one.replace("_", "-"), "region": "us-east-1", "type": "g5.xlarge", "image": "ami-1",
                "snapshots": {}, **({"outputs": {"uri": address(origin, experiment)}} if origin else {}),
            }
            for one, origin in origins.items()
        ]  # fmt: skip
        launched = [one["instance"] for one in provenance]
        told = note(f"2026-11-{day}T10:00:00Z", experiment=experiment, launched=launched, provenance=provenance)
        FileRegistry(lab.registry).append(replace(told, **lab.account))

    return record


@pytest.fixture
def runs(recorded, bucket):
    """An ended run of one instance, and after it one of two, of which one was interrupted and resumed."""
    recorded("10", i_00001=FIRST)
    bucket(f"{FIRST}/outputs/old.txt", b"old")
    bucket(f"{FIRST}/ended.json", b'{"exit_code": 3, "at": "2026-11-10T11:00:00Z"}')
    recorded("11", i_00002=SECOND, i_00003=THIRD)
    recorded("12", i_00004=SECOND)
    bucket(f"{FOURTH}/ended.json", b'{"exit_code": 143, "at": "2026-11-12T11:00:00Z", "interrupted": "by AWS"}')
    for number in range(3):
        bucket(f"{SECOND}/outputs/steps/{number}.pt", b"step %d" % number)
    bucket(f"{SECOND}/outputs/model.pt", b"model")
    bucket(f"{SECOND}/outputs/steps/", b"")
    bucket(f"{SECOND}/outputs/steps/9.pt", b"deleted")
    state = {"deleted": ["steps/9.pt"], "links": {"latest": "steps/2.pt", "out": "../x"}}
    bucket(f"{SECOND}/outputs.json", json.dumps(state).encode())
    bucket(f"{THIRD}/outputs/other.txt", b"other")


def content(where):
    return {str(path.relative_to(where)): path.read_bytes() for path in where.rglob("*") if path.is_file()}


def pull(lab, **more):
    return lab.run("pull", EXP="speech", OUTPUTS="1", JSON="1", **more)


def fetched(cloud):
    return [call["params"]["Path"].rpartition("/")[2] for call in cloud.calls("GetObject")]


def test_the_newest_run_is_fetched_a_directory_for_each_instance_and_again_only_what_has_changed(
    lab, cloud, runs, bucket
):
    done = pull(lab, DEST="out")
    assert done.code == 0, done.err
    assert cloud.calls("GetObject")[0]["code"] == "PermanentRedirect", "the bucket is in a region of its own"
    steps = {f"steps/{number}.pt": b"step %d" % number for number in range(3)}
    steps["latest"] = b"step 2"
    assert content(lab.path / "out/speech-1") == {"model.pt": b"model", **steps}
    assert done.events[0]["skipped"] == ["out: leads out of the directory"]
    assert (lab.path / "out/speech-1/latest").is_symlink()
    assert content(lab.path / "out/speech-2") == {"other.txt": b"other"}
    assert [(event["files"], event["bytes"], event["run"]) for event in done.events] == [(4, 23, SECOND), (1, 5, THIRD)]
    before = len(fetched(cloud))
    bucket(f"{SECOND}/outputs/steps/1.pt", b"STEP 1")
    (lab.path / "out/speech-1/model.pt").write_bytes(b"mine!")
    (lab.path / "out/speech-1/mine.txt").touch()
    again = pull(lab, DEST="out", HOST="speech-1 speech-2")
    assert sorted(set(fetched(cloud)[before:]) - {"outputs.json"}) == ["1.pt", "model.pt"]
    assert [(event["files"], event["unchanged"]) for event in again.events] == [(2, 2), (0, 1)]
    assert content(lab.path / "out/speech-1") == {
        "model.pt": b"model", **steps, "steps/1.pt": b"STEP 1", "mine.txt": b""
    }  # fmt: skip
    (only,) = pull(lab, DEST="out/speech-1", HOST=FOURTH, DELETE="1").events
    assert (only["deleted"], only["unchanged"]) == (1, 4)
    accessed = [r["annotation"]["accessed"] for r in lab.records() if "accessed" in (r.get("annotation") or {})]
    assert accessed[0] == {"hosts": [SECOND, THIRD]}


def test_a_launch_that_resumes_a_run_and_begins_another_belongs_to_the_launch_of_the_first():
    def launch(**origins):
        provenance = [{"instance": one, "outputs": {"uri": address(origin)}} for one, origin in origins.items()]
        return note("2026-11-10T10:00:00Z", experiment="speech", launched=list(origins), provenance=provenance)

    records = [launch(i1="i1", i2="i2"), launch(i3="i2", i4="i4"), launch(i5="i5")]
    runs = runs_with_outputs(records, {"i5": "speech-9"})
    assert [(run.id, run.host, run.instances) for run in runs] == [
        ("i1", "speech-1", ("i1",)), ("i2", "i2", ("i2", "i3")), ("i4", "i4", ("i4",)), ("i5", "speech-9", ("i5",)),
    ]  # fmt: skip
    assert [run.id for run in chosen(runs[:3], "", "")] == ["i1", "i2", "i4"]
    assert [run.id for run in chosen(runs, "", "")] == ["i5"]


def test_an_earlier_run_is_fetched_by_its_id_into_a_directory_of_its_own(lab, runs):
    assert pull(lab, RUN_ID=FIRST).code == 0
    assert content(lab.path / "outputs") == {f"speech/{FIRST}/old.txt": b"old"}


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"RUN_ID": "i-9"}, "RUN_ID: 'i-9' is not a run of speech with outputs (`make outputs` lists them)"),
        ({"HOST": "speech-9"}, "HOST: 'speech-9' has no outputs in that run of speech (it has speech-1, speech-2)"),
        ({"EXP": "speach"}, """EXP: 'speach' is in neither experiments/ nor the registry (did you mean "speech"?)"""),
        ({"OUTPUTS": "", "RUN_ID": "i-9"}, "RUN_ID: selects a run with outputs; set OUTPUTS=1 too"),
        (
            {"DEST": ".", "DELETE": "1", "HOST": "speech-1"},
            ".: holds your home or the working directory: DELETE=1 is refused",
        ),
    ],
)
def test_what_cannot_be_meant_is_one_line(lab, runs, variables, said):
    assert lab.run("pull", **{"EXP": "speech", "OUTPUTS": "1", **variables}).error == f"error: {said}"


HOSTILE = ("/absolute", "a//b", "n\0ul", "x" * 300, "file/below", "file")
"""Without `..`, which no client of S3's sends as it is."""


def test_no_key_leads_out_of_the_directory_and_none_reaches_the_terminal_as_it_is(lab, recorded, bucket):
    recorded("10", i_00001=FIRST)
    for number, key in enumerate((*HOSTILE, "Case", "case", "\u202eright", "\x1b]0;title\x07")):
        bucket(f"{FIRST}/outputs/{key}", str(number).encode())
    (lab.path / "elsewhere").mkdir()
    (lab.path / "out").mkdir()
    done = lab.run("pull", EXP="speech", OUTPUTS="1", DEST="out")
    assert done.code == 0, done.err
    assert content(lab.path / "out").keys() == {"Case", "case", "file/below", "\u202eright", "\x1b]0;title\x07"}
    assert "skipped: " in done.out
    assert "and 2 more" in done.out
    assert "\x1b" not in done.out + done.err
    (lab.path / "out/file/below").unlink()
    (lab.path / "out/file").rmdir()
    (lab.path / "out/file").symlink_to(lab.path / "elsewhere")
    assert (
        lab.run("pull", EXP="speech", OUTPUTS="1", DEST="out").error == "error: out/file: is in the way of a directory"
    )
    assert content(lab.path / "elsewhere") == {}


NAMES = st.lists(st.sampled_from(["a", "A", "ß", "SS", "é", "e\u0301", "..", ".", "", "\0", "b" * 256]), max_size=3)


PATHS = NAMES.map("/".join)


@given(objects=st.lists(PATHS, max_size=9, unique=True), links=st.dictionaries(PATHS, PATHS), folds=st.booleans())
def test_every_object_becomes_a_file_that_can_stand_beside_the_others_or_is_named(objects, links, folds):
    same = fold if folds else str
    wanted = [S3Object(path, 1, NOW, "e").entry for path in objects]
    wanted += [Entry(path, "link", target=target) for path, target in links.items()]
    entries, skipped = entries_of(wanted, same)
    parse_manifest(json.loads(json.dumps({"single": False, "entries": entries, "skipped": skipped})))
    files = [entry.path for entry in entries if entry.file_type != "directory"]
    directories = [entry.path for entry in entries if entry.file_type == "directory"]
    assert len(files) + len(skipped) == len(wanted)
    assert len({same(path) for path in files}) == len(files)
    assert not {same(path) for path in files} & {same(path) for path in directories}
    assert not any(len(os.fsencode(name)) > 255 for path in files for name in path.split("/"))


@pytest.fixture
def large(bucket, cloud, monkeypatch):
    """An object that is fetched in parts, and the prefix that it is below."""
    monkeypatch.setattr(s3_download, "PART", 1 << 16)
    monkeypatch.setattr(s3_download, "REQUESTS", 1)
    bucket(f"{FIRST}/outputs/a/large", b"1" * (5 << 16))
    return S3Prefix(cloud.client("s3", "eu-north-1"), "lab-runs", f"team/speech/{FIRST}/outputs/")


def test_an_object_that_changes_while_it_is_fetched_arrives_as_one_version(large, bucket, tmp_path):
    changes = iter([b"2" * (6 << 16), b"3" * (4 << 16)])

    def change(done, total):
        if new := next(changes, None):
            bucket(f"{FIRST}/outputs/a/large", new)

    copied = download(large, str(tmp_path), change)
    assert content(tmp_path) == {"a/large": b"3" * (4 << 16)}
    assert (copied.files, copied.bytes) == (1, 4 << 16)
    assert download(large, str(tmp_path), print).unchanged == 1


def test_an_object_that_never_stays_the_same_is_named_and_the_others_are_fetched(large, bucket, tmp_path):
    bucket(f"{FIRST}/outputs/calm", b"calm")
    numbers = iter(range(1, 1000))
    change = lambda *_: bucket(f"{FIRST}/outputs/a/large", b"x" * ((5 << 16) + next(numbers)))  # noqa: E731
    with pytest.raises(UserError, match=r"outputs/: a/large changes faster than it is fetched \(run it again\)"):
        download(large, str(tmp_path), change, delete=True)
    assert content(tmp_path) == {"calm": b"calm"}


def test_a_fetch_that_fails_leaves_no_file_under_its_name_before_it_is_complete(large, cloud, tmp_path):
    cloud.scenario(faults=[{"action": "GetObject", "code": "AccessDenied", "message": "not you", "status": 403}])
    with pytest.raises(UserError) as refused:
        download(large, str(tmp_path), print)
    assert str(refused.value).startswith(
        f"{address(FIRST)}: can't be read: AccessDenied: not you (docs/iam-policy.json has"
    )
    assert str(refused.value).endswith("it requires s3:ListBucket on the bucket and s3:GetObject on its objects")
    assert content(tmp_path) == {}
    cloud.scenario(faults=[{"action": "GetObject", "kind": "truncated", "times": 3}])
    download(large, str(tmp_path), print)
    assert content(tmp_path) == {"a/large": b"1" * (5 << 16)}


def test_what_does_not_fit_is_refused_before_anything_is_fetched(tmp_path):
    with pytest.raises(UserError, match=r"1024\.0 TiB are to be fetched, but .* are free \(DEST= names another\)"):
        expect_room(str(tmp_path), 1 << 50)


def test_outputs_are_listed_with_the_state_of_their_run(lab, cloud, runs, recorded):
    assert lab.launch("demo").code == 0
    (live,) = [one["id"] for one in lab.status() if one["resource_type"] == "instance"]
    recorded("13", "demo", **{live.replace("-", "_"): live})
    recorded("13", "plain", i_00009="")
    listed = lab.run("outputs", JSON="1").events
    assert [(e["host"], e["run"], e["files"], e["bytes"], e["state"], e["exit_code"]) for e in listed] == [
        ("demo", live, 0, 0, "running", None),
        ("speech", FIRST, 1, 3, "ended", 3),
        ("speech-1", SECOND, 4, 23, "interrupted", None),
        ("speech-2", THIRD, 1, 5, "interrupted", None),
    ]
    assert listed[1]["uri"] == address(FIRST)
    narrow = lab.at_terminal("outputs", EXP="*")
    assert max(map(len, narrow.out.splitlines())) <= 80
    assert address(FIRST) not in narrow.out
    assert "ended 3" in narrow.out
    assert address(FIRST) in lab.at_terminal("outputs", WIDE="1").out
    cloud.end(live, "us-east-1", "Server.SpotInstanceTermination")
    assert "interrupted" in lab.run("outputs", EXP="demo").out
    lab.teardown("demo")
    assert "torn down" in lab.run("outputs", EXP="demo").out, "and a launch does not resume it"
    assert lab.run("outputs", EXP="plain").out == "launched without outputs: plain\n"


def test_a_bucket_that_may_not_be_listed_is_one_line(lab, runs, cloud):
    cloud.scenario(faults=[{"action": "*Object*", "code": "AccessDenied", "message": "no", "status": 403}])
    error = lab.run("outputs", EXP="speech").error
    assert f"{FIRST}: can't be read: AccessDenied: no (docs/iam-policy.json has the permissions" in error
    assert "s3:ListBucket on the bucket" in error
