"""Instance types with GPUs: what each has, where it is offered, at which price and within which quota."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ec2lab.aws.cloud import Cloud
from ec2lab.aws.region_queries import Responses, not_seen
from ec2lab.capacity_pools import ON_DEMAND, SPOT, Market
from ec2lab.config.gpu import GpuRequest, nominal_gb, plain_count
from ec2lab.console import warn
from ec2lab.costs.pricing import pricing
from ec2lab.errors import UserError
from ec2lab.events.gpus import GpuOffer
from ec2lab.launch.quotas import quota_of, quotas, vcpus_in_use
from ec2lab.launch.region_specs import zones_by_instance_type
from ec2lab.session import Session
from ec2lab.validators import did_you_mean

FAMILIES = ("g*", "p*", "dl*")
"""The families with GPUs (https://docs.aws.amazon.com/ec2/latest/instancetypes/ac.html): EC2 has no filter on GPUs, and
hundreds of types without any."""
GPU = "gpu"
FEWEST_SCORED, SCORED_REGIONS = 3, 10
"""Fewer types always score low, and no request takes more regions
(https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetSpotPlacementScores.html)."""


@dataclass(frozen=True, slots=True)
class GpuType:
    name: str
    gpu: str  # the GPU's name, as AWS has it
    count: float  # 0.125 where the type has an eighth of a GPU
    gpu_memory_mib: int  # of each GPU, or of the part of one
    vcpus: int
    memory_mib: int
    network: str  # as AWS describes it: "4x 100 Gigabit"
    efa_interfaces: int
    usage_classes: frozenset[str]  # on-demand, spot, capacity-block

    @classmethod
    def described(cls, described_type: Mapping[str, Any]) -> GpuType:
        gpu, network = described_type["GpuInfo"]["Gpus"][0], described_type["NetworkInfo"]
        count = gpu.get("Count") or gpu.get("LogicalGpuCount", 0) * gpu.get("GpuPartitionSize", 0.0)
        return cls(
            described_type["InstanceType"], gpu["Name"], float(count), gpu["MemoryInfo"]["SizeInMiB"],
            described_type["VCpuInfo"]["DefaultVCpus"], described_type["MemoryInfo"]["SizeInMiB"],
            network.get("NetworkPerformance", ""),
            network.get("EfaInfo", {}).get("MaximumEfaInterfaces", 0),
            frozenset(described_type.get("SupportedUsageClasses", ())),
        )  # fmt: skip

    @property
    def gpu_memory_gb(self) -> int:
        return nominal_gb(self.gpu_memory_mib)

    def is_wanted(self, request: GpuRequest) -> bool:
        by_gpu = request.is_called(self.gpu) and request.has_memory(self.gpu_memory_mib)
        return by_gpu and request.has_count(self.count)


@dataclass(frozen=True, slots=True)
class RegionGpus:
    types: Mapping[str, GpuType]
    zones: Mapping[str, Sequence[str]]  # those that offer each type


def gpus_in(cloud: Cloud, region: str) -> RegionGpus:
    ec2 = cloud.ec2(region)
    wanted: Any = [{"Name": "instance-type", "Values": list(FAMILIES)}]
    pages = ec2.get_paginator("describe_instance_types").paginate(Filters=wanted)
    descriptions = [one for page in pages for one in page["InstanceTypes"] if one.get("GpuInfo", {}).get("Gpus")]
    types = {one["InstanceType"]: GpuType.described(one) for one in descriptions}
    zones = zones_by_instance_type(ec2, sorted(types)) if types else {}
    return RegionGpus({name: one for name, one in types.items() if name in zones}, zones)


def gpus_by_region(session: Session, regions: Iterable[str]) -> Responses[RegionGpus]:
    return session.queries.run({(region, GPU): partial(gpus_in, session.cloud, region) for region in regions})


def offers_of(
    session: Session, offered: Mapping[str, RegionGpus], types: Iterable[GpuType], markets: Iterable[Market]
) -> dict[GpuType, list[GpuOffer]]:
    """Return where and for how much each type is to be had: the cheapest type, and the cheapest region, first."""
    book = pricing(session).book
    wanted = {one.name: one for one in types}
    found: dict[GpuType, list[GpuOffer]] = {one: [] for one in wanted.values()}
    chosen = list(markets)
    for region, here in offered.items():
        names = [name for name in wanted if name in here.types]
        book.prefetch_instances(region, names if ON_DEMAND in chosen else [])
        spot = book.spot_now(region, names) if SPOT in chosen and names else {}
        for name in names:
            for market in chosen:
                if market.type in wanted[name].usage_classes:
                    price = spot.get(name) if market == SPOT else book.instance_hour(region, name)
                    place = {"region": region, "market": str(market), "zones": list(here.zones[name])}
                    offer = GpuOffer(**place, dollars_per_hour=price, quota_vcpus=None, used_vcpus=None)
                    found[wanted[name]].append(offer)
    by_price = sorted(found.items(), key=lambda item: (lowest(item[1]), item[0].gpu, item[0].name))
    return {one: sorted(offers, key=partial(_place, offers)) for one, offers in by_price}


def lowest(offers: Iterable[GpuOffer]) -> float:
    return min((offer.dollars_per_hour for offer in offers if offer.dollars_per_hour is not None), default=float("inf"))


def _place(every: Iterable[GpuOffer], offer: GpuOffer) -> tuple[float, str, str]:
    return lowest(one for one in every if one.region == offer.region), offer.region, offer.market


@dataclass(frozen=True, slots=True)
class RegionQuotas:
    """A region's vCPU quotas, by name, and what runs against each."""

    allowed: Mapping[str, float]
    used: Mapping[str, float]

    def of(self, gpu_type: GpuType, offer: GpuOffer) -> GpuOffer:
        if not (quota := quota_of(gpu_type.name, offer.market, self.allowed)):
            return offer
        known = {"quota_vcpus": quota[1], "used_vcpus": self.used.get(quota[0], 0.0)}
        return offer.model_copy(update=known)


def quotas_in_use(cloud: Cloud, region: str) -> RegionQuotas:
    """Return a region's quotas, none where they can't be read. Raises AWS_ERRORS where instances can't be."""
    allowed = quotas(cloud, region)
    return RegionQuotas(allowed, vcpus_in_use(cloud, region, allowed) if allowed else {})


def gpus_and_quotas(
    session: Session, regions: Iterable[str]
) -> tuple[dict[str, RegionGpus], dict[str, RegionQuotas], dict[str, str]]:
    """Return by region its types with GPUs, its quotas, and why something of it could not be seen."""
    queries: dict[tuple[str, str], Callable[[], RegionGpus | RegionQuotas]] = {}
    for region in regions:
        queries[region, GPU] = partial(gpus_in, session.cloud, region)
        queries[region, "quotas"] = partial(quotas_in_use, session.cloud, region)
    responses = session.queries.run(queries)
    found = [(region, facts) for (region, _), facts in responses.found.items()]
    offered = {region: facts for region, facts in found if isinstance(facts, RegionGpus)}
    return offered, {region: facts for region, facts in found if isinstance(facts, RegionQuotas)}, responses.unseen


def spot_scores(session: Session, regions: Sequence[str], types: Sequence[str]) -> Mapping[str, int] | str:
    """Return by region how likely spot gives any of the types, 1 to 10, nothing for too few types; or why not."""
    if len(types) < FEWEST_SCORED or not regions:
        return {}
    several = [regions[start : start + SCORED_REGIONS] for start in range(0, len(regions), SCORED_REGIONS)]
    responses = session.queries.run(
        {(some[0], "scores"): partial(_scores, session.cloud, some, types) for some in several}
    )
    for why in responses.unseen.values():
        return why
    return {region: score for scores in responses.found.values() for region, score in scores.items()}


def _scores(cloud: Cloud, regions: Sequence[str], types: Sequence[str]) -> dict[str, int]:
    pages = cloud.ec2(regions[0]).get_paginator("get_spot_placement_scores")
    asked = pages.paginate(InstanceTypes=list(types), TargetCapacity=1, RegionNames=list(regions))
    return {one["Region"]: one["Score"] for page in asked for one in page["SpotPlacementScores"]}


def wanted_types(offered: Mapping[str, RegionGpus], requests: Sequence[GpuRequest], where: str) -> list[GpuType]:
    """Return the types that have the GPUs of any request. Raises UserError where nothing has those of one."""
    known = {one.name: one for here in offered.values() for one in here.types.values()}
    for request in requests:
        if not any(one.is_wanted(request) for one in known.values()):
            raise UserError(f"{where}: {_lack(request, list(known.values()), ', '.join(offered))}")
    return [one for one in known.values() if any(map(one.is_wanted, requests))]


def _lack(request: GpuRequest, known: Sequence[GpuType], regions: str) -> str:
    called = [one for one in known if request.is_called(one.gpu)]
    if not called:
        names = sorted({one.gpu for one in known})
        meant = did_you_mean(request.name.upper(), names) or f" (known: {', '.join(names)})"
        return f"no instance type in {regions} has a GPU {request.name!r}{meant}"
    fitting = [one for one in called if request.has_memory(one.gpu_memory_mib)]
    if not fitting:
        sizes = sorted({one.gpu_memory_gb for one in called})
        return f"{called[0].gpu} has {' or '.join(map(str, sizes))} GB, not {request.memory_gb}"
    counts = {one.count: one.name for one in sorted(fitting, key=lambda one: one.name, reverse=True)}
    offered = ", ".join(f"{plain_count(count)} ({counts[count]})" for count in sorted(counts))
    return f"{called[0].gpu} comes by {offered} to an instance, not by {plain_count(request.count or 1)}"


def cheapest_types(
    session: Session, regions: Iterable[str], requests: Sequence[str], markets: Sequence[Market], where: str
) -> list[str]:
    """Return the instance types with the GPUs of any request, by the price in those markets, the cheapest first.

    A region that does not respond is left out. Raises UserError where nothing has the GPUs, or no region responds.
    """
    responses = gpus_by_region(session, regions)
    if not responses.found:
        raise next(iter(responses.failures.values()))
    for line in not_seen(responses.unseen):
        warn(line)
    offered = {region: found for (region, _), found in responses.found.items()}
    types = wanted_types(offered, [GpuRequest.parse(text) for text in requests], where)
    offers = offers_of(session, offered, types, [market for market in markets if not market.reservation])
    reserved = any(market.reservation for market in markets)
    if not (found := [one.name for one in offers if offers[one] or reserved]):
        names, sold_as = ", ".join(one.name for one in types), " nor ".join(map(str, markets))
        raise UserError(f"{where}: AWS offers {names}, but not {sold_as} (change markets)")
    return found
