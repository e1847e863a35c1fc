"""Events of `make gpus`."""

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
    """0.125 for an eighth of one."""
    gpu_memory_gb: int
    """Of each GPU, or of the fraction of one."""
    instance_type: str
    vcpus: int
    memory_gib: float
    network: str
    """As AWS describes it: 4x 100 Gigabit."""
    efa_interfaces: int
    offers: list[GpuOffer]
    """Cheapest region first. null if a price or a quota is unknown."""


class SpotPlacementScore(
    Event, commands="gpus", text="  spot placement score of these {instance_types} types in {region}: {score} of 10"
):
    """AWS's estimate of how likely a spot request for any of the shown types succeeds in a region."""

    region: str
    score: int
    """From 1 to 10."""
    instance_types: int
    """Number of types that the score is for."""
