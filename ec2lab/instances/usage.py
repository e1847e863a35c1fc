"""Who runs what: live resources by member and experiment, with their cost. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from ec2lab.costs.current_costs import total_of
from ec2lab.costs.summary import NOBODY, CostSummary
from ec2lab.events.costs import MemberUsage
from ec2lab.instance_state import UP
from ec2lab.resource import Resource

INSTANCE = "instance"


def usage_by_member(resources: Iterable[Resource], spent: Mapping[str, CostSummary]) -> list[MemberUsage]:
    """Return each member's total, and after it each of the member's experiments, those that cost most first.

    What is free is left out, but for instances.
    """
    members: dict[str, dict[str, list[Resource]]] = {}
    for one in resources:
        if one.resource_type == INSTANCE or spent[one.id].hourly or spent[one.id].hourly_unknown:
            members.setdefault(one.created_by or NOBODY, {}).setdefault(one.experiment or "", []).append(one)
    found = []
    for member, experiments in members.items():
        rows = [_usage(member, name, some, spent) for name, some in experiments.items()]
        rows.sort(key=lambda row: (-row.dollars_per_hour, row.experiment))
        found.append([_usage(member, None, [one for some in experiments.values() for one in some], spent), *rows])
    found.sort(key=lambda rows: (-rows[0].dollars_per_hour, rows[0].member))
    return [row for rows in found for row in rows]


def _usage(
    member: str, experiment: str | None, resources: Collection[Resource], spent: Mapping[str, CostSummary]
) -> MemberUsage:
    instances = [one for one in resources if one.resource_type == INSTANCE]
    return MemberUsage(
        member=member, experiment=experiment, instances=len(instances),
        not_running=dict(Counter(one.state for one in instances if one.state not in UP)),
        types=dict(Counter(one.details.get("type", "?") for one in instances)),
        markets=sorted({market for one in instances if (market := one.details.get("market"))}),
        since=min((datetime.fromisoformat(one.since) for one in instances if one.since), default=None),
        **total_of(spent[one.id] for one in resources).rates(),
    )  # fmt: skip
