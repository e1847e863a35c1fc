"""Which of qemu's accelerators works here: a kernel that has got as far as its first program has shown it.

That /dev/kvm opens shows little: where this computer is itself a virtual machine, what stands behind it may refuse
the registers of a processor, or emulate a kernel's instructions more slowly than qemu does.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from pathlib import Path

from tests.vm.image import Image

EMULATION = "tcg,thread=multi"
KVM = "kvm"
REACHED = "Run /init as init process"
PATIENCE = 10
"""Seconds in which a kernel has started, where KVM is worth it."""


def choose(image: Image, decided: Path) -> str:
    """Return the accelerator that VM_ACCEL names, or what works best: one for all processes that share a file."""
    if named := os.environ.get("VM_ACCEL"):
        return named
    with decided.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        if not (chosen := file.read()):
            chosen = KVM if os.access("/dev/kvm", os.R_OK | os.W_OK) and starts(image, KVM) else EMULATION
            file.write(chosen)
    return chosen


def starts(image: Image, accelerator: str, patience: float = PATIENCE) -> bool:
    """Return whether the image's kernel starts its first program in time under an accelerator."""
    words = ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "pc", "-cpu", "max"]
    words += ["-accel", accelerator, "-m", "512", "-serial", "stdio", "-append", "console=ttyS0 panic=-1"]
    command = ["qemu-system-x86_64", *words, "-kernel", image.kernel, "-initrd", image.initrd]
    nothing = {"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, stdout=subprocess.PIPE, **nothing) as qemu:
        try:
            return _says(qemu, REACHED.encode(), time.monotonic() + patience)
        finally:
            qemu.kill()


def _says(qemu: subprocess.Popen[bytes], text: bytes, deadline: float) -> bool:
    os.set_blocking(qemu.stdout.fileno(), False)
    said = b""
    while time.monotonic() < deadline:
        ended = qemu.poll() is not None
        said += qemu.stdout.read() or b""
        if text in said or ended:
            return text in said
        time.sleep(0.1)
    return False
