"""Each mistake in a file is one line that names file and key and says what would be right."""

import re

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ec2lab.config.lab_sections import Accounts, DatasetBuilder, Logs, Network, Ssh
from ec2lab.config.models import Experiment, Lab, Member
from ec2lab.config.public_key import public_key
from ec2lab.config.toml_files import load
from ec2lab.errors import UserError
from ec2lab.hosts.inventory import region_of
from ec2lab.launch.search import placement_preferences
from ec2lab.regions import partition_of
from tests.lab_directory import REPOSITORY

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxR4ST9gzHWkqQ6fLzXYzOHO7cBGVmvJAcBxJYzKMrF alice@laptop"
PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\\nb3Bl"
SCRATCH = 'instance_types = ["g5.xlarge"]\n[[scratch]]\nmount = "/s"\nsize_gib = 1\n'
KEPT = 'instance_types = ["g5.xlarge"]\n[[data]]\nmount = "/s"\ndataset = "a"\ndeletion_policy = "retain"'
LOCAL = '[instance_store]\nmount = "/s/local"'
MODELS = {"lab": Lab, "experiment": Experiment, "member": Member}


def complaint(tmp_path, kind, text):
    path = tmp_path / "file.toml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load(path, MODELS[kind], shown_as="file.toml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (
            "experiment",
            'instance_typse = ["g5.xlarge"]',
            'file.toml: instance_typse: unknown key (did you mean "instance_types"?)',
        ),
        (
            "experiment",
            "",
            'file.toml: instance_types: is missing (try instance_types = ["p4d.24xlarge", "g5.12xlarge"], or gpu',
        ),
        (
            "experiment",
            'instance_types = "g5.xlarge"',
            "file.toml: instance_types: should be a valid list, not 'g5.xlarge' (try instance_types =",
        ),
        ("experiment", "instance_types = []", "file.toml: instance_types: is empty (try instance_types ="),
        (
            "experiment",
            'instance_types = ["g5xlarge"]',
            "file.toml: instance_types[0]: 'g5xlarge' is not an instance type",
        ),
        (
            "experiment",
            'instance_types = ["g5.xlarge"]\n[[data]]\ndataset = "speech"\nmount = "data"',
            "file.toml: data[0].mount: 'data' is not an absolute path (try \"/data\")",
        ),
        *(
            (
                "experiment",
                f'instance_types = ["g5.xlarge"]\n[[scratch]]\nsize_gib = 1\nmount = "{mount}"',
                f"file.toml: scratch[0].mount: '{mount}' is where users other than root can write",
            )
            for mount in ("/tmp/a", "/var/tmp/a", "/home/alice/data")
        ),
        (
            "experiment",
            'instance_types = ["g5.xlarge"]\n[[scratch]]\nsize_gib = 1\nmount = "/s"\noptions = ["exec,suid"]',
            "file.toml: scratch[0].options[0]: should be 'suid', 'dev', 'noexec'",
        ),
        *(
            (
                "experiment",
                f'instance_types = ["g5.xlarge"]\nscratch = [{{size_gib = 1, mount = "/s", {given_away}}}]\n{LOCAL}',
                "file.toml: /s/local lies in /s, whose owner could place a link; mount it elsewhere",
            )
            for given_away in ('owner = "alice"', 'owner = ":docker", mode = "2775"')
        ),
        (
            "experiment",
            'instance_types = ["x1.x"]\n[[data]]\ndataset = "a"\nmount = "/d"\n[[data]]\ndataset = "b"\nmount = "/d"',
            "file.toml: two volumes can't share a mount point",
        ),
        (
            "experiment",
            'instance_types = ["g5.xlarge"]\ncapacity_timeout = 3',
            'file.toml: capacity_timeout: 3 is not a duration (try "90s"',
        ),
        (
            "experiment",
            'instance_types = ["g5.xlarge"]\nimage = "ami-1"',
            "file.toml: image: 'ami-1' is not an image (try",
        ),
        (
            "experiment",
            'instance_types = ["g5.xlarge"]\nroot_volume = { size_gib = "big" }',
            "file.toml: root_volume.size_gib: should be a valid integer",
        ),
        (
            "experiment",
            'instance_types = ["g5.xlarge"]\nidle_timeout = "30s"',
            'file.toml: idle_timeout = "30s": instances check once a minute',
        ),
        (
            "experiment",
            f'{SCRATCH}deletion_policy = "retain"\nretain_for = "30d"',
            'file.toml: scratch[0]: deletion_policy = "retain" requires reason = "until the paper is out": a ',
        ),
        (
            "experiment",
            'instance_types = ["g5.xlarge"]\n[[scratch]]\nmount = "/s"\nsize_gib = 1\nreason = "x"',
            "file.toml: scratch[0]: retain_for and reason require deletion_policy",
        ),
        (
            "experiment",
            f'{KEPT}\nreason = "x"\nretain_for = "9999d"',
            'file.toml: data[0]: retain_for = "9999d" is too long',
        ),
        ("lab", 'regions = ["us-east-1"]\ncloud = "awz"', "file.toml: cloud: should be 'local' or 'aws', not 'awz'"),
        ("lab", 'regions = ["us-east1"]', "file.toml: regions[0]: 'us-east1' is not a region"),
        ("lab", 'regions = ["us-wset-2"]', "file.toml: regions[0]: 'us-wset-2' is not a region"),
        ("lab", 'regions = ["us-east-1a"]', "file.toml: regions[0]: 'us-east-1a' is not a region"),
        ("lab", 'regions = ["aws-global"]', "file.toml: regions[0]: 'aws-global' is not a region"),
        (
            "experiment",
            'instance_types = ["g5.xlarge"]\nzones = ["us-east1-a"]',
            "file.toml: zones[0]: 'us-east1-a' is not",
        ),
        (
            "experiment",
            'instance_types = ["g5.xlarge"]\nzones = ["us-east-12a"]',
            "file.toml: zones[0]: 'us-east-12a' is not",
        ),
        (
            "experiment",
            'instance_types = ["g5*.xlarge"]',
            "file.toml: instance_types[0]: 'g5*.xlarge' is not an instance type",
        ),
        (
            "lab",
            'regions = ["us-east-1"]\n[network]\nssh_allowed_cidrs = ["1.2.3.4/8"]',
            "file.toml: network.ssh_allowed_cidrs: 1.2.3.4/8 has host bits set",
        ),
        (
            "lab",
            'regions = ["us-east-1"]\n[kms_keys]\nus-east-1 = "alias/lab"',
            "file.toml: kms_keys.us-east-1: 'alias/lab' is not the ARN of a key",
        ),
        ("lab", 'regions = ["us-east-1"', "file.toml: not TOML: Unclosed array"),
        (
            "lab",
            "regions = [\u201cus-east-1\u201d]",
            "file.toml:1: not TOML: Invalid value: there is '\u201c' (U+201C), use a straight \"",
        ),
        (
            "lab",
            'name\u00a0= "a"',
            "file.toml:1: not TOML: Expected '=' after a key in a key/value pair: there is '\\xa0'",
        ),
        ("member", 'keys = ["no-pty ssh-ed25519 AAAA"]', "file.toml: keys[0]: has text in front of the key"),
        ("member", f'keys = ["{PRIVATE}"]', "file.toml: keys[0]: is a private key, which must not be shared"),
        ("member", f'keys = "{PRIVATE}"', "file.toml: keys: should be a valid list, not a text that holds a private"),
        ("member", f'keys = ["{KEY}"]\ngroups = ["sudo; rm"]', "file.toml: groups[0]: 'sudo; rm' is not a group"),
    ],
)
def test_a_mistake_is_named_with_its_file_its_key_and_what_would_be_right(tmp_path, kind, text, said):
    line = complaint(tmp_path, kind, text)
    assert line.startswith(said)
    assert "\n" not in line
    assert "b3Bl" not in line


def test_a_file_that_powershell_wrote_is_said_to_be_one(tmp_path):
    (tmp_path / "file.toml").write_text('name = "a"', encoding="utf-16")
    with pytest.raises(UserError, match=r"^file\.toml: is UTF-16, as PowerShell's > writes it; save it as UTF-8$"):
        load(tmp_path / "file.toml", Lab, shown_as="file.toml")


def test_regions_zones_and_partitions_are_those_that_botocore_knows(tmp_path):
    session = botocore.session.Session()
    known = {name: session.get_available_regions("sts", name) for name in session.get_available_partitions()}
    for partition, regions in known.items():
        for region in regions:
            key = f'arn:{partition}:kms:{region}:123456789012:key/mrk-1"'
            lab = tmp_path / "file.toml"
            lab.write_text(f'regions = ["{region}"]\n[kms_keys]\n{region} = "{key}')
            assert load(lab, Lab, shown_as="file.toml").regions == [region]
            assert partition_of(region) == partition
    zones = {
        "us-west-2": "us-west-2-lax-1a",
        "us-east-1": "us-east-1-wl1-bos-wlz-1",
        "eusc-de-east-1": "eusc-de-east-1b",
    }
    for region, zone in zones.items():
        experiment = Experiment(instance_types=["u-6tb1.112xlarge"], regions=[region], zones=[zone])
        assert placement_preferences(Lab(regions=["us-east-1"]), "far", experiment).zones == [zone]
        assert region_of({"InstanceId": "i-1", "Placement": {"AvailabilityZone": zone}}) == region


def test_a_misspelled_region_is_answered_with_the_nearest(tmp_path):
    assert complaint(tmp_path, "lab", 'regions = ["us-wset-2"]').endswith('is not a region (did you mean "us-west-2"?)')


@given(st.text(max_size=60))
def test_no_text_around_a_key_gets_into_authorized_keys(text):
    kind, body, _ = KEY.split()
    for candidate in (f"{text} {kind} {body}", f"{kind} {body}{text}", f"{kind} {body} {text}"):
        try:
            key = public_key(candidate)
        except ValueError:
            continue
        assert key.startswith(f"{kind} {body}")
        assert key.isprintable() or all(ord(character) > 31 for character in key)
        assert len(key.splitlines()) <= 1 or not set("\n\r") & set(key)


def test_every_key_of_a_lab_stands_in_the_file_that_comes_with_it():
    text = (REPOSITORY / "lab.toml").read_text()
    for model in (Lab, Network, Ssh, Accounts, DatasetBuilder, Logs):
        lacking = [key for key in model.model_fields if not re.search(rf"^(# )?\[?{key}\b", text, re.MULTILINE)]
        assert lacking == [], model.__name__
