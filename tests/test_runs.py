"""What an experiment runs: its code on record, its log and exit code from the bucket, the run made once more."""

import hashlib
import io
import json
import re
import subprocess
import tarfile

import pytest
import yaml

from ec2lab.units import exited
from tests.live_resources import living_in
from tests.terminal_screen import run_on_terminal
from tests.waiting import in_quick_motion

TRAIN = """
instance_types = ["g5.xlarge"]
command = "python3 train.py"
code = { path = "../speech" }
[[data]]
dataset = "speech"
mount = "/data"
"""
TOLD = """
instance_types = ["g5.xlarge"]
command = "python3 train.py"
artifact_uri = "s3://lab-runs/of/speech/"
instance_profile = "writer"
"""


def git(repository, *arguments):
    who = ["-c", "user.name=alice", "-c", "user.email=alice@example.org"]
    done = subprocess.run(["git", "-C", repository, *who, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(lab):
    """A git repository beside the lab, with one commit."""
    path = lab.path.parent / "speech"
    (path / "models").mkdir(parents=True)
    (path / "train.py").write_text("print('one')\n")
    (path / "models/large.py").write_text("SIZE = 12\n")
    (path / ".gitignore").write_text("*.wav\n")
    (path / "prepare").write_text("#!/bin/sh\n")
    (path / "prepare").chmod(0o755)
    git(path, "init", "--quiet")
    git(path, "add", ".")
    git(path, "commit", "--quiet", "--message", "one")
    return path


@pytest.fixture
def trained(lab, repository):
    lab.write("experiments/train.toml", TRAIN)
    return lab


@pytest.fixture
def bucket(lab, cloud):
    """The bucket of an experiment whose instance may write there."""
    lab.write("experiments/told.toml", TOLD)
    cloud.client("iam", "us-east-1").create_instance_profile(InstanceProfileName="writer")
    s3 = cloud.client("s3", "us-east-1")
    s3.create_bucket(Bucket="lab-runs")

    def tell(instance, *parts, exit_code=None, of="told"):
        """Put what an instance would."""
        place = f"of/speech/{of}/{instance}"
        begins = 0
        for part in parts:
            s3.put_object(Bucket="lab-runs", Key=f"{place}/log/{begins:020}", Body=part.encode())
            begins += len(part.encode())
        if exit_code is not None:
            ended = json.dumps({"exit_code": exit_code, "at": "2026-11-24T10:00:00Z"})
            s3.put_object(Bucket="lab-runs", Key=f"{place}/ended.json", Body=ended.encode())

    return tell


def run_of(lab, name):
    """What is on record of the last run of an experiment."""
    return [
        r["annotation"]["run"]
        for r in lab.records()
        if r.get("experiment") == name and "run" in (r.get("annotation") or {})
    ][-1]


def packed_in(lab, run):
    """The files of the code that was sent, and what they hold."""
    tar = (lab.path / ".code" / run["code"]["pack_sha256"]).read_bytes()
    assert hashlib.sha256(tar).hexdigest() == run["code"]["pack_sha256"]
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return {entry.name: (archive.extractfile(entry).read().decode(), entry.mode)
                for entry in archive if entry.isfile()}  # fmt: skip


def test_the_working_tree_is_packed_as_it_is_without_what_git_ignores(trained, repository):
    (repository / "train.py").write_text("print('two')\n")
    (repository / "models/large.py").unlink()
    (repository / "models/small.py").write_text("SIZE = 1\n")
    (repository / "talk.wav").write_text("a recording")
    assert trained.launch("train").code == 0
    run = run_of(trained, "train")
    assert run["code"]["commit"] == git(repository, "rev-parse", "HEAD")
    assert len(run["code"]["diff_sha256"]) == 64
    assert packed_in(trained, run) == {
        ".gitignore": ("*.wav\n", 0o644), "models/small.py": ("SIZE = 1\n", 0o644),
        "prepare": ("#!/bin/sh\n", 0o755), "train.py": ("print('two')\n", 0o644),
    }  # fmt: skip


def test_a_plan_says_which_code_would_be_sent(trained, repository):
    (planned,) = [e for e in trained.run("plan", EXP="train", JSON="1").events if e["event"] == "code-to-upload"]
    assert trained.launch("train").code == 0
    assert run_of(trained, "train")["code"].items() <= planned.items()


def test_a_commit_is_packed_whatever_the_working_tree_is(trained, repository):
    commit = git(repository, "rev-parse", "HEAD")
    (repository / "train.py").write_text("print('two')\n")
    trained.write("experiments/train.toml", TRAIN.replace('speech" }', f'speech", commit = "{commit[:10]}" }}'))
    assert trained.launch("train").code == 0
    run = run_of(trained, "train")
    assert run["code"]["commit"] == commit
    assert "diff_sha256" not in run["code"]
    assert packed_in(trained, run)["train.py"][0] == "print('one')\n"


def test_a_directory_of_a_repository_is_packed_alone(trained, repository):
    trained.write("experiments/train.toml", TRAIN.replace("../speech", "../speech/models"))
    assert trained.launch("train").code == 0
    assert set(packed_in(trained, run_of(trained, "train"))) == {"large.py"}


def test_one_tree_is_one_digest_and_another_is_another(trained, repository):
    digests = []
    for name, text in (("a", "one"), ("b", "one"), ("c", "two")):
        (repository / "train.py").write_text(text)
        trained.write(f"experiments/{name}.toml", TRAIN)
        assert trained.launch(name).code == 0
        digests.append((run_of(trained, name)["code"]["pack_sha256"], run_of(trained, name)["code"]["diff_sha256"]))
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ('{ path = "../nowhere" }', "nowhere: no such directory"),
        ('{ path = "../plain" }', "git rev-parse: fatal: not a git repository"),
        ('{ path = "../speech", commit = "0123abc" }', "git rev-parse: fatal: Needed a single revision"),
        ('{ path = "../speech", commit = "--output=x" }', 'is not a commit (try "4f2a91c")'),
        ('{ path = "" }', "code.path"),
    ],
)
def test_code_that_is_not_to_be_had_is_refused_before_anything_is_made(trained, cloud, code, said):
    (trained.path.parent / "plain").mkdir()
    trained.write("experiments/train.toml", TRAIN.replace('{ path = "../speech" }', code))
    ended = trained.launch("train")
    assert ended.code == 1
    assert said in ended.error
    assert cloud.calls("RunInstances") == []


def test_a_submodule_is_refused(trained, repository, cloud):
    git(repository, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(repository), "inner")
    ended = trained.launch("train")
    assert "has a submodule, which git does not pack" in ended.error
    assert cloud.calls("RunInstances") == []


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('code = { path = "." }', "code requires a command"),
        ('artifact_uri = "s3://lab-runs"\ninstance_profile = "writer"', "artifact_uri requires a command"),
        ('command = "true"\nartifact_uri = "s3://lab-runs"', "artifact_uri requires an instance_profile"),
        ('command = "true"\non_completion = "teardown"', 'on_completion = "teardown" requires an artifact_uri'),
        ('command = "true"\nartifact_uri = "lab-runs"\ninstance_profile = "writer"', 'is not a bucket (try "s3://'),
        ('command = "true"\nartifact_uri = "s3://lab-runs/a b"\ninstance_profile = "w"', 'is not a bucket (try "s3://'),
    ],
)
def test_what_could_never_run_is_refused_with_what_to_write(lab, cloud, lines, said):
    lab.write("experiments/demo.toml", f'instance_types = ["g5.xlarge"]\n{lines}\n')
    ended = lab.launch()
    assert ended.code == 1
    assert said in ended.error
    assert cloud.calls("RunInstances") == []


def cloud_init(lab, name):
    (request,) = [event for event in lab.run("plan", EXP=name, JSON="1").events if event["event"] == "planned-request"]
    return yaml.safe_load(request["cloud_init"])


def test_a_command_comes_and_begins_with_the_boot_unless_it_waits_for_its_code(trained):
    trained.write("experiments/plain.toml", 'instance_types = ["g5.xlarge"]\ncommand = "true --of plain"\n')
    start = ["systemctl", "--no-reload", "enable", "--now", "--no-block", "experiment.service"]
    at_boot = cloud_init(trained, "plain")
    assert start in at_boot["runcmd"]
    (script,) = [file for file in at_boot["write_files"] if "true --of plain" in file["content"]]
    assert (script["path"], script["permissions"]) == ("/opt/ec2-lab/experiment", "0600")
    waiting = cloud_init(trained, "train")
    assert start not in waiting["runcmd"]
    assert "train.py" not in str(waiting), "it is brought over ssh"


def test_nobody_who_can_bring_the_code_is_found_out_before_anything_is_made(trained, cloud):
    trained.write("lab.toml", (trained.path / "lab.toml").read_text() + '\n[ssh]\nboot_timeout = "5s"\n')
    ended = trained.launch("train")
    assert "train: its code is sent over ssh, but nobody here is a member" in ended.error
    assert cloud.calls("RunInstances") == []


def test_a_sweep_packs_its_code_once_for_all(trained, repository):
    trained.write("experiments/train.toml", TRAIN.replace("[[data]]", "matrix = { seed = [1, 2, 3] }\n[[data]]"))
    assert trained.run("sweep", EXP="train", JSON="1").code == 0
    assert len({run_of(trained, f"train-seed{seed}")["code"]["pack_sha256"] for seed in (1, 2, 3)}) == 1
    assert len(list((trained.path / ".code").iterdir())) == 1


def launched(lab, name="told"):
    ended = lab.launch(name)
    assert ended.code == 0, ended.err
    return [instance["id"] for instance in lab.status() if instance["experiment"] == name]


def test_logs_and_exit_code_come_from_the_bucket(lab, bucket):
    (instance,) = launched(lab)
    bucket(instance, "epoch 1\nepoch 2\n", "epoch 3\n", exit_code=3)
    assert lab.run("logs", EXP="told").out == "epoch 1\nepoch 2\nepoch 3\n"
    waited = lab.run("wait", EXP="told")
    assert waited.code == 3
    assert waited.out == "told: exited with status 3\n"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("exit 3", "exited with status 3"),
        ("/dev/null", "exited with status 126: found, but not executable"),
        ("nowhere", "exited with status 127: command not found"),
        ("(kill -KILL $BASHPID)", "exited with status 137: killed by SIGKILL, often for lack of memory"),
        ("(kill -SEGV $BASHPID)", "exited with status 139: ended by SIGSEGV"),
        ("exit 255", "exited with status 255"),
    ],
)
def test_an_exit_status_is_said_with_what_bash_means_by_it(command, said):
    ended = subprocess.run(["bash", "-c", f"{command}; exit $?"], check=False, stderr=subprocess.DEVNULL)
    assert exited(ended.returncode) == said


def test_a_log_has_its_colors_and_nothing_else_that_a_terminal_obeys_unless_it_is_to_be_raw(lab, bucket):
    (instance,) = launched(lab)
    bucket(instance, "\x1b[31mloss\x1b[0m 2.1\x1b]52;c;eA==\x07\n\u202e1.2\n", exit_code=0)
    assert lab.run("logs", EXP="told").out == "loss 2.1\\x1b]52;c;eA==\\x07\n\\u202e1.2\n", "no colors into a pipe"
    assert lab.run("logs", EXP="told", RAW="1").out == "\x1b[31mloss\x1b[0m 2.1\x1b]52;c;eA==\x07\n\u202e1.2\n"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"[]", "should be a valid dictionary"),
        (b'{"exit_code": "\x1b[2J", "at": "now"}', "sent an unreadable response"),
        (b'{"exit_code": 1e999, "at": "now"}', "exit_code: should be a valid integer"),
        (b"x" * 2_000_000, "has more than 1 MiB"),
    ],
)
def test_how_a_command_ended_is_one_clear_error_where_nobody_can_read_it(lab, bucket, cloud, said, why):
    (instance,) = launched(lab)
    place = f"of/speech/told/{instance}/ended.json"
    cloud.client("s3", "us-east-1").put_object(Bucket="lab-runs", Key=place, Body=said)
    for script in ("wait", "logs"):
        ended = lab.run(script, EXP="told")
        assert ended.code == 1
        assert ended.error.startswith(f"error: s3://lab-runs/of/speech/told/{instance}/ended.json: ")
        assert why in ended.error


def test_logs_and_exit_code_outlive_the_instance(lab, bucket):
    (instance,) = launched(lab)
    assert lab.teardown("told").code == 0
    bucket(instance, "the last words\n", exit_code=0)
    assert lab.run("logs", EXP="told").out == "the last words\n"
    assert lab.run("wait", EXP="told").code == 0


def test_logs_follow_what_comes_until_the_command_ends(lab, bucket, cloud):
    (instance,) = launched(lab)
    bucket(instance, "epoch 1\n")
    following = lab.start("logs", EXP="told")
    assert following.stdout.readline() == "epoch 1\n"
    left = lab.start("logs", EXP="told")
    assert left.stdout.readline() == "epoch 1\n"
    left.stdout.close()  # as `| head -1` does
    left.stdout = None
    with in_quick_motion(cloud):
        assert left.communicate(timeout=60) == ("", "")
    assert left.returncode == 0
    bucket(instance, "epoch 1\n", "epoch 2\n", exit_code=0)
    with in_quick_motion(cloud):
        assert following.communicate(timeout=60)[0] == "epoch 2\n"
    assert following.returncode == 0


def test_what_went_with_its_instance_is_said_to_have(trained):
    launched(trained, "train")
    assert trained.teardown("train").code == 0
    for script, what in (("logs", "its log"), ("wait", "its exit code")):
        ended = trained.run(script, EXP="train")
        assert ended.code == 1
        assert f"{what} was on the instance, which is gone; set a bucket" in ended.error


def test_an_instance_that_ended_without_a_word_is_not_waited_for(lab, bucket):
    (instance,) = launched(lab)
    bucket(instance, "epoch 1\n")
    assert lab.run("stop", EXP="told", YES="1").code == 0
    assert "told: is stopped, and so is its command" in lab.run("wait", EXP="told").error
    assert lab.teardown("told").code == 0
    never = f"{instance}: the instance is gone, and its exit code never reached s3://lab-runs/of/speech/told/{instance}"
    assert never in lab.run("wait", EXP="told").error
    followed = lab.run("logs", EXP="told")
    assert followed.out == "epoch 1\n"
    assert "the rest of its log never reached s3://" in followed.error


@pytest.mark.parametrize(("script", "code"), [("logs", 0), ("wait", 130)])
def test_what_has_not_come_to_the_bucket_yet_is_waited_for_in_sight(lab, bucket, script, code):
    launched(lab)
    awaited = {"logs": "told: waiting for its log", "wait": "told: waiting for its exit status in s3://lab-runs/"}
    assert run_on_terminal(lab, script, EXP="told", interrupted_at=awaited[script]).code == code


def test_a_bucket_that_may_not_be_read_or_is_not_there_is_named(lab, bucket, cloud):
    (instance,) = launched(lab)
    bucket(instance, "x\n")
    s3 = cloud.client("s3", "us-east-1")
    s3.delete_object(Bucket="lab-runs", Key=f"of/speech/told/{instance}/log/{0:020}")
    s3.delete_bucket(Bucket="lab-runs")
    ended = lab.run("logs", EXP="told")
    assert ended.code == 1
    assert f"s3://lab-runs/of/speech/told/{instance}: can't be read: NoSuchBucket" in ended.error
    assert "(`aws s3 mb s3://lab-runs` creates it)" in ended.error


def test_the_first_that_failed_of_several_instances_is_the_exit_code(lab, bucket):
    lab.run("launch", EXP="told", COUNT="3")
    instances = [r["annotation"]["launched"] for r in lab.records() if "launched" in (r.get("annotation") or {})][-1]
    for instance, code in zip(instances, (0, 5, 7), strict=True):
        bucket(instance, f"on {instance}\n", exit_code=code)
    assert lab.run("wait", EXP="told").code == 5
    assert lab.run("logs", EXP="told", HOST="told-2").out == f"on {instances[1]}\n"
    assert (
        "is not an instance of told (it has told-1, told-2, told-3)" in lab.run("logs", EXP="told", HOST="told-9").error
    )


def test_a_sweep_is_waited_for_as_a_whole_and_those_that_failed_are_launched_again(lab, bucket):
    lab.write("experiments/told.toml", TOLD.replace('"python3 train.py"', '"true"') + "matrix = { seed = [1, 2] }\n")
    assert lab.run("sweep", EXP="told", JSON="1").code == 0
    instances = {instance["experiment"]: instance["id"] for instance in lab.status()}
    for name, code in (("told-seed1", 0), ("told-seed2", 9)):
        bucket(instances[name], exit_code=code, of=name)
    lab.write("experiments/told-idle.toml", 'instance_types = ["c6i.large"]\n')
    assert lab.launch("told-idle").code == 0
    waited = lab.run("wait", EXP="told-*", JSON="1")
    assert waited.code == 1
    assert "told-idle" in waited.error, "one without a command keeps no other from being waited for"
    assert {e["experiment"]: e["exit_code"] for e in waited.events} == {"told-seed1": 0, "told-seed2": 9}
    assert lab.teardown("told-idle").code == 0
    waited = lab.run("wait", EXP="told-*", JSON="1")
    assert waited.code == 9
    assert {e["experiment"]: e["exit_code"] for e in waited.events} == {"told-seed1": 0, "told-seed2": 9}
    assert lab.run("teardown", EXP="told-*", YES="1").code == 0
    again = lab.run("sweep", EXP="told", RETRY_FAILED="1", JSON="1")
    states = {e["experiment"]: e["state"] for e in again.events if e["event"] == "trial-finished"}
    assert states == {"told-seed1": "was launched before", "told-seed2": "runs"}


def test_waiting_for_what_was_never_launched_or_runs_nothing_is_a_mistake(lab):
    assert "demo: was never launched; `make launch EXP=demo` launches it" in lab.run("wait", EXP="demo").error
    assert "EXP: d*: no live experiment matches" in lab.run("wait", EXP="d*").error
    lab.write("experiments/demo.toml", 'instance_types = ["g5.xlarge"]\n')
    assert lab.launch().code == 0
    assert "demo: was launched without a command (`make exec EXP=demo" in lab.run("logs", EXP="demo").error
    for misspelled in ("logs", "ssh", "ttl_set", "watch"):
        assert lab.run(misspelled, EXP="dmo", TTL="1h").error.endswith(' (did you mean "demo"?)'), misspelled


def test_a_relaunch_is_the_run_as_it_was_whatever_has_changed_since(trained, cloud, repository):
    trained.write("experiments/train.toml", TRAIN + "[parameters]\nlr = 0.1\n")
    git(trained.path, "init", "--quiet")
    git(trained.path, "add", "experiments")
    git(trained.path, "commit", "--quiet", "--message", "as it was")
    (repository / "train.py").write_text("print('changed')\n")
    assert trained.run("launch", EXP="a", BASE="train", PARAMS="lr=0.3").code == 0
    before = run_of(trained, "a")
    ec2 = cloud.client("ec2", "us-east-1")
    (instance,) = living_in(cloud, "us-east-1", "instance")
    newer = ec2.create_snapshot(
        VolumeId=next(m["Ebs"]["VolumeId"] for m in instance["BlockDeviceMappings"] if m["DeviceName"] == "/dev/sdf"),
        TagSpecifications=[{"ResourceType": "snapshot", "Tags": [
            {"Key": "lab:dataset", "Value": "speech"}, {"Key": "lab:version", "Value": "99"}]}],
    )  # fmt: skip
    ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[newer["SnapshotId"]], WaiterConfig={"Delay": 1})
    assert trained.teardown("a").code == 0
    (repository / "train.py").write_text("print('changed again')\n")
    trained.write("experiments/train.toml", 'instance_types = ["p4d.24xlarge"]\ncommand = "another"\n')
    git(trained.path, "commit", "--quiet", "--all", "--message", "as it is")
    trained.write("experiments/train.toml", "this is no TOML any more")
    again = trained.run("rerun", EXP="a", NEW_EXP="b")
    assert again.code == 0, again.err
    after = run_of(trained, "b")
    assert after["repeats"] == "a"
    assert after["code"] == before["code"]
    assert after["command_sha256"] == before["command_sha256"]
    assert after["experiment"]["parameters"] == {"lr": "0.3"}
    (there,) = living_in(cloud, "us-east-1", "instance")
    assert there["ImageId"] == instance["ImageId"]
    assert there["InstanceType"] == "g5.xlarge"
    assert {tag["Key"]: tag["Value"] for tag in there["Tags"]}["lab:datasets"] == "speech@1 on /data"


def test_a_relaunch_elsewhere_needs_the_commit_alone_and_a_changed_tree_not(trained, repository):
    launched(trained, "train")
    commit = run_of(trained, "train")["code"]["commit"]
    pack = trained.path / ".code" / run_of(trained, "train")["code"]["pack_sha256"]
    pack.unlink()
    assert trained.run("rerun", EXP="train", NEW_EXP="again").code == 0
    assert run_of(trained, "again")["code"]["commit"] == commit
    (repository / "train.py").write_text("print('two')\n")
    trained.write("experiments/other.toml", TRAIN)
    launched(trained, "other")
    (trained.path / ".code" / run_of(trained, "other")["code"]["pack_sha256"]).unlink()
    ended = trained.run("rerun", EXP="other", NEW_EXP="once-more")
    assert ended.code == 1
    assert "other: its code was a working tree with changes, stored only in .code/" in ended.error


def test_what_is_wrong_with_a_record_is_not_blamed_on_the_experiments_file(trained):
    launched(trained, "train")
    written = trained.registry.read_text()
    (image,) = set(re.findall(r'"image":"(ami-[^"]*)"', written))
    trained.registry.write_text(written.replace(f'"image":"{image}"', '"image":"resolve:ssm:/an/image"'))
    ended = trained.run("rerun", EXP="train", NEW_EXP="again")
    assert ended.code == 1
    assert ended.error.startswith("error: the record of train: image")
    assert "experiments/" not in ended.error


def test_a_relaunch_says_what_is_missing_or_in_the_way(trained, cloud):
    assert "NEW_EXP: which name for the new run?" in trained.run("rerun", EXP="train").error
    assert "train: was never launched" in trained.run("rerun", EXP="train", NEW_EXP="again").error
    launched(trained, "train")
    assert "NEW_EXP: experiments/demo.toml exists" in trained.run("rerun", EXP="train", NEW_EXP="demo").error
    ec2 = cloud.client("ec2", "us-east-1")
    for snapshot in ec2.describe_snapshots(Filters=[{"Name": "tag-key", "Values": ["lab:dataset"]}])["Snapshots"]:
        ec2.delete_snapshot(SnapshotId=snapshot["SnapshotId"])
    ended = trained.run("rerun", EXP="train", NEW_EXP="again")
    assert ended.code == 1
    assert "train: ran on snap-" in ended.error
