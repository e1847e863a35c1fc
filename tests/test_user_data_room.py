"""A launch with everything that an experiment can have fits the 16 KiB of user data."""

import ast
import base64
import random
import re
from fnmatch import fnmatch

import yaml

from ec2lab.hosts.accounts_document import OVER_SSH
from ec2lab.hosts.program_packer import left, program, sent
from ec2lab.launch.parts.volumes import OF_PARTS
from ec2lab.launch.user_data import USER_DATA_LIMIT, user_data
from ec2lab.templates import as_json, text_of

EVERYTHING = """
instance_types = ["g5.xlarge"]
ttl = "12h"
idle_timeout = "30m"
nodes = 4
command = "cd /data && torchrun --nnodes 4 --nproc-per-node 8 train.py --lr $lr"
parameters = { lr = 0.1, seed = 3 }
artifact_uri = "s3://lab-runs/of"
instance_profile = "writer"
on_completion = "teardown"
[[data]]
dataset = "speech"
mount = "/data"
owner = ":docker"
[[scratch]]
mount = "/scratch"
size_gib = 10
[instance_store]
mount = "/local"
"""
NOTIFY = '[notify]\nemail = ["team@example.org"]\n'
SECRETS = '[secrets]\nHF_TOKEN = "env:HF_TOKEN"\nWANDB_API_KEY = "secretsmanager:wandb#key"\n'


def key(name):
    body = random.Random(name).randbytes(32)
    packed = b"\0\0\0\x0bssh-ed25519\0\0\0 " + body
    return f"ssh-ed25519 {base64.b64encode(packed).decode()} {name}@laptop"


SPARE = 176
"""Bytes that a longer command may have, and that nothing makes shorter."""
SPARE_OTHERWISE = 320
"""As many where the command is brought over ssh."""


def written(program):
    """A program as a cloud-init document has it."""
    return str(as_json(program))


def test_everything_at_once_with_twenty_members_fits_and_without_ssh_everything_but_idle(lab, cloud):
    """What the command needs is brought over ssh, with code, several nodes, or where all is asked for.

    Without ssh, a dataset in a partition has no room beside a notification.
    """
    lab.write("lab.toml", f'regions = ["us-east-1"]\n[ssh]\nboot_timeout = "60s"\n{NOTIFY}')
    lab.write("experiments/full.toml", f'container = "nvcr.io/nvidia/pytorch:26.01-py3"{EVERYTHING}{SECRETS}')
    lab.write("experiments/single.toml", EVERYTHING.replace("nodes = 4", ""))
    lab.write("experiments/alone.toml", EVERYTHING.replace("nodes = 4", "").replace('idle_timeout = "30m"', ""))
    for number in range(20):
        lab.write(f"members/member{number:02}.toml", f'keys = ["{key(f"member{number:02}")}"]\n')
    for name in ("full", "single", "alone"):
        planned = lab.run("plan", EXP=name, JSON="1", MEMBER="member07")
        requests = [event for event in planned.events if event["event"] == "planned-request"]
        assert len(requests) == 1, planned.err
        text = requests[0]["cloud_init"]
        assert ("idle-shutdown" in text) == (name != "alone")
        assert ("write-log" in text) == (name == "alone")
        assert ("delivery-deadline" in text, "HF_TOKEN" in text) == (name == "full", False)
        assert ("pull-container" in text, "run-container" in text) == (name == "full", False)
        assert "notify-end" in text
        assert "member07" in text, "who logs in makes the others"
        with_parts = text.replace(written(sent("mount-volumes.py", *OF_PARTS)), written(sent("mount-volumes.py")))
        assert len(with_parts) > len(text), "a dataset may lie in a partition"
        if name == "alone":
            with_parts = text
        longer = f"# {random.Random(name).randbytes(SPARE if name == 'alone' else SPARE_OTHERWISE).hex()}\n"
        assert len(user_data(with_parts + longer)) <= USER_DATA_LIMIT


def test_where_nobody_can_bring_what_has_no_room_that_is_said_before_anything_is_made(lab, cloud):
    lab.write("lab.toml", 'regions = ["us-east-1"]\n[ssh]\nboot_timeout = "0s"\n')
    lab.write("experiments/single.toml", EVERYTHING.replace("nodes = 4", ""))
    ended = lab.launch("single")
    assert 'ssh.boot_timeout: is "0s", and single needs its command, which is sent over ssh' in ended.error
    assert cloud.calls("RunInstances") == []


STAYS = {"/etc/ssh/sshd_config.d/00-ec2-lab.conf", "/etc/systemd/system-preset/00-ec2-lab.preset"}
"""What is as good on another instance."""


def test_all_that_a_launch_writes_is_forgotten_by_an_instance_made_from_an_image_of_it(lab, cloud):
    lab.write("lab.toml", f'regions = ["us-east-1"]\n{NOTIFY}')
    lab.write("experiments/full.toml", EVERYTHING + SECRETS)
    (request,) = [
        event for event in lab.run("plan", EXP="full", JSON="1").events if event["event"] == "planned-request"
    ]
    document = yaml.safe_load(request["cloud_init"])
    (units,) = re.findall(r"^  rm -rf -- (ec2-lab-.*)", text_of("new-instance.sh"), re.MULTILINE)
    gone = ["/opt/ec2-lab/*", "/etc/ec2-lab/*", *(f"/etc/systemd/system/{pattern}" for pattern in units.split())]
    written = {file["path"] for file in document["write_files"]}
    assert {path for path in written if not any(fnmatch(path, pattern) for pattern in gone)} == STAYS


def test_what_comes_with_the_boot_calls_nothing_that_was_left_out():
    """Those that may call it do so only where they are told to, which nobody does at the boot."""
    left_out, callers = OVER_SSH, {"look", "departures", "settle", "key_changes"}
    rest = ast.parse(left(program("accounts.py"), *left_out))
    parts = {part.name: part for part in rest.body if isinstance(part, ast.FunctionDef | ast.ClassDef)}
    empty = parts.keys() & set(left_out)
    assert all(ast.unparse(parts[name]).endswith("return ''") and len(parts[name].body) == 1 for name in empty)
    called = {
        node.func.id
        for name, part in parts.items() if name not in callers
        for node in ast.walk(part) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }  # fmt: skip
    assert not (called & set(left_out)) - empty
