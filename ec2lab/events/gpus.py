"""What `make gpus` reports."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from ec2lab.events import Event


class GpuOffer(BaseModel):
    """An instance type in one region and market."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    region: str
    zones: list[str]
    market: str
    dollars_per_hour: float | None
    quota_vcpus: float | None
    used_vcpus: float | None


class GpuInstanceType(Event, commands="gpus"):
    """An instance type with GPUs, and where it is offered."""

    gpu: str
    """As AWS names it."""
    gpus: float
    """How many; 0.125 for an eighth of one."""
    gpu_memory_gb: int
    """Of each GPU, or of the part of one."""
    instance_type: str
    vcpus: int
    memory_gib: float
    network: str
    """As AWS describes it: 4x 100 Gigabit."""
    efa_interfaces: int
    offers: list[GpuOffer]
    """The cheapest region first. null where a price or a quota is not known."""


class SpotPlacementScore(Event, commands="gpus"):
    """How likely AWS holds it that a spot request for any of the types that are shown succeeds in a region."""

    region: str
    score: int
    """From 1 to 10."""
    instance_types: int
    """How many types it is the score of."""
