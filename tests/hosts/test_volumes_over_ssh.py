"""Unmounting and /etc/fstab on a real host: nothing is given back that anything uses, and no other line is touched."""

import json
import os
import subprocess
from contextlib import contextmanager

import pytest

from tests.hosts.test_mount_volumes import disks, mount, mounted, name, unmount, uuid  # noqa: F401 - a fixture


@contextmanager
def working(host, script, *enter):
    """Something at work on the host, in its own or another mount namespace; gives its process id there."""
    inside = ["nsenter", f"--target={host.first}", "--mount", "--pid", "--root", "--wd=/"]
    process = subprocess.Popen(
        [*inside, *enter, "sh", "-ec", f"{script}; echo in $$; exec sleep 60"], stdout=subprocess.PIPE, text=True
    )
    inner = int(process.stdout.readline().removeprefix("in "))
    try:
        yield inner
    finally:
        host.run("kill", "-KILL", str(inner))
        process.wait()
        process.stdout.close()


def add(host, point, **known):
    entry = json.dumps({"mount": point, **known})
    return host.run("/opt/ec2-lab/volumes-over-ssh", "add", "-", text=entry, check=False)


def refused(host, point="/data"):
    """What is said while it stays mounted."""
    done = unmount(host, point, check=False)
    assert done.returncode == 1, done.stdout
    assert point in mounted(host)
    return done.stdout


@pytest.fixture
def data(host, disks):  # noqa: F811
    """A host with a volume on /data; (host, device)."""
    device = disks(mib=64, filesystem="ext4")
    assert mount(host, {"mount": "/data", "device": device}).returncode == 0
    return host, device


AS_GAMES = ("setpriv", "--reuid=games", "--regid=games", "--clear-groups")


USERS = {
    "cd /data": (AS_GAMES, "/data is in use by sleep (pid {}, user games); it stays mounted"),
    "exec 3>/data/file": ((), "sleep (pid {}, user root)"),
    "exec 3<{device}": ((), "sleep (pid {}, user root)"),
    "mkdir -p /in; mount --bind /data /in": ((), "its mount on /in"),
    "mkdir -p /in; mount --bind /data /in; umount /data": (
        ("unshare", "--mount"), "its mount on /in in the mount namespace of sleep (pid {}, user root)",
    ),
    "true": (("unshare", "--mount"), "its mount on /data in the mount namespace of sleep (pid {}, user root)"),
    "mkdir /data/more; mount -t tmpfs more /data/more": ((), "more, mounted on /data/more"),
    "mkdir -p /data/low /merged; mount -t overlay -o lowerdir=/data/low:/usr over /merged": (
        (), "the overlay on /merged",
    ),
}  # fmt: skip
"""What uses a volume, how it is begun, and what is said of it."""


def test_whoever_uses_a_volume_is_named_and_it_stays_mounted(data):
    host, device = data
    for script, (enter, said) in USERS.items():
        with working(host, script.format(device=device), *enter) as process:
            assert said.format(process) in refused(host), script
        host.run("umount", "-q", "/data/more", "/in", "/merged", check=False)
    assert unmount(host, "/data", device=device).stdout.startswith("ec2-lab: /data is unmounted\n")


def test_swap_loop_devices_and_exports_have_no_process_and_are_named_all_the_same(data):
    host, device = data
    host.run("sh", "-ec", "cd /data; dd if=/dev/zero of=swap bs=1M count=1; chmod 600 swap; mkswap swap; cp swap disk")
    loop = host.run("losetup", "--find", "--show", "/data/disk").stdout.strip()
    host.write("/var/lib/nfs/etab", "/data\t*(ro)\n")  # as exportfs writes it; no NFS server can be had here
    host.run("swapon", "/data/swap")
    try:
        said = refused(host)
    finally:
        host.run("swapoff", "/data/swap")
        host.run("losetup", "--detach", loop)
    assert "the swap file /data/swap (`swapoff /data/swap`)" in said
    assert f"the loop device {loop} of /data/disk (`losetup --detach {loop}`)" in said
    assert "the NFS export of /data (`exportfs -u`)" in said
    host.path("/var/lib/nfs/etab").unlink()
    assert unmount(host, "/data", device=device).returncode == 0


def test_a_service_in_a_namespace_of_its_own_is_unmounted_along_and_keeps_nothing(host, disks):  # noqa: F811
    host.run("mount", "--make-rshared", "/")
    device = disks(filesystem="ext4")
    mount(host, {"mount": "/data", "device": device})
    with working(host, "test -d /data/lost+found", "unshare", "--mount", "--propagation=slave") as process:
        assert unmount(host, "/data", device=device).returncode == 0
        assert " /data " not in host.path(f"/proc/{process}/mountinfo").read_text()


def test_what_no_table_shows_is_still_in_use(data):
    host, device = data
    with working(host, "exec 3>/data/file; umount --lazy /data"):
        done = unmount(host, "/data", check=False, device=device)
        assert done.returncode == 1
        assert "/data is in use by something that has no name" in done.stdout


def test_a_link_to_a_mount_point_is_unmounted_where_it_leads(data):
    host, device = data
    host.run("ln", "-s", "/data", "/link")
    assert "ec2-lab: /data is unmounted" in unmount(host, "/link", device=device).stdout
    assert "/data" not in mounted(host)


def test_another_volume_than_the_one_that_is_meant_stays_mounted(data):
    host, device = data
    name(host, device, "vol-0123456789abcdef0")
    wrong = unmount(host, "/data", check=False, volume="vol-0aaaaaaaaaaaaaaaa")
    assert f"/data is on {device} (vol-0123456789abcdef0), and not on vol-0aaaaaaaaaaaaaaaa" in wrong.stdout
    assert "/data" in mounted(host)


def test_a_volume_that_is_mounted_already_is_mounted_nowhere_else(data):
    host, device = data
    assert f"NOT MOUNTED: /more: {device} is mounted on /data already" in add(host, "/more", device=device).stdout
    assert mounted(host).keys() & {"/data", "/more"} == {"/data"}


# /etc/fstab

OTHERS = (
    b"LABEL=one / ext4 defaults 0 1\r\nLABEL=caf\xe9 /caf\\040\xe9 ext4 noauto 0 2\n\n"
    b"#\t/data\nLABEL=last\t/last\txfs\tnoauto\t0 2"
)
"""A carriage return, what is no UTF-8, tabs, and a last line without an end."""


def test_the_lines_of_others_stay_byte_by_byte_with_owner_mode_and_attributes(host, disks):  # noqa: F811
    fstab = host.path("/etc/real/fstab")
    host.run("sh", "-ec", "mkdir /etc/real; mv /etc/fstab /etc/real; ln -s real/fstab /etc/fstab")
    fstab.write_bytes(OTHERS)
    fstab.chmod(0o640)
    os.chown(fstab, 0, 60)
    os.setxattr(fstab, "security.ec2lab", b"as SELinux has its context")
    device = disks(filesystem="ext4")
    assert add(host, "/data", device=device).returncode == 0
    line = f"UUID={uuid(device)} /data ext4 defaults,nofail,x-systemd.device-timeout=30s,x-ec2-lab,nosuid,nodev 0 0\n"
    assert fstab.read_bytes() == OTHERS + b"\n" + line.encode()
    host.run("umount", "/data")
    host.run("mount", "/data")
    assert unmount(host, "/data", device=device).returncode == 0
    assert fstab.read_bytes() == OTHERS + b"\n"
    found = fstab.stat()
    assert (found.st_mode & 0o777, found.st_gid) == (0o640, 60)
    assert os.getxattr(fstab, "security.ec2lab") == b"as SELinux has its context"
    assert host.path("/etc/fstab").is_symlink()
    assert [path.name for path in fstab.parent.iterdir()] == ["fstab"]


def test_an_entry_edited_by_hand_stays_and_anothers_is_not_replaced(host, disks):  # noqa: F811
    device, other = disks(filesystem="ext4"), disks(filesystem="ext4")
    fstab = host.path("/etc/fstab")
    edited = f'UUID="{uuid(device)}"\t/data/\text4\tnofail,noatime 0 0\n'
    fstab.write_text(edited)
    assert add(host, "/data", device=device).returncode == 0
    assert fstab.read_text() == edited
    host.run("umount", "/data")
    taken = add(host, "/data", device=other)
    assert f"NOT MOUNTED: /data: /etc/fstab mounts UUID={uuid(device)} there already" in taken.stdout
    assert fstab.read_text() == edited
    assert "/data" not in mounted(host)
    fstab.write_text(edited.replace("noatime", "x-ec2-lab"))
    assert add(host, "/data", device=other).returncode == 0
    assert f"UUID={uuid(other)} /data " in fstab.read_text()
    assert uuid(device) not in fstab.read_text()


def test_where_fstab_can_not_be_written_the_volume_is_mounted_and_that_is_said(host, disks):  # noqa: F811
    device = disks(filesystem="ext4")
    host.run("sh", "-ec", "mount --bind /etc/fstab /etc/fstab; mount -o remount,bind,ro /etc/fstab")
    added = add(host, "/data", device=device)
    host.run("umount", "/etc/fstab")
    assert added.returncode == 0, added.stdout
    assert "PROBLEM: /data: it is mounted, but /etc/fstab does not list it: " in added.stdout
    assert "/data" in mounted(host)


def test_a_mount_point_with_spaces_and_backslashes_is_unmounted_and_its_entry_removed(host, disks):  # noqa: F811
    device = disks(filesystem="ext4")
    host.run("mkdir", "/my data\\x")
    others = host.path("/etc/fstab").read_text()
    host.path("/etc/fstab").write_text(f"{others}{device} /my\\040data\\134x ext4 nofail 0 0\n")
    host.run("mount", "/my data\\x")
    assert mounted(host)["/my data\\x"]["device"] == device
    assert "/my data\\x is unmounted" in unmount(host, "/my data\\x", device=device).stdout
    assert host.path("/etc/fstab").read_text() == others
