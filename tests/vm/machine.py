"""A machine in qemu: EC2's metadata beside it, its console in a file, its sshd at a port of loopback."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.vm.image import machine_image
from tests.vm.metadata import MAC, answers, serve

ACCELERATION = os.environ.get("VM_ACCEL", "tcg")
PATIENCE = 600
"""Seconds for a boot under software emulation, on a machine that does other things too."""
SERIAL = "ec2e1916-9099-7caf-fd21-012345abcdef"
"""EC2's machines say by this that they are EC2's: cloud-init looks for `ec2` in front."""
NETWORK = "net=169.254.0.0/16,host=169.254.169.253,dns=169.254.169.252,dhcpstart=169.254.10.15"


@dataclass(frozen=True)
class Disk:
    """A data disk: an NVMe disk whose serial number is a volume's id without its dash, as on EC2."""

    volume: str
    file: Path

    @property
    def serial(self) -> str:
        return self.volume.replace("-", "")


@dataclass
class Machine:
    """One machine."""

    directory: Path
    user_data: bytes
    disks: list[Disk] = field(default_factory=list)
    instance: str = "i-0123456789abcdef0"
    region: str = "us-east-1"
    address: str = "127.0.0.1"
    """Of loopback: where its sshd is reached."""

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.console_file = self.directory / "console"
        self.image = machine_image()
        self.overlay = self.directory / "root.qcow2"
        self._image("create", "-q", "-f", "qcow2", "-b", self.image.disk, "-F", "qcow2", self.overlay, "8G")
        self.relay = self.directory / "relay"
        subprocess.run(["cc", "-O2", "-o", self.relay, Path(__file__).with_name("relay.c")], check=True)
        self.metadata = serve(answers(self.instance, self.region, self.user_data))
        with socket.socket() as probe:
            probe.bind((self.address, 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        self.closed = threading.Event()
        self.attached = 0

    def boot(self) -> Machine:
        """Start it; each boot's console is added to the file."""
        relay = f"guestfwd=tcp:169.254.169.254:80-cmd:{self.relay} {self.metadata.server_address[1]}"
        forward = f"hostfwd=tcp:{self.address}:{self.port}-:22"
        with self.console_file.open("ab") as console:
            self.process = subprocess.Popen(
                [
                    "nice", "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                    "-accel", "tcg,thread=multi" if ACCELERATION == "tcg" else ACCELERATION, "-cpu", "max",
                    "-smp", "2", "-m", "1024", "-uuid", SERIAL, "-smbios", f"type=1,serial={SERIAL},uuid={SERIAL}",
                    "-kernel", self.image.kernel, "-initrd", self.image.initrd,
                    "-append", "root=LABEL=cloudimg ro console=ttyS0 quiet net.ifnames=0",
                    "-drive", f"if=virtio,format=qcow2,file={self.overlay}",
                    "-netdev", f"user,id=n0,{NETWORK},{forward},{relay}",
                    "-device", f"virtio-net-pci,netdev=n0,mac={MAC}",
                    "-device", "virtio-rng-pci", "-serial", "stdio", "-qmp", f"unix:{self.monitor},server=on,wait=off",
                    *self._disks(),
                ],
                stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT,
            )  # fmt: skip
        return self

    @property
    def monitor(self) -> str:
        """The socket at which qemu takes orders; its path may have 107 characters at most."""
        return f"/tmp/ec2-lab-{self.port}.monitor"

    def _disks(self) -> list[str]:
        words = []
        for number, disk in enumerate(self.disks):
            words += ["-drive", f"if=none,id=d{number},format=raw,file={disk.file}"]
            words += ["-device", f"nvme,drive=d{number},serial={disk.serial}"]
        return words

    def attach(self, disk: Disk) -> None:
        """Attach a disk while it runs, as EC2 attaches a volume."""
        self.attached += 1
        number = 100 + self.attached
        self.disks.append(disk)
        self._order(
            "blockdev-add",
            {"node-name": f"d{number}", "driver": "raw", "file": {"driver": "file", "filename": str(disk.file)}},
        )
        self._order("device_add", {"driver": "nvme", "id": f"n{number}", "drive": f"d{number}", "serial": disk.serial})

    def _order(self, command: str, arguments: dict) -> None:
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(self.monitor)
            lines = monitor.makefile("rw")
            lines.readline()
            for order in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                lines.write(json.dumps(order) + "\n")
                lines.flush()
                answer = json.loads(lines.readline())
                assert "error" not in answer, answer

    @property
    def console(self) -> str:
        """What it has printed on its console so far."""
        return self.console_file.read_text(errors="replace")

    def wait_for_console(self, text: str, times: int = 1) -> None:
        """Wait until a text has been printed so many times."""
        self._wait(lambda: self.console.count(text) >= times, f"{text!r} on the console")

    def wait_until_off(self) -> None:
        """Wait until it has powered itself off, or reset itself."""
        self._wait(lambda: self.process.poll() is not None, "the end of the machine")

    def _wait(self, condition, what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} did not come; the console ends with:\n{self.console[-3000:]}")
            time.sleep(0.5)

    def stop(self) -> None:
        """End it as a power cut does."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        Path(self.monitor).unlink(missing_ok=True)

    def close(self) -> None:
        """End it, and all that served it."""
        self.closed.set()
        self.stop()
        self.metadata.shutdown()
        self.metadata.server_close()
        self.overlay.unlink(missing_ok=True)

    def _image(self, *words: object) -> None:
        subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True)


def data_disk(file: Path, *, mib: int = 64, kind: str = "", files: Path | None = None, **flags: str) -> Path:
    """Make a disk image: empty, or with a file system, made without root."""
    with file.open("wb") as opened:
        opened.truncate(mib * 1024 * 1024)
    if kind:
        words = [word for name, value in flags.items() for word in (f"-{name}", value)]
        words += ["-d", str(files)] if files else []
        subprocess.run([shutil.which(f"mkfs.{kind}") or f"mkfs.{kind}", "-q", *words, file], check=True)
    return file
