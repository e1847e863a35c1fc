"""A virtual machine's power is cut while its command writes checkpoints; the next one goes on with them."""

import json
import re
import time

import pytest

from tests.unreliable_network import Network
from tests.vm.qemu import wait_until
from tests.vm.tools import plugin

pytestmark = pytest.mark.vm

EVERY, UPLOAD = 10, 20
"""Seconds: of sync_every, and of one upload on a computer that runs tests, with the clocks of two computers."""
EXPERIMENT = f"""
instance_types = ["g5.xlarge"]
markets = ["spot"]
artifact_uri = "s3://lab-runs/of"
instance_profile = "writer"
outputs = "/outputs"
sync_every = "{EVERY}s"
command = '''
echo "RESUMED=$RESUMED as $(stat -c %U /outputs)"
exec python3 - <<'PROGRAM'
import json, os, pathlib, sys, time
root = pathlib.Path("/outputs")
def whole(path):
    content = path.read_bytes()
    return len(set(content)) == 1 and len(content) == 300_000
if os.environ["RESUMED"] == "1":
    steps = sorted(root.glob("step-*"))
    last = max(float(path.stat().st_mtime) for path in steps)
    found = dict(steps=len(steps), last=last, whole=all(map(whole, (*steps, *root.glob("latest")))))
    print("FOUND", json.dumps(dict(found, link=os.readlink(root / "newest"))), flush=True)
    (root / "done").write_text("done")
    sys.exit(0)
log = open(root / "log", "a", buffering=1)
for step in range(10_000):
    content = bytes([step % 250]) * 300_000
    with open(root / "latest", "wb", buffering=0) as file:
        for first in range(0, 300_000, 100_000):
            file.write(content[first:first + 100_000])
            time.sleep(0.02)
    (root / "draft").write_bytes(content)
    (root / "draft").rename(root / ("step-%04d" % step))
    (root / "link").symlink_to("step-%04d" % step)
    (root / "link").rename(root / "newest")
    print("step", step, time.time(), file=log)
    time.sleep(0.5)
PROGRAM
'''
"""


def objects(cloud, origin):
    s3 = cloud.client("s3", "us-east-1")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="lab-runs", Prefix=f"of/train/{origin}/outputs/")
    return [entry["Key"].rpartition("/")[2] for page in pages for entry in page.get("Contents", ())]


def newest(cloud, origin):
    return max((name for name in objects(cloud, origin) if name.startswith("step-")), default="")


def test_the_next_instance_has_what_was_there_until_shortly_before_the_power_was_cut(laboratory, tools):
    cloud = laboratory.cloud
    network = Network(cloud.url)
    cloud.client("s3", "us-east-1").create_bucket(Bucket="lab-runs")
    cloud.client("iam", "us-east-1").create_instance_profile(InstanceProfileName="writer")
    laboratory.directory.write("experiments/train.toml", EXPERIMENT)
    laboratory.directory.write("plugins/tools.py", plugin(cloud, url=network.url))
    first, ended = laboratory.launch("train", lambda _: [tools])
    assert ended.code == 0, ended.out + ended.err + first.console[-3000:]

    def grows():
        before = newest(cloud, first.instance)
        wait_until(lambda: newest(cloud, first.instance) > before, "a checkpoint in the bucket", lambda: "")

    grows()
    network.share, network.seconds = 0.4, 0.1  # S3 refuses, and connections are cut
    grows()
    network.share = 1.0  # S3 is gone
    time.sleep(EVERY / 2)
    network.share = network.seconds = 0.0
    grows()
    grows()
    time.sleep(EVERY / 2)
    first.stop()
    cut = time.time()
    cloud.end(first.instance, "us-east-1", "Server.SpotInstanceTermination")

    second, ended = laboratory.launch("train", lambda _: [tools])
    assert ended.code == 0, ended.out + ended.err + second.console[-3000:]
    assert f"resuming from {first.instance} (" in ended.out
    waited = laboratory.run("wait", EXP="train")
    log = laboratory.run("logs", EXP="train").out
    assert (waited.code, waited.out) == (0, "train: exited with status 0\n"), log + waited.err
    assert "RESUMED=1 as experiment\n" in log
    found = json.loads(re.search("^FOUND (.*)$", log, re.MULTILINE)[1])
    assert found["whole"], "no file is half there under its name"
    assert found["link"].startswith("step-")
    lost = cut - found["last"]
    print(f"{found['steps']} checkpoints came back; the newest is of {lost:.1f} s before the cut")
    assert lost < EVERY + UPLOAD
    # The last upload begins when the command has exited, of which the instance tells at once.
    wait_until(lambda: "done" in objects(cloud, first.instance), "the last upload, under the run's prefix", lambda: "")
    network.shutdown()
    network.server_close()
