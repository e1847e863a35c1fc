"""An instance in qemu: EC2's metadata beside it, its console in a file, its sshd at a port of loopback."""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.vm.image import instance_image
from tests.vm.interrupted_boot import InterruptedBoot, overlay
from tests.vm.metadata import answers, serve
from tests.vm.qemu import Qemu, connected, wait_until


@dataclass(frozen=True)
class Disk:
    """A data disk: an NVMe disk whose serial number is a volume's id without its dash, as on EC2."""

    volume: str
    file: Path
    read_only: bool = False
    """So that several instances can have it at once."""

    @property
    def serial(self) -> str:
        return self.volume.replace("-", "")


@dataclass
class Instance:
    """One instance."""

    directory: Path
    user_data: bytes
    disks: list[Disk] = field(default_factory=list)
    instance: str = "i-0123456789abcdef0"
    region: str = "us-east-1"
    address: str = "127.0.0.1"
    """Of loopback: where its sshd is reached."""
    interrupted: InterruptedBoot | None = None
    """The boot that its first one resumes."""
    used: Path | None = None
    """The root disk of another instance, which this one is made from an image of."""
    secret: str = ""
    """Of the role that its metadata has credentials of."""

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.console_file = self.directory / "console"
        image = instance_image()
        self.root = self.directory / "root.qcow2"
        overlay(self.used or (self.interrupted.root if self.interrupted else image.disk), self.root)
        self.relay = self.directory / "relay"
        subprocess.run(["cc", "-O2", "-o", self.relay, Path(__file__).with_name("relay.c")], check=True)
        self.metadata = serve(answers(self.instance, self.region, self.user_data, self.secret))
        with socket.socket() as probe:
            probe.bind((self.address, 0))
            self.port = probe.getsockname()[1]
        self.qemu = Qemu(image, self.root, self.console_file, Path(f"/tmp/ec2-lab-{self.address}-{self.port}"))
        self.process: subprocess.Popen[bytes] | None = None
        self.closed = threading.Event()
        self.attached = 0

    def first_boot(self) -> Instance:
        """Boot it for the first time, or resume the boot that was interrupted for it."""
        if self.interrupted is None or self.used:
            return self.boot()
        shutil.copy(self.interrupted.console, self.console_file)
        self.process = self.qemu.start(*self.interrupted.arguments, network=self._network)
        self._wait(lambda: self.qemu.order("query-status")["status"] == "paused", "the interrupted boot")
        for disk in self.disks:
            self._plug_in(disk)
        self.qemu.order("cont")
        with connected(self.qemu.second_port) as port:
            port.sendall(f"{time.time():.0f} {secrets.token_hex(32)} {len(self.disks)}\n".encode())
            assert port.makefile().readline() == "going on\n"  # what is on its way when it closes would be lost
        return self

    def boot(self) -> Instance:
        """Start it; each boot's console is added to the file."""
        self.process = self.qemu.start(*self._disks(), network=self._network)
        return self

    @property
    def _network(self) -> str:
        """How its sshd is reached, and how it reaches the metadata service."""
        relay = f"guestfwd=tcp:169.254.169.254:80-cmd:{self.relay} {self.metadata.server_address[1]}"
        return f",hostfwd=tcp:{self.address}:{self.port}-:22,{relay}"

    def _disks(self) -> list[str]:
        words = []
        for number, disk in enumerate(self.disks):
            options = f"cache=unsafe,read-only={'on' if disk.read_only else 'off'}"
            words += ["-drive", f"if=none,id=d{number},format=raw,{options},file={disk.file}"]
            words += ["-device", f"nvme,drive=d{number},serial={disk.serial}"]
        return words

    def attach(self, disk: Disk) -> None:
        """Attach a disk while it runs, as EC2 attaches a volume."""
        self.disks.append(disk)
        self._plug_in(disk)

    def _plug_in(self, disk: Disk) -> None:
        self.attached += 1
        name = f"d{100 + self.attached}"
        file = {"driver": "file", "filename": str(disk.file)}
        options = {"node-name": name, "read-only": disk.read_only}
        self.qemu.order("blockdev-add", driver="raw", file=file, **options)
        self.qemu.order("device_add", driver="nvme", id=f"nvme-{name}", drive=name, serial=disk.serial)

    @property
    def console(self) -> str:
        """What it has printed on its console so far."""
        return self.console_file.read_text(errors="replace")

    def wait_for_console(self, text: str, times: int = 1) -> None:
        """Wait until a text has been printed so many times."""
        self._wait(lambda: self.console.count(text) >= times, f"{text!r} on the console")

    def wait_until_off(self) -> None:
        """Wait until it has powered itself off, or reset itself."""
        self._wait(lambda: self.process.poll() is not None, "the end of the instance")

    def _wait(self, condition, what: str) -> None:
        wait_until(condition, what, lambda: f"the console ends with:\n{self.console[-3000:]}")

    def announce_interruption(self) -> None:
        """Let its metadata have the notice of a spot interruption."""
        notice = {"action": "terminate", "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 120))}
        self.metadata.RequestHandlerClass.known["meta-data/spot/instance-action"] = json.dumps(notice).encode()

    def stop(self) -> None:
        """End it as a power cut does."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.qemu.remove_sockets()

    def close(self) -> None:
        """End it, and all that served it."""
        self.closed.set()
        self.stop()
        self.metadata.shutdown()
        self.metadata.server_close()
        self.root.unlink(missing_ok=True)


def data_disk(file: Path, *, mib: int = 64, kind: str = "", files: Path | None = None, **flags: str) -> Path:
    """Make a disk image: empty, or with a file system, made without root."""
    with file.open("wb") as opened:
        opened.truncate(mib * 1024 * 1024)
    if kind:
        words = [word for name, value in flags.items() for word in (f"-{name}", value)]
        words += ["-d", str(files)] if files else []
        subprocess.run([shutil.which(f"mkfs.{kind}") or f"mkfs.{kind}", "-q", *words, file], check=True)
    return file
