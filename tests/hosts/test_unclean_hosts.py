"""Accounts on hosts that are not as clean as a fresh image: what can be done is done, and what can't is said."""

import pytest

from tests.changed_constants import sent_with
from tests.hosts.program import program

accounts = program("accounts")


def members(**entries):
    return {"members": entries}


def mode(host, path):
    return host.run("stat", "-c", "%a", path).stdout.strip()


def test_no_home_is_made_below_a_mount_point_before_its_volume_is_mounted(host, alice_key, bob_key):
    document = members(alice={"keys": [alice_key.line]}, bob={"keys": [bob_key.line], "sudo": "nopasswd"})
    host.accounts(members(bob={"keys": [alice_key.line]}))
    host.write("/etc/fstab", "# homes\nLABEL=ho\\040mes /home ext4 nofail 0 2")
    before = host.run("ls", "-lanR", "--time-style=full-iso", "/home").stdout
    told = host.accounts(document)
    why = "/home is not mounted, so /home/{} can't be created; run `make users` once it is"
    assert told.detail("alice", "problem") == why.format("alice")
    assert told.of("bob") == ["problem", "sudo"], "what needs no home is done"
    assert told.detail("bob", "problem") == why.format("bob")
    assert host.run("ls", "-lanR", "--time-style=full-iso", "/home").stdout == before
    assert host.run("getent", "passwd", "alice", check=False).returncode == 2

    host.run("mount", "-t", "tmpfs", "-o", "mode=0755", "homes", "/home")
    told = host.accounts(document)
    assert told.code == 0, told.text
    assert told.of("bob") == ["home created", "key added"]
    assert host.path("/home/bob/.bashrc").exists(), "from /etc/skel"
    assert host.accounts(document).summary == {"changed": 0, "problems": 0}


@pytest.mark.parametrize(
    ("mounts", "due", "waits"),
    [
        ({"/": "ext4", "/home": "autofs"}, [], "/home"),
        ({"/": "ext4", "/home": "autofs", "/home/alice": "nfs4"}, [], ""),
        ({"/": "ext4", "/home": "nfs4"}, ["/", "/home", "none"], ""),
        ({"/": "ext4", "/home": "nfs4"}, ["/home/alice"], "/home/alice"),
        ({"/": "ext4"}, ["/home/bob", "/homes"], ""),
        ({}, [], ""),
    ],
)
def test_what_an_automounter_or_fstab_has_not_mounted_yet_is_waited_for(monkeypatch, mounts, due, waits):
    monkeypatch.setattr(accounts, "mounted", lambda: mounts)
    monkeypatch.setattr(accounts, "due", lambda: due)
    assert accounts.way_to("/home/alice").partition(" is not mounted")[0] == waits


def test_the_boot_waits_for_homes_to_be_mounted(host, alice_key):
    boot = {"members": {"alice": {"keys": [alice_key.line]}}, "make_groups": [], "reserved": []}
    host.write("/etc/fstab", "/dev/nowhere /home ext4 nofail 0 2\n")
    host.write("/etc/ec2-lab/accounts.json", accounts.json.dumps(boot))
    host.write("/opt/ec2-lab/accounts", sent_with("accounts.py", LONGEST_MOUNT=2), mode=0o755)
    booted = host.run("/opt/ec2-lab/accounts", "--at-boot", "/etc/ec2-lab/accounts.json", check=False)
    assert (booted.returncode, "problem /home is not mounted" in booted.stdout) == (1, True)
    script = "(sleep 0.2; mount -t tmpfs homes /home) & /opt/ec2-lab/accounts --at-boot /etc/ec2-lab/accounts.json"
    assert "ec2-lab: accounts: 2 changed, 0 problems" in host.run("sh", "-c", script).stdout
    assert mode(host, "/home/alice/.ssh/authorized_keys") == "600"
    host.run("mount", "-t", "tmpfs", "-o", "mode=0755", "over", "/home")  # with the homes of the image below it
    assert not host.path("/home/alice").exists()
    again = host.run("/opt/ec2-lab/accounts", "--at-boot", "/etc/ec2-lab/accounts.json").stdout
    assert "ec2-lab: alice: home created /home/alice\n" in again
    assert (mode(host, "/home/alice"), mode(host, "/home/alice/.ssh/authorized_keys")) == ("700", "600")


def test_homes_that_are_links_or_can_not_be_written_to_are_named_and_done_later(host_with_sshd, alice_key, bob_key):
    host, entry = host_with_sshd, {"keys": [alice_key.line]}
    host.path("/home/linked").symlink_to("/data/linked")
    host.run("sh", "-ec", "mount --bind /home /home; mount -o remount,bind,ro /home")
    told = host.accounts(members(alice=entry, linked=entry))
    assert told.detail("alice", "problem") == "/home is read-only"
    assert told.detail("linked", "problem") == "/home/linked is a link to /data/linked, which is no directory"
    assert host.run("getent", "passwd", "alice", check=False).returncode == 2

    host.run("umount", "/home")
    host.run("mkdir", "-p", "/data/linked")
    host.run("useradd", "--uid", "1400", "--no-create-home", "--home-dir", "/home/linked", "linked")
    host.run("chown", "linked:", "/data/linked")
    told = host.accounts(members(alice=entry, linked=entry), "--adopt")
    assert told.code == 0, told.text
    assert host.ssh("linked", "echo", "in", key=alice_key.file).output == "in\n"

    host.run("sh", "-c", "mount -t tmpfs -o size=16k full /home/alice; chown alice: /home/alice")
    host.as_user("alice", "cd ~alice; mkdir -m 700 .ssh; head -c 8k /dev/zero > all; cat all all all > more || true")
    told = host.accounts(members(alice=entry))
    assert "No space left on device" in told.detail("alice", "problem")
    host.as_user("alice", "rm ~alice/all ~alice/more")
    assert host.accounts(members(alice=entry)).code == 0
    assert host.ssh("alice", "echo", "in", key=alice_key.file).output == "in\n"


def test_files_that_nobody_may_change_are_named(host, alice_key, bob_key):
    host.accounts(members(alice={"keys": [alice_key.line]}))
    if host.run("chattr", "+i", "/home/alice/.ssh/authorized_keys", check=False).returncode:
        host.run("sh", "-ec", "cp -a /home/alice /root/; mount -t tmpfs t /home/alice; cp -a /root/alice /home/; ")
        if host.run("chattr", "+i", "/home/alice/.ssh/authorized_keys", check=False).returncode:
            pytest.skip("no file system here has immutable files: run the tests on Linux 6.6 or later")
    told = host.accounts(members(alice={"keys": [bob_key.line]}))
    host.run("chattr", "-i", "/home/alice/.ssh/authorized_keys")
    assert "Operation not permitted (chattr -i?)" in told.text
    assert host.accounts(members(alice={"keys": [bob_key.line]})).code == 0


def test_what_the_image_has_for_new_accounts_keeps_no_member_out(host_with_sshd, alice_key, bob_key):
    host = host_with_sshd
    host.run("sed", "-i", "/^UMASK\\|^HOME_MODE\\|^USERGROUPS\\|^PASS_MAX/d", "/etc/login.defs")
    defaults = r"UMASK 000\nHOME_MODE 0777\nUSERGROUPS_ENAB no\nPASS_MAX_DAYS 1\n"
    host.run("sh", "-c", f"printf '{defaults}' >> /etc/login.defs")
    host.run("sh", "-c", r"printf 'EXPIRE=2020-01-01\nINACTIVE=0\n' >> /etc/default/useradd")
    host.write("/etc/skel/.ssh/authorized_keys", bob_key.line)
    host.write("/etc/skel/.ssh/authorized_keys2", bob_key.line)
    host.path("/etc/skel/away").symlink_to("/root")
    host.path("/etc/skel/nowhere").symlink_to("/nowhere")
    document = members(alice={"keys": [alice_key.line]}, nokey={})
    told = host.run("sh", "-c", "umask 077; /opt/ec2-lab/accounts -", text=accounts.json.dumps(document))
    assert '"problems": 0' in told.stdout
    assert host.ssh("alice", "echo", "in", key=alice_key.file).output == "in\n"
    for name in ("alice", "nokey"):
        assert not host.ssh(name, "true", key=bob_key.file).worked
    assert host.path("/home/alice/away").is_symlink()
    assert int(mode(host, "/home/alice"), 8) & 0o022 == 0
    assert mode(host, "/var/lib/ec2-lab") == "755"
    (shadow,) = [line.split(":") for line in host.run("grep", "^alice:", "/etc/shadow").stdout.split()]
    assert (shadow[4], shadow[7]) == ("", ""), "neither grows old"
    assert host.accounts(document).summary == {"changed": 0, "problems": 0}


def test_an_account_that_images_lock_opens_also_where_sshd_asks_no_pam(host, alice_key):
    host.write("/etc/ssh/sshd_config.d/50-case.conf", "UsePAM no\n")
    host.start_sshd()
    host.run("useradd", "--create-home", "alice")
    document = members(alice={"keys": [alice_key.line]})
    assert host.accounts(document, "--adopt").of("alice") == ["adopted", "unlocked", "key added"]
    assert host.ssh("alice", "echo", "in", key=alice_key.file).output == "in\n"
    assert host.accounts(document).summary == {"changed": 0, "problems": 0}


def test_groups_that_come_later_are_joined_later(host, alice_key):
    document = members(alice={"keys": [alice_key.line], "groups": ["docker"]})
    told = host.accounts(document)
    assert told.detail("alice", "skipped") == "there is no group docker yet; `make users` once there is"
    assert host.accounts(document).summary == {"changed": 0, "problems": 0}
    host.run("groupadd", "--system", "docker")
    assert host.accounts(document).of("alice") == ["group added"]
    assert host.accounts(document).changes == []


def test_a_sudo_rule_counts_or_it_is_said_why_not(host_with_sshd, alice_key):
    host, document = host_with_sshd, members(alice={"keys": [alice_key.line], "sudo": "nopasswd"})
    sudoers = host.path("/etc/sudoers").read_text()
    host.write("/etc/sudoers", sudoers.replace("@includedir /etc/sudoers.d", ""), mode=0o440)
    assert host.accounts(document).detail("alice", "problem") == (
        "/etc/sudoers reads no rules from /etc/sudoers.d: add `@includedir /etc/sudoers.d` there (visudo)"
    )
    host.write("/etc/sudoers.lab", "#includedir /etc/sudoers.d/\n", mode=0o440)
    host.write("/etc/sudoers", sudoers.replace("@includedir /etc/sudoers.d", "@include /etc/sudoers.lab"), mode=0o440)
    host.run("rm", "-r", "/etc/sudoers.d")
    told = host.accounts(document)
    assert (told.code, told.of("alice")) == (0, ["sudo"])
    assert host.ssh("alice", "sudo", "-n", "id", "-u", key=alice_key.file).output == "0\n"
    host.path("/usr/bin/sudo").unlink()
    assert host.accounts(document).detail("alice", "problem") == "sudo is not installed (package sudo)"


RECORDS = '#!/bin/sh\necho "$(id -un) $*" >> /var/relabelled\n'


def test_where_selinux_is_on_keys_and_homes_get_its_labels_once(host, alice_key):
    """By a stand-in for restorecon, on a kernel without SELinux: it writes down who calls it, and for what."""
    host.run("sh", "-ec", "mount -t tmpfs sysfs /sys/fs; mkdir /sys/fs/selinux; echo 1 > /sys/fs/selinux/enforce")
    document = members(alice={"keys": [alice_key.line]})
    told = host.accounts(document)
    assert "restorecon is not installed (package policycoreutils)" in told.detail("alice", "problem")
    host.write("/usr/sbin/restorecon", RECORDS, mode=0o755)
    host.write("/var/relabelled", "", mode=0o666)
    host.run("rm", "-r", "/home/alice")
    assert host.accounts(document).code == 0
    ssh = "/home/alice/.ssh"
    recorded = host.path("/var/relabelled").read_text()
    assert recorded == f"root /home/alice\nalice {ssh} {ssh}/authorized_keys\n"
    assert host.accounts(document).summary == {"changed": 0, "problems": 0}
    assert host.path("/var/relabelled").read_text() == recorded
