"""A boot that is interrupted before cloud-init reads anything: first boots resume it.

Kernel, initial RAM disk and the first of systemd's units do the same at each first boot and know of no user data, so
they run once: memory and devices are written to a file, and each instance that is not to boot for real begins with
them. It is told the time, gets randomness and its own disks, and does all that follows by itself.
"""

from __future__ import annotations

import fcntl
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.vm.image import WAITS, Image
from tests.vm.qemu import Qemu, connected, wait_until

ROOT_SIZE = "8G"


@dataclass(frozen=True)
class InterruptedBoot:
    """The root disk of such a boot, its memory and devices, and what was on its console."""

    root: Path
    memory: Path
    console: Path

    @property
    def arguments(self) -> list[str]:
        """What qemu is started with to resume it, once it is told to."""
        return ["-S", "-incoming", f"exec:cat {shlex.quote(str(self.memory))}"]


@contextmanager
def interrupted_boot(image: Image, directory: Path) -> Iterator[InterruptedBoot]:
    """Interrupt a boot, once for all processes that share the directory; the last of them removes it."""
    directory.mkdir(exist_ok=True)
    made = InterruptedBoot(directory / "root.qcow2", directory / "memory", directory / "console")
    with (directory / "users").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        with (directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.memory.exists():
                _interrupt(image, made)
        yield made
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another process goes on
        shutil.rmtree(directory)


def overlay(disk: Path, over: Path) -> None:
    """Make a disk that begins as another one, and leaves that as it is."""
    words = ["create", "-q", "-f", "qcow2", "-b", disk, "-F", "qcow2", over, ROOT_SIZE]
    subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True)


def _interrupt(image: Image, made: InterruptedBoot) -> None:
    overlay(image.disk, made.root)
    qemu = Qemu(image, made.root, made.console, Path(f"/tmp/ec2-lab-{made.root.stat().st_ino}"))
    draft = made.memory.with_suffix(".draft")
    process = qemu.start(network="", kernel=WAITS)
    try:
        with connected(qemu.second_port) as port:
            assert port.makefile().readline() == "waiting\n"
        qemu.order("stop")
        qemu.order("migrate", uri=f"exec:cat > {shlex.quote(str(draft))}")
        wait_until(lambda: qemu.order("query-migrate").get("status") == "completed", "the end of writing its memory")
        draft.rename(made.memory)
    finally:
        process.kill()
        process.wait()
        qemu.remove_sockets()
