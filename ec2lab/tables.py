"""Events that are rows of tables: their columns, and the cells of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ec2lab import clock
from ec2lab.instance_state import UP, state_text
from ec2lab.terminal_layout import Column, Row
from ec2lab.units import GIB, amount, counted, dollars, format_bytes

if TYPE_CHECKING:
    from ec2lab.events.account import AuditFinding
    from ec2lab.events.costs import CostGroup, MemberUsage, ResourceStatus
    from ec2lab.events.datasets import DatasetVersion
    from ec2lab.events.gpus import GpuInstanceType, GpuOffer
    from ec2lab.events.plan import Candidate
    from ec2lab.events.runs import InstanceMetrics, RunOutputs


def _resource_row(event: ResourceStatus) -> Row:
    details = event.model_extra or {}
    market, loaded = details.get("market", ""), details.get("loaded", "100%")
    data = " ".join(filter(None, (details.get("data", ""), "" if loaded == "100%" else f"(loaded: {loaded})")))
    return (
        event.host or event.experiment or "", event.id, state_text(event.state, event.state_reason), event.created_by,
        details.get("zone", event.region), details.get("address", ""),
        details.get("type") or details.get("size") or event.resource_type, "" if market == "on-demand" else market,
        data, event.since[5:16].replace("T", " "),
        event.remaining or ("no ttl" if event.resource_type == "instance" and event.state in UP else ""),
        amount(event.dollars_per_hour, event.unknown_per_hour), amount(event.dollars, event.unknown_prices),
    )  # fmt: skip


def _audit_row(event: AuditFinding) -> Row:
    return (
        event.finding, event.resource_type, event.id, event.zone or event.region,
        state_text(event.state, event.state_reason), _age(event.since),
        event.created_by, dollars(event.dollars_per_month), event.skipped or event.reason,
    )  # fmt: skip


def _age(since: str) -> str:
    if not since:
        return ""
    seconds = (clock.now() - datetime.fromisoformat(since)).total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return "now"


def _cost_group_row(event: CostGroup) -> Row:
    has_price = event.dollars_per_hour or event.unknown_per_hour
    hourly = amount(event.dollars_per_hour, event.unknown_per_hour) if has_price else ""
    return event.name, amount(event.dollars, event.unknown_prices), hourly, str(event.resources)


def _dataset_row(event: DatasetVersion) -> Row:
    state = event.state if event.state == "completed" else f"{event.state} {event.progress}"
    return (
        event.dataset, event.version, event.region, event.failure or state, event.id, f"{event.size_gib} GiB",
        format_bytes(event.bytes), dollars(event.dollars_per_month), event.fast_restore or "off",
        event.created_at[:16].replace("T", " "),
    )  # fmt: skip


def _candidate_row(event: Candidate) -> Row:
    place = event.subnet or event.zone or "any"
    return (
        str(event.position), event.region, place, event.instance_type, event.market, event.price, event.excluded or "",
    )  # fmt: skip


def _gpu_row(event: GpuInstanceType) -> Row:
    number = f"{event.gpus:g} x" if event.gpus >= 1 else f"{event.gpus:g},"
    efa = f", {event.efa_interfaces} EFA" if event.efa_interfaces else ""
    regions = [offer.region for offer in event.offers]
    return (
        event.gpu, f"{number} {event.gpu_memory_gb} GB", event.instance_type,
        f"{event.vcpus} vCPU, {event.memory_gib:g} GiB", f"{event.network.replace('Gigabit', 'Gb')}{efa}",
        tuple("" if n and regions[n - 1] == region else region for n, region in enumerate(regions)),
        tuple(map(_hourly_price, event.offers)), tuple(map(_free_of_quota, event.offers)),
    )  # fmt: skip


def _hourly_price(offer: GpuOffer) -> str:
    price = dollars(offer.dollars_per_hour, unknown="?")
    return price if offer.market == "on-demand" else f"{price} {offer.market}"


def _free_of_quota(offer: GpuOffer) -> str:
    if offer.quota_vcpus is None or offer.used_vcpus is None:
        return "?"
    return f"{max(0.0, offer.quota_vcpus - offer.used_vcpus):g}/{offer.quota_vcpus:g}"


def _metrics_row(one: InstanceMetrics) -> Row:
    loading = "" if one.loaded in (None, 100) else f"{one.loaded}%"
    if one.problem:
        return one.host, "", "", "", "", "", "", loading, one.problem
    gpus, gpu_memory = _gpu_cells(one) if one.gpu else ("none", "")
    return (
        one.host, gpus, gpu_memory, f"{one.cpu}%", f"{one.memory_used / GIB:.0f}/{one.memory_total / GIB:.0f} GiB",
        f"r {format_bytes(one.disk_read)}/s w {format_bytes(one.disk_written)}/s",
        f"in {format_bytes(one.network_received)}/s out {format_bytes(one.network_sent)}/s", loading, one.line,
    )  # fmt: skip


def _gpu_cells(one: InstanceMetrics) -> tuple[str, str]:
    """Return the mean utilization of the GPUs that report one, and the memory of all."""
    reported = [percent for percent in one.gpu if percent is not None]
    mean = f"{sum(reported) // len(reported)}%" if reported else "?"
    used, total = (sum(mib or 0 for mib in all_) / 1024 for all_ in (one.gpu_memory_used, one.gpu_memory_total))
    return f"{mean} of {len(one.gpu)}" if len(one.gpu) > 1 else mean, f"{used:.0f}/{total:.0f} GiB"


def _outputs_row(one: RunOutputs) -> Row:
    began, changed = (f"{at:%m-%d %H:%M}" if at else "" for at in (one.began, one.changed))
    state = one.state if one.exit_code is None else f"{one.state} {one.exit_code}"
    return one.host, one.run, began, f"{one.files:,}", format_bytes(one.bytes), changed, state, one.uri


def _usage_row(one: MemberUsage) -> Row:
    types = [f"{number} x {name}" if number > 1 else name for name, number in one.types.items()]
    states = [f"{number} {state}" for state, number in one.not_running.items()]
    is_sum = one.experiment is None
    return (
        one.member if is_sum else f"  {one.experiment}",
        counted(one.instances, "instance") if is_sum else ", ".join([*types, *states]) or "none",
        "" if is_sum else ", ".join(one.markets), f"{one.since:%m-%d %H:%M}" if one.since and not is_sum else "",
        amount(one.dollars_per_hour, one.unknown_per_hour), amount(one.dollars, one.unknown_prices),
    )  # fmt: skip


TABLES: Mapping[str, tuple[Sequence[Column], Callable[[Any], Row]]] = {
    "audit-finding": (
        (
            Column("finding", narrow=12), Column("resource type", below="finding"), Column("id"),
            Column("where", below="id"),
            Column("state", narrow=10), Column("age", below="state", drop=2),
            Column("made by", below="finding", drop=1), Column("$ a month", narrow=9), Column("why", narrow=14),
        ),
        _audit_row,
    ),
    "cost-group": (
        (Column("{by}", narrow=20), Column("$", narrow=9), Column("$/hour now", narrow=10), Column("resources")),
        _cost_group_row,
    ),
    "resource": (
        (
            Column("name", narrow=19), Column("id", below="name"), Column("state", narrow=11),
            Column("by", below="state"), Column("where"), Column("address", below="where"),
            Column("type", narrow=13), Column("market", below="type"), Column("data", below="type"),
            Column("since (UTC)", drop=2), Column("left", narrow=7), Column("$/hour", narrow=7),
            Column("$ so far", narrow=8, drop=1),
        ),
        _resource_row,
    ),
    "dataset-version": (
        (
            Column("dataset", narrow=12), Column("version", below="dataset", narrow=12), Column("region"),
            Column("state", narrow=9), Column("snapshot"), Column("volume", drop=1), Column("stored"),
            Column("$ a month"), Column("fast restore", drop=3), Column("since", drop=2),
        ),
        _dataset_row,
    ),
    "gpu-instance-type": (
        (
            Column("gpu"), Column("memory", below="gpu"), Column("instance"), Column("size", below="instance"),
            Column("network", below="instance"), Column("region"), Column("$/hour"), Column("free vCPU"),
        ),
        _gpu_row,
    ),
    "instance-metrics": (
        (
            Column("instance", narrow=8), Column("gpu"), Column("gpu memory", below="gpu"), Column("cpu"),
            Column("memory", below="cpu"), Column("disk"), Column("network", below="disk"),
            Column("data loaded", below="disk"), Column("last line of the log", narrow=20),
        ),
        _metrics_row,
    ),
    "run-outputs": (
        (
            Column("name", narrow=12), Column("run", below="name"), Column("began (UTC)"), Column("files"),
            Column("size"), Column("changed"), Column("state"), Column("where", drop=1),
        ),
        _outputs_row,
    ),
    "member-usage": (
        (
            Column("member, experiment", narrow=19), Column("instances", narrow=16),
            Column("market", below="instances"), Column("since (UTC)", drop=1), Column("$/hour", narrow=7),
            Column("$ so far", narrow=8),
        ),
        _usage_row,
    ),
    "candidate": (
        (
            Column("#"), Column("region", below="zone"), Column("zone"), Column("type"), Column("market", below="type"),
            Column("$/hour"), Column("excluded because", narrow=20),
        ),
        _candidate_row,
    ),
}  # fmt: skip
"""By event, the columns of its table, and what fills a row."""

HISTORY = (  # what is shown of an experiment's records
    Column("time (UTC)", narrow=10), Column("who", below="time (UTC)"), Column("script", drop=1),
    Column("what", narrow=20), Column("region", below="what"), Column("outcome", narrow=28),
    Column("account", narrow=12),
)  # fmt: skip
