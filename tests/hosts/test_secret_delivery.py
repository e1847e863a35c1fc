"""A secret of each source reaches the command of a real host under systemd, and is to be found nowhere else."""

import base64
import hashlib
import json
import socket

import pytest

from tests.hosts.host import Host
from tests.hosts.instance import let_in
from tests.hosts.systemd import systemd_on
from tests.hosts.test_delivery import CLOUD_INIT, launching
from tests.hosts.test_secrets import user_data_of
from tests.lab_directory import REPOSITORY
from tests.test_fetch_secrets import ODD
from tests.test_runs import git
from tests.vm.metadata import answers, serve
from tests.waiting import wait_until

PLANTED = {name: f"planted-{name}{ODD}" for name in ("HF_TOKEN", "DB_PASSWORD", "WANDB_API_KEY")}
STATE = "/var/lib/ec2-lab/instance"
EXPERIMENT = """
instance_types = ["g5.xlarge"]
regions = ["us-east-1"]
instance_profile = "reader"
command = "python3 digests.py; while test ! -e go-on; do sleep 0.1; done"
code = { path = "../speech" }
[secrets]
HF_TOKEN = "env:HUB"
DB_PASSWORD = "ssm:/speech/db"
WANDB_API_KEY = "secretsmanager:wandb#key"
"""
DIGESTS = """
import hashlib, os
for name in "HF_TOKEN", "DB_PASSWORD", "WANDB_API_KEY":
    print(name, hashlib.sha256(os.environb[name.encode()]).hexdigest(), flush=True)
"""
RUNUSER = '#!/bin/sh\ncat /proc/[0-9]*/cmdline >>/var/seen\nexec /usr/sbin/runuser.own "$@"\n'
"""What unpacks the code looks around while the secrets are on their way."""
SEARCH = "find / /run -xdev -path /proc -prune -o -type f -newer /etc/environment ! -name needles -exec grep -lFf"


@pytest.fixture
def there(debian_with_systemd, lab, cloud, tmp_path, alice_key):
    """A host with systemd and sshd that could be an instance, and a lab whose every process is watched."""
    (tmp_path / "host").mkdir()
    host = Host(debian_with_systemd, tmp_path / "host")
    systemd = systemd_on(host)
    repository = tmp_path / "speech"
    repository.mkdir()
    (repository / "digests.py").write_text(DIGESTS)
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "one"]):
        git(repository, *words)
    lab.write("lab.toml", 'regions = ["us-east-1"]\n[ssh]\nboot_timeout = "60s"\n')
    lab.write("experiments/train.toml", EXPERIMENT)
    metadata = serve(answers("i-0123456789abcdef0", "us-east-1", b"", cloud.secret))
    service = f"http://127.0.0.1:{metadata.server_address[1]}"
    host.write("/etc/environment", f"AWS_ENDPOINT_URL={cloud.url}\nAWS_EC2_METADATA_SERVICE_ENDPOINT={service}\n")
    host.write("/usr/bin/cloud-init", CLOUD_INIT, mode=0o755)
    host.run("useradd", "--create-home", "experiment")
    host.run("mkdir", "-p", STATE)
    host.run("mv", "/usr/sbin/runuser", "/usr/sbin/runuser.own")
    host.write("/usr/sbin/runuser", RUNUSER, mode=0o755)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host.port = probe.getsockname()[1]
    lab.variables = let_in(lab, host, "alice", alice_key)
    systemd.boot()
    sshd = ["/usr/sbin/sshd", "-D", "-p", str(host.port), "-o", "ListenAddress=127.0.0.1"]
    systemd.run("systemd-run", "--quiet", "--property=RuntimeDirectory=sshd", *sshd)
    yield lab, systemd
    systemd.stop()
    host.stop()
    metadata.shutdown()
    metadata.server_close()


def test_secrets_of_every_source_reach_the_command_and_are_to_be_found_nowhere_else(there, cloud, tmp_path):
    lab, systemd = there
    host = systemd.host
    cloud.client("iam", "us-east-1").create_instance_profile(InstanceProfileName="reader")
    cloud.client("ssm", "us-east-1").put_parameter(Name="/speech/db", Value=PLANTED["DB_PASSWORD"], Type="SecureString")
    secret = json.dumps({"key": PLANTED["WANDB_API_KEY"]})
    cloud.client("secretsmanager", "us-east-1").create_secret(Name="wandb", SecretString=secret)
    commands = tmp_path / "commands"
    watching = {
        "COMMANDS": str(commands), "PYTHONPATH": f"{REPOSITORY / 'tests/watched_processes'}:{REPOSITORY}"
    }  # fmt: skip
    lab.variables |= watching | {"HUB": PLANTED["HF_TOKEN"], "DEBUG": "1"}
    process = launching(lab, cloud, host)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, out + err
    assert "and its secrets to train" in out
    log = host.path(f"{STATE}/log")
    digests = {name: hashlib.sha256(value.encode()).hexdigest() for name, value in PLANTED.items()}
    wanted = "".join(f"{name} {digest}\n" for name, digest in digests.items())
    assert wait_until(lambda: log.exists() and log.read_text() == wanted), "they arrive byte for byte"

    left = systemd.run("ls", "-A", "/run/ec2-lab").stdout
    assert "secrets" not in left, "nothing needs the files any more"
    needles = [needle for value in PLANTED.values() for needle in forms(value)]
    arguments = systemd.run("sh", "-c", "cat /proc/[0-9]*/cmdline; true").stdout + host.path("/var/seen").read_text()
    host.write("/root/needles", "\n".join(needles))
    assert systemd.run(*SEARCH.split(), "/root/needles", "{}", "+", check=False).stdout == "", "in no file there"
    host.write("/root/found", needles[-1])
    assert systemd.run(*SEARCH.split(), "/root/needles", "{}", "+").stdout == "/root/found\n", "the search works"
    places = {
        "arguments there": arguments, "arguments here": commands.read_text(), "the screen": out + err,
        "the journal": systemd.run("journalctl", "--no-pager", check=False).stdout, "user data": user_data_of(cloud),
        **{str(path): path.read_text(errors="replace") for path in files_of(lab)},
    }  # fmt: skip
    assert "/opt/ec2-lab/experiment" in arguments
    assert str(lab.registry) in places
    assert any(place.endswith("server.log") for place in places)
    assert [(place, needle) for place, text in places.items() for needle in needles if needle in text] == []

    host.path("/home/experiment/code/go-on").touch()
    ended = host.path(f"{STATE}/ended.json")
    assert wait_until(ended.exists)
    assert json.loads(ended.read_text())["exit_code"] == 0
    # As after a reboot before the command began: what was brought is gone, and what AWS keeps is asked for again.
    ended.unlink()
    cloud.client("ssm", "us-east-1").delete_parameter(Name="/speech/db")
    systemd.run("systemctl", "start", "experiment.service", check=False)
    assert wait_until(ended.exists)
    told = json.loads(ended.read_text())
    assert told["exit_code"] == 1
    assert told["why"].startswith(
        "the command never started: secrets: HF_TOKEN (env:HUB): lost, because the instance r"
    )
    assert "DB_PASSWORD (ssm:/speech/db): ParameterNotFound in us-east-1" in told["why"]
    waited = lab.run("wait", EXP="train", **lab.variables)
    assert (waited.code, told["why"] in waited.out) == (1, True), waited.out + waited.err


def forms(value):
    """The first word of a secret as it is and in base64, which is what every longer form of it has in it."""
    word = value.split()[0]
    return [word, *(base64.b64encode(b"x" * shift + word.encode()).decode()[4:-4] for shift in range(3))]


def files_of(lab):
    """The files of a lab, of its user and of its local cloud."""
    directories = (lab.path, lab.path.parent / "home", (lab.path / ".local-cloud").resolve())
    return [path for directory in directories for path in directory.rglob("*") if path.is_file()]
