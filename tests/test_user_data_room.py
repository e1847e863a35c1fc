"""A launch with everything that an experiment can have fits the 16 KiB of user data."""

import ast
import base64
import gzip
import random

from scripts.core.hosts.host_program import sent
from scripts.core.render import USER_DATA_LIMIT
from scripts.parts.volumes import OVER_SSH

EVERYTHING = """
types = ["g5.xlarge"]
ttl = "12h"
idle = "30m"
nodes = 4
command = "cd /data && torchrun --nnodes 4 --nproc-per-node 8 train.py --lr $lr"
parameters = { lr = 0.1, seed = 3 }
bucket = "s3://lab-runs/of"
instance_profile = "writer"
then = "teardown"
[[data]]
dataset = "speech"
mount = "/data"
owner = ":docker"
[[scratch]]
mount = "/scratch"
gib = 10
[instance_store]
mount = "/local"
"""


def key(name):
    body = random.Random(name).randbytes(32)
    packed = b"\0\0\0\x0bssh-ed25519\0\0\0 " + body
    return f"ssh-ed25519 {base64.b64encode(packed).decode()} {name}@laptop"


def test_everything_at_once_with_twenty_members_fits(lab, cloud):
    lab.write("lab.toml", 'regions = ["us-east-1"]\n[ssh]\nwait = "60s"\n')
    lab.write("experiments/full.toml", EVERYTHING)
    for number in range(20):
        lab.write(f"members/member{number:02}.toml", f'keys = ["{key(f"member{number:02}")}"]\n')
    planned = lab.run("plan", EXP="full", JSON="1", MEMBER="member07")
    (request,) = [event for event in planned.events if event["event"] == "request"]
    text = request["cloud_init"]
    assert "end-when-idle" in text
    assert "member07" in text, "who logs in makes the others"
    assert len(gzip.compress(text.encode(), 9)) < USER_DATA_LIMIT


def test_what_comes_with_the_boot_calls_nothing_that_was_left_out():
    left = ast.parse(sent("mount-volumes.py", *OVER_SSH))
    functions = {f.name: f for f in left.body if isinstance(f, ast.FunctionDef)}
    assert not functions.keys() & set(OVER_SSH)
    asked_for = {
        n.id for name, f in functions.items() if name != "main" for n in ast.walk(f) if isinstance(n, ast.Name)
    }
    assert not asked_for & set(OVER_SSH), "main calls them only where it is told to"
