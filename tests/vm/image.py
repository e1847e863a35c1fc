"""A Debian machine image with cloud-init, sshd and systemd, as cloud images are, for qemu to boot."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.hosts.debian_root import CanNotBuild, debian_root

PACKAGES = [
    "bsdutils", "cloud-init", "dbus", "e2fsprogs", "fdisk", "ifupdown", "init", "iproute2", "isc-dhcp-client", "kmod",
    "libpam-systemd", "linux-image-cloud-amd64", "locales-all", "mdadm", "netbase", "nvme-cli", "openssh-server",
    "procps", "python3", "sudo", "systemd-sysv", "udev", "xfsprogs", "zsh",
]  # fmt: skip
"""What real images have too: without a locale or `logger`, cloud-init complains of what EC2's images do not lack."""
RECIPE = 2
"""To be raised when what is made of the same packages becomes another."""
SIZE = "3G"
TOOLS = {"qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils", "mke2fs": "e2fsprogs", "cc": "gcc"}
IMAGE_DROP_IN = "/etc/ssh/sshd_config.d/50-cloud-init.conf"
FILES = {
    "/etc/fstab": "LABEL=cloudimg / ext4 defaults,errors=remount-ro 0 1\n",
    "/etc/hostname": "debian\n",
    "/etc/default/locale": "LANG=C.UTF-8\n",
    IMAGE_DROP_IN: "PasswordAuthentication yes\n",
    "/etc/cloud/cloud.cfg.d/90_ec2.cfg": "datasource_list: [Ec2]\ndatasource: {Ec2: {strict_id: true}}\n",
    "/etc/network/interfaces": "auto lo\niface lo inet loopback\nsource /etc/network/interfaces.d/*\n",
}
"""What a cloud image is configured with; its sshd lets passwords in, as some do."""


@dataclass(frozen=True)
class Image:
    """What qemu boots."""

    disk: Path
    kernel: Path
    initrd: Path


def machine_image() -> Image:
    """Return the image, built once. Raises CanNotBuild, saying what to install."""
    if absent := [package for tool, package in TOOLS.items() if not shutil.which(tool)]:
        raise CanNotBuild(f"apt-get install {' '.join(absent)}")
    root = debian_root(PACKAGES, variant="minbase")
    recipe = f"{root.name} {RECIPE} {SIZE} {FILES}"
    made = root.parent / f"machine-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _build(root, made)
    return Image(made / "disk.qcow2", made / "vmlinuz", made / "initrd")


def _build(root: Path, made: Path) -> None:
    draft = made.with_suffix(".draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    tree = draft / "root"
    subprocess.run(["cp", "-a", "--reflink=auto", root, tree], check=True)
    for name, text in FILES.items():
        path = tree / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for key in tree.glob("etc/ssh/ssh_host_*"):  # cloud-init makes each machine its own
        key.unlink()
    (tree / "etc/machine-id").write_text("")
    (kernel,) = tree.glob("boot/vmlinuz-*")
    (initrd,) = tree.glob("boot/initrd.img-*")
    shutil.copy(kernel, draft / "vmlinuz")
    shutil.copy(initrd, draft / "initrd")
    raw = draft / "disk.raw"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-L", "cloudimg", "-d", tree, raw, SIZE], check=True)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, draft / "disk.qcow2"], check=True)
    raw.unlink()
    shutil.rmtree(tree)
    draft.rename(made)
