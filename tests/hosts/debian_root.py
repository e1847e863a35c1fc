"""A Debian root file system, built once from Debian's packages and kept by what it is built from."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

RELEASES = {"bookworm": "Debian 12", "trixie": "Debian 13", "bullseye": "Debian 11"}
"""What hosts are tested on; every test runs on the first. The last has Python 3.9, as Amazon Linux 2023 and Rocky 9."""
RELEASE = next(iter(RELEASES))
HOST = [
    "cloud-guest-utils", "e2fsprogs", "fdisk", "fish", "lvm2", "mdadm", "openssh-server", "passwd", "procps", "python3",
    "sudo", "tcsh", "udev", "xfsprogs", "zsh",
]  # fmt: skip
"""What a host has beside the least that Debian is."""
CLOUD = ["cloud-init", "needrestart", "netbase", "openssh-client", "procps", "python3", "shellcheck", "yamllint"]
"""What a root has on which user data is judged, and what runs at the first boot."""
DOCKER = ["docker-cli", "docker.io", "tini"]
"""What a host has on which commands run in containers."""
RECIPE = 1
"""To be raised when what is built from the same packages becomes another."""
TOOLS = "apt-get install mmdebstrap"


class CanNotBuild(Exception):
    """Something that is needed to build is missing, and how to get it."""


def debian_root(include: Sequence[str] = HOST, variant: str = "minbase", release: str = RELEASE) -> Path:
    """Return a directory with Debian and the packages in `include`, to be read only.

    Built by mmdebstrap from this computer's own package sources, and kept below ~/.cache/ec2-lab. Raises CanNotBuild.
    """
    recipe = json.dumps([release, RECIPE, variant, sorted(include)])
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ec2-lab"
    root = cache / f"debian-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"
    cache.mkdir(parents=True, exist_ok=True)
    with root.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not root.exists():
            _build(root, include, variant, release)
    return root


def _build(root: Path, include: Sequence[str], variant: str, release: str) -> None:
    if not shutil.which("mmdebstrap"):
        raise CanNotBuild(f"mmdebstrap is not installed ({TOOLS})")
    if os.geteuid():
        raise CanNotBuild("a Debian root is built by root alone")
    draft = root.with_suffix(".draft")
    shutil.rmtree(draft, ignore_errors=True)
    settings = [f"--variant={variant}", f"--include={','.join(include)}", '--aptopt=APT::Install-Recommends "false"']
    built = subprocess.run(
        ["mmdebstrap", "--quiet", *settings, release, str(draft)], capture_output=True, text=True, check=False
    )
    if built.returncode:
        raise CanNotBuild(f"mmdebstrap failed:\n{built.stderr[-2000:]}")
    draft.rename(root)


if __name__ == "__main__":  # .ci/run builds them while it waits for the network
    for name in RELEASES:
        print(debian_root(release=name), flush=True)
    print(debian_root(CLOUD), flush=True)
    print(debian_root([*HOST, *DOCKER], release="trixie"), flush=True)
