"""A Debian disk image with cloud-init, sshd and systemd, as cloud images are, for qemu to boot."""

from __future__ import annotations

import fcntl
import hashlib
import lzma
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.hosts.debian_root import DOCKER, CanNotBuild, debian_root

PACKAGES = [
    "bsdutils", "cloud-init", "dbus", "e2fsprogs", "fdisk", "ifupdown", "init", "iproute2", "isc-dhcp-client", "kmod",
    "libpam-systemd", "linux-image-cloud-amd64", "locales-all", "mdadm", "netbase", "nvme-cli", "openssh-server",
    "procps", "python3", "sudo", "systemd-sysv", "udev", "xfsprogs", "zsh", *DOCKER,
]  # fmt: skip
"""What real images have too: without a locale or `logger`, cloud-init complains of what EC2's images do not lack."""
RELEASE = "trixie"
"""With systemd 257, under which inhibitors hold root too, and OpenSSH 10."""
RECIPE = 4
"""Raise when the same packages are made into a different image."""
SIZE = "3G"
TOOLS = {
    "qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils", "mke2fs": "e2fsprogs", "cc": "gcc",
    "bsdtar": "libarchive-tools",
}  # fmt: skip
IMAGE_DROP_IN = "/etc/ssh/sshd_config.d/50-cloud-init.conf"
WAITS = "ec2_lab_waits"
"""On the kernel's command line, it makes the boot wait at the second serial port before cloud-init reads anything."""
UNIT = f"""\
[Unit]
Description=Wait for what only this instance knows
DefaultDependencies=no
ConditionKernelCommandLine={WAITS}
After=local-fs.target systemd-udev-trigger.service systemd-journal-flush.service systemd-tmpfiles-setup.service
After=systemd-sysctl.service systemd-random-seed.service systemd-machine-id-commit.service systemd-update-utmp.service
After=cloud-init-main.service
Before=cloud-init-local.service
[Service]
Type=oneshot
ExecStart=/usr/local/sbin/wait-for-instance
"""
WAIT = """\
#!/bin/sh
# Says `waiting` on the second serial port, reads one line there (the time, randomness, and how many NVMe disks there
# will be), and says `going on`.
set -eu
udevadm settle
exec 3<>/dev/ttyS1
stty raw -echo <&3
echo waiting >&3
read -r now random disks <&3
echo going on >&3
date --set="@$now"
echo "$random" >/dev/urandom
until [ "$(find /sys/block -name 'nvme*n1' | wc -l)" -eq "$disks" ]; do sleep 0.1; done
udevadm settle
"""
INIT = Path(__file__).with_name("init.c")
DRIVER = "usr/lib/modules/*/kernel/drivers/block/virtio_blk.ko.xz"
NOT_NEEDED = {
    "system-generators": """systemd-debug-generator systemd-gpt-auto-generator systemd-hibernate-resume-generator
        systemd-rc-local-generator systemd-run-generator systemd-ssh-generator systemd-system-update-generator
        systemd-sysv-generator systemd-tpm2-generator""",
    "system": """apt-daily.timer apt-daily-upgrade.timer dev-hugepages.mount dev-mqueue.mount dpkg-db-backup.timer
        e2scrub_all.timer e2scrub_reap.service fstrim.timer getty@tty1.service getty-static.service
        modprobe@.service nvmefc-boot-connections.service nvmf-autoconnect.service
        proc-sys-fs-binfmt_misc.automount sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-debug.mount
        sys-kernel-tracing.mount systemd-binfmt.service systemd-hibernate-clear.service systemd-pstore.service
        systemd-udev-load-credentials.service uuidd.socket xfs_scrub_all.timer""",
}
"""What systemd does at each boot or each reload and no instance has to do with, below /etc/systemd."""
ON_DEMAND = ("docker.service", "docker.socket", "containerd.service")
"""What starts only where an experiment's unit wants it: an emulated processor takes seconds for each."""
ABSENT = """60-autosuspend 60-cdrom_id 60-drm 60-evdev 60-fido-id 60-infiniband 60-input-id 60-persistent-alsa
    60-persistent-input 60-persistent-storage-mtd 60-persistent-storage-tape 60-persistent-v4l 60-sensor
    65-persistent-net-nbft 66-azure-ephemeral 69-md-clustered-confirm-device 70-camera 70-joystick 70-memory 70-mouse
    70-nvmf-autoconnect 70-nvmf-keys 70-power-switch 70-touchpad 71-nvmf-netapp 75-probe_mtd 78-sound-card
    90-iocost 96-e2scrub"""
"""Rules of udev, asked about every device, for devices that no instance has."""
FILES = {
    "/etc/fstab": "LABEL=cloudimg / ext4 defaults,errors=remount-ro 0 1\n",
    "/etc/hostname": "debian\n",
    "/etc/default/locale": "LANG=C.UTF-8\n",
    IMAGE_DROP_IN: "PasswordAuthentication yes\n",
    "/etc/cloud/cloud.cfg.d/90_ec2.cfg": "datasource_list: [Ec2]\ndatasource: {Ec2: {strict_id: true}}\n",
    "/etc/network/interfaces": "auto lo\niface lo inet loopback\nsource /etc/network/interfaces.d/*\n",
    "/etc/systemd/system/wait-for-instance.service": UNIT,
    "/usr/local/sbin/wait-for-instance": WAIT,
}
"""What a cloud image is configured with; its sshd accepts passwords, as some do."""


@dataclass(frozen=True)
class Image:
    """What qemu boots."""

    disk: Path
    kernel: Path
    initrd: Path


def instance_image() -> Image:
    """Return the image, built once. Raises CanNotBuild, saying what to install."""
    if absent := [package for tool, package in TOOLS.items() if not shutil.which(tool)]:
        raise CanNotBuild(f"apt-get install {' '.join(absent)}")
    root = debian_root(PACKAGES, release=RELEASE)
    made = kept("instance", f"{root.name} {RECIPE} {SIZE} {FILES} {NOT_NEEDED} {ON_DEMAND} {ABSENT} {INIT.read_text()}")
    with building(made) as draft:
        if draft:
            _build(root, draft)
    return Image(made / "disk.qcow2", made / "vmlinuz", made / "initrd")


def kept(name: str, recipe: str) -> Path:
    """Return the directory, beside Debian's root, in which what is made by a recipe is kept."""
    cache = debian_root(PACKAGES, release=RELEASE).parent
    return cache / f"{name}-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"


def compile_python(directory: Path, place: str) -> None:
    """Compile Python's modules with the image's Python, for the place where the image will have the directory.

    An instance can't keep what it compiles on a disk that it only reads: each start would compile all of it again.
    """
    root = debian_root(PACKAGES, release=RELEASE)
    (python,) = root.glob("usr/bin/python3.[0-9]*[0-9]")
    linker = [root / "lib64/ld-linux-x86-64.so.2", "--library-path", root / "usr/lib/x86_64-linux-gnu"]
    words = ["-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-s", directory, "-p", place, directory]
    environment = {**os.environ, "PYTHONHOME": str(root / "usr")}
    subprocess.run([*linker, python, *words], check=True, capture_output=True, env=environment)


@contextmanager
def building(made: Path) -> Iterator[Path | None]:
    """Give a draft of a directory to whoever is to build it; None, once it has been built."""
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if made.exists():
            yield None
            return
        draft = made.with_suffix(".draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        yield draft
        draft.rename(made)


def _build(root: Path, draft: Path) -> None:
    tree = draft / "root"
    subprocess.run(["cp", "-a", "--reflink=auto", root, tree], check=True)
    for name, text in FILES.items():
        path = tree / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if text.startswith("#!") else 0o644)
    wanted = tree / "etc/systemd/system/sysinit.target.wants"
    wanted.mkdir(exist_ok=True)
    (wanted / "wait-for-instance.service").symlink_to("../wait-for-instance.service")
    for key in tree.glob("etc/ssh/ssh_host_*"):  # cloud-init makes each instance its own
        key.unlink()
    (tree / "etc/machine-id").write_text("")
    for wanted in (path for name in ON_DEMAND for path in tree.glob(f"etc/systemd/system/*.wants/{name}")):
        wanted.unlink()
    for directory, names in NOT_NEEDED.items():
        _mask(tree / "etc/systemd" / directory, names.split())
    _mask(tree / "etc/udev/rules.d", [f"{name}.rules" for name in ABSENT.split()])
    for updated in ("etc/.updated", "var/.updated"):  # or the first boot rebuilds what packages have just built
        (tree / updated).touch()
    (kernel,) = tree.glob("boot/vmlinuz-*")
    shutil.copy(kernel, draft / "vmlinuz")
    _make_initrd(tree, draft)
    raw = draft / "disk.raw"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-L", "cloudimg", "-d", tree, raw, SIZE], check=True)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, draft / "disk.qcow2"], check=True)
    raw.unlink()
    shutil.rmtree(tree)


def _mask(directory: Path, names: list[str]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        (directory / name).symlink_to("/dev/null")


def _make_initrd(tree: Path, draft: Path) -> None:
    files = draft / "initrd-files"
    files.mkdir()
    subprocess.run(["cc", "-O2", "-static", "-o", files / "init", INIT], check=True)
    (driver,) = tree.glob(DRIVER)
    (files / "virtio_blk.ko").write_bytes(lzma.decompress(driver.read_bytes()))
    words = ["--format", "newc", "-cf", draft / "initrd", "-C", files, "init", "virtio_blk.ko"]
    subprocess.run(["bsdtar", *words], check=True)
    shutil.rmtree(files)
