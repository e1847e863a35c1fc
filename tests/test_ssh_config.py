"""The lab's ssh files: written by many launches of one process at once, and nobody else's written or deleted."""

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from ec2lab.errors import UserError
from ec2lab.hosts.inventory import identities
from ec2lab.hosts.ssh_config import SshConfig, SshTarget

AT_ONCE = 32


def test_a_sweeps_launches_write_the_configuration_at_once_and_each_reads_it_whole(tmp_path):
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for number in range(40):
            lab = tmp_path / str(number)
            written = list(threads.map(lambda lab: SshConfig(lab).config.read_text(), [lab] * AT_ONCE))
            assert len(set(written)) == 1
            (config,) = (path for path in (lab / ".ssh").iterdir() if path.is_file())
            assert config.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("linked", [".ssh", ".ssh/hosts", ".ssh/known_hosts"])
def test_where_a_link_leads_to_nothing_is_written_or_deleted(lab, cloud, tmp_path, linked):
    """git brings links along with a branch."""
    theirs, own = tmp_path / "theirs", {"config": "Host mine\n", "demo": "keep"}
    theirs.mkdir()
    for name, text in own.items():
        (theirs / name).write_text(text)
    (lab.path / linked).parent.mkdir(exist_ok=True)
    (lab.path / linked).symlink_to(theirs)
    assert f"{linked}: is a link, and the lab writes and deletes files there" in lab.run("launch", EXP="demo").error
    assert cloud.calls("RunInstances") == []
    (lab.path / linked).unlink()
    assert lab.launch().code == 0
    lab.path.joinpath(".ssh").rename(tmp_path / "before")
    (lab.path / linked).parent.mkdir(exist_ok=True)
    (lab.path / linked).symlink_to(theirs)
    assert lab.run("teardown", EXP="demo").code == 1
    assert {path.name: path.read_text() for path in theirs.iterdir()} == own
    assert lab.status() == [], "what costs is gone all the same"


def test_in_a_lab_that_is_a_home_the_users_own_configuration_stays(lab):
    lab.write(".ssh/config", "Host mine\n")
    ended = lab.run("launch", EXP="demo", HOME=str(lab.path))
    assert ".ssh: is your own" in ended.error
    assert (lab.path / ".ssh/config").read_text() == "Host mine\n"


def test_a_private_key_goes_first_and_its_public_half_with_it_unless_that_lies_beside_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    keys = [tmp_path / ".ssh" / name for name in ("beside", "alone", "elsewhere")]
    for key in keys:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    beside, alone, elsewhere = (key.with_suffix(".pub").read_text().strip() for key in keys)
    keys[1].with_suffix(".pub").unlink()
    keys[2].unlink()
    files = SshConfig(tmp_path / "lab")
    offered = identities(files, [elsewhere, alone, beside])
    assert offered == [keys[1], keys[0], files.public_half(elsewhere), files.public_half(alone)]


@pytest.mark.parametrize("name", ['a "key"', "a\\key", "a\nkey", "a\udcffkey", "${HOME}"])
def test_a_key_of_a_name_that_ssh_can_not_be_told_is_left_to_the_agent(tmp_path, monkeypatch, name):
    monkeypatch.setenv("HOME", str(tmp_path))
    key = tmp_path / ".ssh" / name
    key.parent.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    (tmp_path / "key").rename(key)
    files = SshConfig(tmp_path / "lab")
    (public,) = identities(files, [(tmp_path / "key.pub").read_text().strip()])
    assert public.parent == tmp_path / "lab/.ssh/keys"
    files.write("demo", [SshTarget("demo", "127.0.0.1", "i-1", "us-east-1")], "alice", [public])
    told = subprocess.run(["ssh", "-F", files.config, "-G", "demo"], capture_output=True, text=True, check=True).stdout
    assert f"identityfile {public}\n" in told
    assert "identitiesonly yes\n" in told
    with pytest.raises(UserError, match="ssh's configuration can't name such a path"):
        files.write("demo", [SshTarget("demo", "127.0.0.1", "i-1", "us-east-1")], "alice", [key])
