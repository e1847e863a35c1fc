"""The GPUs of this computer, without which nothing here is run."""

import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

WORK = Path(__file__).with_name("work.py")


@pytest.fixture(scope="session", autouse=True)
def nvidia_smi():
    """The path of a nvidia-smi that finds a GPU."""
    found = shutil.which("nvidia-smi")
    if not found:
        pytest.skip("there is no nvidia-smi, so no NVIDIA driver")
    listed = subprocess.run([found, "--list-gpus"], capture_output=True, text=True, check=False, timeout=60)
    if listed.returncode:
        pytest.skip(f"nvidia-smi finds no GPU: {(listed.stdout + listed.stderr).strip()}")
    return found


@pytest.fixture
def query(nvidia_smi):
    """A function that returns fields of the first GPU, as nvidia-smi has them."""

    def ask(*fields):
        words = [nvidia_smi, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
        return subprocess.check_output(words, text=True).splitlines()[0].split(", ")

    return ask


@pytest.fixture
def other_nvidia_smi(nvidia_smi, tmp_path, monkeypatch):
    """A function that puts a program in the place of nvidia-smi, which it calls `real`."""

    def put(text):
        program = tmp_path / "instead/nvidia-smi"
        program.parent.mkdir()
        program.write_text(f"#!/bin/bash\nreal={nvidia_smi}\n{text}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)

    return put


@pytest.fixture(scope="session")
def torch_python():
    """The Python of the torchrun on PATH."""
    found = shutil.which("torchrun")
    if not found:
        pytest.skip("torchrun is not on PATH: pip install torch")
    python = Path(found).with_name("python3")
    program = "import torch; raise SystemExit(not torch.cuda.is_available())"
    if subprocess.run([python, "-c", program], check=False).returncode:
        pytest.skip(f"the PyTorch of {python} has no CUDA")
    return python


@pytest.fixture
def process(torch_python):
    """A context in which a process holds the GPU's memory, or multiplies matrices too; its value: GPUs of PyTorch."""

    @contextmanager
    def run(what):
        environment = {**os.environ, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        with subprocess.Popen(
            [torch_python, WORK, what], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        ) as working:
            try:
                yield int(working.stdout.readline())
            finally:
                working.stdin.close()
        assert working.returncode == 0

    return run
