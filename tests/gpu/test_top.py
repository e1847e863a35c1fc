"""`make top` shows of a real GPU what its driver tells, and PyTorch has as many GPUs as are shown."""

import subprocess
import sys
import time

import pytest

from ec2lab.console import Console
from ec2lab.hosts.program_packer import program as program_text
from ec2lab.runs.metrics import parse_metrics
from tests.hosts.program import program

pytestmark = pytest.mark.gpu
MIB = 1 << 20
HELD = 4096
"""MiB, by tests/gpu/work.py."""


def measured(count):
    """What an instance is busy with, so many times in a row."""
    words = [sys.executable, "-I", "-c", program_text("measure.py"), "1", str(count)]
    return [parse_metrics(line, "demo-1") for line in subprocess.check_output(words, text=True).splitlines()]


def test_memory_is_that_of_nvml(process, query):
    nvml = pytest.importorskip("pynvml", reason="pip install nvidia-ml-py")
    nvml.nvmlInit()
    with process("hold"):
        card = nvml.nvmlDeviceGetMemoryInfo(nvml.nvmlDeviceGetHandleByIndex(0), version=nvml.nvmlMemory_v2)
        (one,) = measured(1)
        assert [str(one.gpu_memory_used[0]), str(one.gpu_memory_total[0])] == query("memory.used", "memory.total")
    assert one.gpu_memory_total[0] == card.total // MIB
    assert one.gpu_memory_used[0] == pytest.approx(card.used / MIB, abs=2)
    assert one.gpu_memory_used[0] >= HELD


def test_utilization_is_high_at_work_and_low_at_rest(process, capsys):
    with process("multiply"):
        at_work = measured(3)[-1]
    time.sleep(2)
    at_rest = measured(1)[0]
    assert at_work.gpu[0] >= 90
    assert at_rest.gpu[0] <= 5
    assert at_rest.gpu_memory_used[0] < at_work.gpu_memory_used[0]
    Console().emit_table([at_work])
    shown = capsys.readouterr().out
    used, total = (sum(mib) / 1024 for mib in (at_work.gpu_memory_used, at_work.gpu_memory_total))
    assert f"{used:.0f}/{total:.0f} GiB" in shown
    assert f"{sum(at_work.gpu) // len(at_work.gpu)}%" in shown


@pytest.mark.parametrize(
    ("text", "gpus"),
    [('exec "$real" "${@/utilization.gpu/driver_model.current}"', 1), ('exec "$real" --id=99 "$@"', 0)],
    ids=["not-available", "fails"],
)
def test_what_a_gpu_does_not_report_is_null_and_no_gpu_is_none(other_nvidia_smi, query, text, gpus):
    total = query("memory.total")
    other_nvidia_smi(text)
    told = measured(1)[0]
    assert told.gpu == [None] * len(told.gpu)
    assert list(map(str, told.gpu_memory_total))[:gpus] == total[:gpus]
    assert bool(told.gpu) == bool(gpus)


def test_pytorch_nvidia_smi_top_and_the_pci_bus_count_the_same_gpus(process, query):
    container = program("run-container")
    with process("hold") as of_pytorch:
        pass
    assert container.has_nvidia_gpu()
    assert [str(of_pytorch)] == query("count")
    assert len(measured(1)[0].gpu) == of_pytorch
