"""The computer that qemu emulates, the same for every boot, so that an interrupted one can be resumed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.full import FULL
from tests.vm.image import Image
from tests.vm.metadata import MAC

PATIENCE = 600
"""Seconds for a boot under software emulation, on a computer that does other things too."""
SERIAL = "ec2e1916-9099-7caf-fd21-012345abcdef"
"""EC2's instances tell by this that they are EC2's: cloud-init looks for `ec2` in front."""
NETWORK = "net=169.254.0.0/16,host=169.254.169.253,dns=169.254.169.252,dhcpstart=169.254.10.15"
KERNEL = "root=LABEL=cloudimg ro console=ttyS0 quiet net.ifnames=0 mitigations=off fsck.mode=skip"
KERNEL += " lsm=landlock,lockdown,yama,apparmor"  # all but BPF's, whose program systemd would load at each boot
PROCESSORS = {"kvm": "max"}
"""By accelerator. Emulated, the least that Debian needs takes an eighth less time: programs have nothing to choose."""
FEWER_KEYS = "cc: ssh_genkeytypes: [ecdsa, ed25519] end_cc"
"""Configuration of cloud-init's: an emulated processor looks for the primes of an RSA key for up to half a minute."""


@dataclass(frozen=True)
class Qemu:
    """One qemu, by its files: what it boots, its root disk, its console, and the sockets that it is reached at."""

    image: Image
    root: Path
    console: Path
    sockets: Path
    """What the paths of its sockets begin with; they may have 107 characters at most."""

    def start(self, *words: object, network: str, kernel: str = "") -> subprocess.Popen[bytes]:
        """Start qemu, with more arguments of its own; what it prints on its console is added to the file."""
        command_line = " ".join((KERNEL, kernel, "" if FULL else FEWER_KEYS))
        with self.console.open("ab") as console:
            return subprocess.Popen(
                [
                    "nice", "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                    "-machine", "pc", "-accel", os.environ["VM_ACCEL"],
                    "-cpu", PROCESSORS.get(os.environ["VM_ACCEL"], "qemu64"),
                    "-smp", "2" if FULL else "1", "-m", "1024",
                    "-uuid", SERIAL, "-smbios", f"type=1,serial={SERIAL},uuid={SERIAL}",
                    "-kernel", self.image.kernel, "-initrd", self.image.initrd, "-append", command_line,
                    "-drive", f"if=virtio,format=qcow2,cache=unsafe,file={self.root}",
                    "-netdev", f"user,id=n0,{NETWORK}{network}", "-device", f"virtio-net-pci,netdev=n0,mac={MAC}",
                    "-device", "virtio-rng-pci", "-serial", "stdio",
                    "-serial", f"unix:{self.second_port},server=on,wait=off",
                    "-qmp", f"unix:{self.monitor},server=on,wait=off", *words,
                ],
                stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def second_port(self) -> str:
        """The socket of its second serial port."""
        return f"{self.sockets}.port"

    @property
    def monitor(self) -> str:
        """The socket at which qemu takes orders."""
        return f"{self.sockets}.monitor"

    def order(self, command: str, **arguments: Any) -> Any:
        """Give qemu an order, and return what it answers."""
        with connected(self.monitor) as monitor:
            lines = monitor.makefile("rw")
            lines.readline()
            for order in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                lines.write(json.dumps(order) + "\n")
                lines.flush()
                answer = _answer(lines)
        return answer

    def remove_sockets(self) -> None:
        """Remove what qemu leaves when it is killed."""
        for path in (self.second_port, self.monitor):
            Path(path).unlink(missing_ok=True)


def _answer(lines: Any) -> Any:
    """Return the answer to an order; events come in between."""
    while "event" in (told := json.loads(lines.readline())):
        pass
    assert "error" not in told, told
    return told["return"]


def connected(path: str) -> socket.socket:
    """Connect to a socket of a qemu that may be just starting."""
    connection = socket.socket(socket.AF_UNIX)

    def connects() -> bool:
        try:
            connection.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True

    wait_until(connects, f"qemu's {path}")
    return connection


def wait_until(condition: Callable[[], bool], what: str, ends: Callable[[], str] = str, pause: float = 0.1) -> None:
    """Wait for something. Where it does not come, say so, and what `ends` says."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come; {ends()}"
        time.sleep(pause)
