"""List instance types with GPUs: what they have, cost, and how much of them the account may use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ec2lab.console import Console, exit_if_incomplete, run
from ec2lab.errors import UserError
from ec2lab.options import AsJson, Regions, Wide, option, script

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ec2lab.config.gpu import GpuRequest
    from ec2lab.events import Event
    from ec2lab.events.gpus import GpuInstanceType, GpuOffer
    from ec2lab.launch.gpus import GpuType, RegionGpus, RegionQuotas
    from ec2lab.session import Session

app = script(__doc__)
Gpu = Annotated[str, option("GPU", "Only this GPU: A100, A100-80GB or A100:8.")]
Number = Annotated[float, option("COUNT", "GPUs per instance: 8, 0.5. Default: any.", min=0)]
Memory = Annotated[int, option("MEMORY", "Minimum memory of a GPU, in GB.", min=0)]


@app.command()
def gpus(
    gpu: Gpu = "", count: Number = 0, memory: Memory = 0, regions: Regions = "", wide: Wide = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """List the instance types with GPUs in the lab's regions (or REGIONS), the cheapest first.

    For each type: its GPUs, vCPUs, memory, network and EFA interfaces and, in each region, the price per hour on
    demand and on spot, and how many vCPUs of the account's quota are free. The spot placement score is AWS's, for a
    request that takes any of the types shown; AWS scores no fewer than three.

    Exit status: 1 if there is no such GPU; 3 if a region did not respond.
    """
    from ec2lab.capacity_pools import ON_DEMAND, SPOT
    from ec2lab.costs.pricing import pricing
    from ec2lab.events import RegionsUnavailable
    from ec2lab.launch.gpus import gpus_and_quotas, offers_of
    from ec2lab.regions import region_names
    from ec2lab.session import open_session

    console, request = Console(as_json=as_json, wide=wide), _parsed(gpu)
    with open_session("gpus") as session:
        console.hint(session.cloud.banner)
        offered, quotas, unseen = gpus_and_quotas(session, region_names(regions) or session.lab.regions)
        types = _chosen(offered, request, count, memory)
        found = offers_of(session, offered, types, [ON_DEMAND, SPOT])
        console.emit_table([_event(one, offers, quotas) for one, offers in found.items()])
        console.emit(*_scores(session, list(offered), [one.name for one in found]))
        console.emit(*pricing(session).book.unknown())
        console.emit(*RegionsUnavailable.by_reason(unseen))
    exit_if_incomplete(unseen)


def _parsed(gpu: str) -> GpuRequest | None:
    from ec2lab.config.gpu import GpuRequest

    try:
        return GpuRequest.parse(gpu) if gpu else None
    except ValueError as problem:
        raise UserError(f"GPU: {problem}") from problem


def _chosen(
    offered: Mapping[str, RegionGpus], request: GpuRequest | None, count: float, memory: int
) -> Iterable[GpuType]:
    """Return the types that all of GPU, COUNT and MEMORY admit. Raises UserError where none does."""
    from ec2lab.launch.gpus import wanted_types

    known = {one.name: one for here in offered.values() for one in here.types.values()}
    named = wanted_types(offered, [request], "GPU") if offered and request else known.values()
    found = [one for one in named if one.gpu_memory_gb >= memory and (not count or one.count == count)]
    if known and not found:
        limits = ", ".join(name for name, limit in (("COUNT", count), ("MEMORY", memory)) if limit)
        raise UserError(f"{limits}: no instance type in {', '.join(offered)} has such GPUs (`make gpus` lists all)")
    return found


def _event(one: GpuType, offers: Iterable[GpuOffer], quotas: Mapping[str, RegionQuotas]) -> GpuInstanceType:
    from ec2lab.events.gpus import GpuInstanceType

    return GpuInstanceType(
        gpu=one.gpu, gpus=one.count, gpu_memory_gb=one.gpu_memory_gb, instance_type=one.name, vcpus=one.vcpus,
        memory_gib=one.memory_mib / 1024, network=one.network, efa_interfaces=one.efa_interfaces,
        offers=[quotas[offer.region].of(one, offer) if offer.region in quotas else offer for offer in offers],
    )  # fmt: skip


def _scores(session: Session, regions: list[str], types: list[str]) -> Iterable[Event]:
    from ec2lab.events import Unavailable
    from ec2lab.events.gpus import SpotPlacementScore
    from ec2lab.launch.gpus import spot_scores

    found = spot_scores(session, regions, types)
    if isinstance(found, str):
        return [Unavailable(what="spot placement scores", reason=found)]
    return [SpotPlacementScore(region=name, score=score, instance_types=len(types)) for name, score in found.items()]


if __name__ == "__main__":
    run(app)
