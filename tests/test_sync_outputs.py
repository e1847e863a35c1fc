"""What the units of a command call of its outputs: before it, at its end, and where AWS takes the instance away."""

import json
import os
import subprocess
import sys
import time

import pytest

from ec2lab.hosts.program_packer import program
from tests.unreliable_network import Network
from tests.vm.metadata import answers, serve
from tests.waiting import wait_until

INSTANCE = "i-0123456789abcdef0"


class OnInstance:
    """An instance's directories, and its program."""

    def __init__(self, cloud, directory, metadata, network):
        self.cloud, self.directory, self.known, self.network = cloud, directory, metadata, network
        for name in ("bin", "run/experiment", INSTANCE):
            (directory / name).mkdir(parents=True)
        (directory / "run/experiment/begun").touch()
        (directory / "state").symlink_to(INSTANCE)
        (directory / "bin/systemctl").write_text(
            f'#!/bin/sh\necho "$@" >> {directory}/systemctl; cat {directory}/is 2>/dev/null || true\n'
        )
        (directory / "bin/systemctl").chmod(0o755)
        self.outputs = directory / "outputs"
        self.settings = {
            "experiment": "foo", "artifact_uri": "s3://lab-runs/of/", "on_completion": "teardown", "every": 0.2,
            "directory": str(self.outputs), "mount": "", "origin": "",
        }  # fmt: skip
        self.text = program("sync-outputs.py")
        places = {
            "/opt/ec2-lab": str(directory), "/var/lib/ec2-lab/instance": str(directory / "state"),
            "/run/ec2-lab": str(directory / "run"), "POLL = 5": "POLL = 0.1", "QUIET = 2.0": "QUIET = 0.05",
            "LONGEST_PAUSE = 20.0": "LONGEST_PAUSE = 0.0", '"experiment", "exp': '"root", "exp',
        }  # fmt: skip
        for place, own in places.items():
            assert place in self.text, place
            self.text = self.text.replace(place, own)

    def start(self, mode, **changed):
        (self.directory / "outputs.json").write_text(json.dumps({**self.settings, **changed}))
        inherited = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
        variables = {"PATH": f"{self.directory}/bin:{os.environ['PATH']}", "AWS_ENDPOINT_URL": self.network.url}
        command = [sys.executable, "-c", self.text, mode]
        env = {**inherited, **variables, "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.service}
        return subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, mode, **changed):
        process = self.start(mode, **changed)
        out, err = process.communicate(timeout=60)
        assert "Traceback" not in err
        return process.returncode, out + err

    def ends(self, code):
        (self.directory / "state/ended.json").write_text(json.dumps({"exit_code": code, "at": "2026-11-27T00:00:00Z"}))
        return self.run("ended")

    def read(self, name):
        path = self.directory / name
        return path.read_text() if path.exists() else ""

    def objects(self, origin=INSTANCE):
        s3 = self.cloud.client("s3", "us-east-1")
        prefix = f"of/foo/{origin}/outputs/"
        found = s3.list_objects_v2(Bucket="lab-runs", Prefix=prefix).get("Contents", [])
        read = {one["Key"]: s3.get_object(Bucket="lab-runs", Key=one["Key"])["Body"].read() for one in found}
        return {key.removeprefix(prefix): content.decode() for key, content in read.items()}


@pytest.fixture
def instance(cloud, tmp_path):
    if os.getuid():
        pytest.skip("the program runs as root")
    cloud.client("s3", "us-east-1").create_bucket(Bucket="lab-runs")
    known = answers(INSTANCE, "us-east-1", b"", cloud.secret)
    servers = serve(known), Network(cloud.url)
    made = OnInstance(cloud, tmp_path, known, servers[1])
    made.service = f"http://127.0.0.1:{servers[0].server_address[1]}"
    yield made
    for server in servers:
        server.shutdown()
        server.server_close()


def test_outputs_are_there_before_the_command_and_in_the_bucket_after_it_and_then_the_instance_ends(instance):
    assert instance.run("restore") == (0, "")
    assert instance.read("run/outputs.env") == "RESUMED=0\n"
    (instance.outputs / "model").write_text("trained")
    assert instance.ends(3) == (0, "")
    assert instance.objects() == {"model": "trained"}
    assert instance.run("leave") == (0, "")
    assert "start --no-block ec2-lab-power-off@completion.service" in instance.read("systemctl")
    s3 = instance.cloud.client("s3", "us-east-1")
    s3.put_object(Bucket="lab-runs", Key="of/foo/i-1/outputs/ckpt/1", Body=b"one")
    assert instance.run("restore", origin="i-1") == (0, "ec2-lab: outputs: 1 files (3 bytes) of i-1 are restored\n")
    assert instance.read("run/outputs.env") == "RESUMED=1\n"
    assert instance.read("outputs/ckpt/1") == "one"
    (instance.outputs / "ckpt/2").write_text("two")
    instance.settings["origin"] = "i-1"
    assert instance.ends(0)[0] == 0
    assert instance.objects("i-1") == {"ckpt/1": "one", "ckpt/2": "two"}


def test_what_could_not_be_uploaded_at_the_end_is_later_and_then_the_instance_ends(instance):
    instance.run("restore")
    (instance.outputs / "model").write_text("whole")
    instance.ends(0)
    for name, content in (("report", "report"), ("model", "half")):
        (instance.outputs / name).write_text(content)
    held = {(instance.outputs / name).stat().st_ino: name == "report" for name in ("report", "model")}
    (instance.directory / "run/outputs-open").write_text(json.dumps(held))
    instance.cloud.scenario(faults=[{"action": "PutObject", "code": "AccessDenied", "message": "no", "status": 403}])
    code, said = instance.ends(137)
    assert code == 1
    assert "'model' was being written when the command was killed" in said
    assert "can't be uploaded to s3://lab-runs/of/foo/i-0123456789abcdef0/outputs/: AccessDenied: no\n" in said
    assert "this instance keeps retrying, and then terminates itself\n" in said
    instance.run("leave")
    assert "power-off" not in instance.read("systemctl")
    assert "start --no-block experiment-outputs.service" in instance.read("systemctl")
    instance.cloud.scenario()
    assert instance.run("follow") == (0, "ec2-lab: outputs: everything is uploaded now\n")
    assert instance.objects() == {"model": "whole", "report": "report"}
    assert "power-off@completion" in instance.read("systemctl")
    assert instance.run("follow") == (0, ""), "it has nothing to do after the command's end"


def test_the_end_does_not_wait_for_an_s3_that_no_longer_answers(instance):
    instance.run("restore")
    for number in range(40):
        (instance.outputs / str(number)).touch()
    instance.network.seconds, whole = 1.0, instance.text
    instance.text = whole.replace("SILENCE = 240", "SILENCE = 0.3")
    code, said = instance.ends(0)
    assert code == 1
    assert said.startswith("ec2-lab: outputs: not everything could be uploaded; this instance keeps retrying")
    assert whole != instance.text
    instance.network.seconds = 0.0
    (instance.directory / "outputs").rename(instance.directory / "renamed")
    code, said = instance.ends(0)
    assert code == 1
    assert "can't be read" in said
    assert instance.read("systemctl").count("start --no-block experiment-outputs.service") == 2


def test_a_command_whose_outputs_cannot_be_restored_never_begins_and_the_next_launch_tries_again(instance):
    denied = {"action": "ListObjectsV2", "code": "AccessDenied", "message": "you may not list", "status": 403}
    instance.cloud.scenario(faults=[denied])
    assert instance.run("restore", origin="i-1") == (1, "")
    instance.cloud.scenario()
    assert instance.read("run/never-began") == "the command never started: outputs: AccessDenied: you may not list"
    (instance.directory / "run/experiment/begun").unlink()
    (instance.outputs / "x").write_text("left alone")
    assert instance.ends(1) == (0, "")
    assert json.loads(instance.read("state/ended.json"))["interrupted"] == "its outputs could not be restored"
    assert instance.objects() == {}
    (instance.directory / "run/interrupted").unlink()
    assert instance.ends(137) == (0, ""), "the power was cut while it ran"
    assert "started again" in json.loads(instance.read("state/ended.json"))["interrupted"]
    code, said = instance.run("follow", mount="/nowhere")
    assert code == 1
    assert "is not mounted: '/nowhere'" in said
    assert instance.run("restore", mount="/nowhere")[0] == 1
    assert instance.read("run/never-began").endswith("outputs: /nowhere is not mounted")
    (instance.directory / "link").symlink_to("/etc")
    assert instance.run("restore", directory=str(instance.directory / "link"))[0] == 1
    assert instance.read("run/never-began").endswith("/link is a link, or lies behind one")


def test_what_a_killed_command_was_writing_leaves_its_last_whole_version_in_the_bucket(instance):
    instance.run("restore")
    (instance.outputs / "model").write_text("whole")
    (instance.outputs / "other").write_text("whole")
    assert instance.ends(0)[0] == 0
    (instance.directory / "state/ended.json").unlink()
    with (instance.outputs / "model").open("w") as model, (instance.outputs / "log").open("a") as log:
        model.write("ha")
        model.flush()
        log.write("line\n")
        log.flush()
        following = instance.start("follow", every=60)
        wait_until(lambda: str(os.fstat(log.fileno()).st_ino) in instance.read("run/outputs-open"))
        following.terminate()
        following.communicate(timeout=30)
    (instance.outputs / "other").write_text("half")
    code, said = instance.ends(137)
    assert code == 0, said
    assert instance.objects() == {"model": "whole", "other": "whole", "log": "line\n"}
    assert "'model' was being written when the command was killed" in said
    assert instance.ends(143)[0] == 0
    assert instance.objects() == {"model": "whole", "other": "half", "log": "line\n"}, "who gets SIGTERM saves and ends"


def test_an_interrupted_command_may_end_with_any_exit_code_while_the_instance_shuts_down(instance):
    instance.run("restore")
    (instance.directory / "run/interrupted").write_text("terminate at 2026-11-27T10:02:00Z")
    assert instance.ends(0)[0] == 0
    assert "interrupted" not in json.loads(instance.read("state/ended.json")), "it had done its work"
    (instance.directory / "is").write_text("stopping")
    assert instance.ends(0)[0] == 0
    assert json.loads(instance.read("state/ended.json"))["interrupted"] == "terminate at 2026-11-27T10:02:00Z"


def test_changes_are_uploaded_one_round_after_another_and_at_once_when_aws_announces_an_interruption(instance):
    instance.run("restore")
    instance.network.share = 0.2
    following = instance.start("follow", every=30)
    (instance.outputs / "a").write_text("early")
    wait_until(lambda: instance.objects() == {"a": "early"})
    (instance.outputs / "b").write_text("late")
    time.sleep(0.3)
    assert instance.objects() == {"a": "early"}, "until the next round"
    action = {"action": "terminate", "time": "2026-11-27T10:02:00Z"}
    instance.known["meta-data/spot/instance-action"] = json.dumps(action).encode()
    wait_until(lambda: "b" in instance.objects(), 10)
    (instance.outputs / "c").write_text("last")
    wait_until(lambda: "c" in instance.objects(), 10)
    following.terminate()
    out, err = following.communicate(timeout=30)
    assert (following.returncode, err) == (0, "")
    assert "AWS interrupts this instance (terminate at 2026-11-27T10:02:00Z)" in out
    instance.ends(143)
    assert json.loads(instance.read("state/ended.json"))["interrupted"] == "terminate at 2026-11-27T10:02:00Z"
