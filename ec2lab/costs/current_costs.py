"""Hourly and accumulated cost of live resources, from the current registry without its archive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ec2lab.aws.region_queries import Key
from ec2lab.costs.charges import Charge
from ec2lab.costs.price_book import HOURS
from ec2lab.costs.pricing import paid_for, pricing
from ec2lab.costs.summary import CostSummary, spent
from ec2lab.events import Unavailable
from ec2lab.registry.history import History
from ec2lab.resource import UNKNOWN_ID, Resource
from ec2lab.session import Session
from ec2lab.units import amount

NOT_KNOWN = (("no response shows whether it was created", "possibly created resources"),)


@dataclass(frozen=True, slots=True)
class Costs:
    spent: Mapping[str, CostSummary]
    rest: CostSummary
    unknown: Sequence[Unavailable] = ()


def history_at_hand(session: Session) -> History:
    """Fold the registry's records, without its archive."""
    return History(paid_for(session, session.registry.records()))


def costs_of(session: Session, resources: Sequence[Resource], history: History | None = None) -> Costs:
    """Return the cost of resources with what came with them: an instance's volumes and its address.

    What the records lack is asked of AWS once, and then recorded. What AWS does not tell is unknown. The registry is
    read unless `history` is given.
    """
    found, unknown = _charges(session, history), []
    if vague := _vague(found):
        unknown = _describe(session, vague)
        found = _charges(session)
    return Costs(shared_out(found, resources), beside(found, resources), [*unknown, *pricing(session).book.unknown()])


def beside(found: Iterable[Charge], resources: Sequence[Resource]) -> CostSummary:
    """Return what is billed besides these resources and what came with them."""
    owners = {resource.id for resource in resources}
    return spent("", (one for one in found if one.ended is None and not {one.id, one.parent_id} & owners))


def rest_text(rest: CostSummary) -> str:
    """Describe, for people, what is billed besides live experiments: retained volumes, and the lab's own."""
    monthly = round(rest.hourly * HOURS, 2)
    if not monthly and not rest.hourly_unknown:
        return ""
    costs = amount(monthly, rest.hourly_unknown)
    return f"retained volumes, datasets and others: {costs} dollars a month (`make cost GROUP_BY=resource-type`)"


def shared_out(found: Iterable[Charge], resources: Sequence[Resource]) -> Mapping[str, CostSummary]:
    """Return the charges by resource id, with what came with each; unknown for what may have been created."""
    owners = dict.fromkeys(resource.id for resource in resources)
    parts: dict[str, list[Charge]] = {}
    for charge in found:
        # A volume with a row of its own is not added to its instance.
        parts.setdefault(charge.id if charge.id in owners else charge.parent_id, []).append(charge)
    costs = {identity: spent(identity, parts.get(identity, ())) for identity in owners}
    if possible := sum(resource.id == UNKNOWN_ID for resource in resources):
        costs[UNKNOWN_ID] = CostSummary(UNKNOWN_ID, 0.0, possible, 0.0, possible, possible, NOT_KNOWN)
    return costs


def hourly_cost_text(session: Session, experiment: str) -> str:
    """Describe, for people, an experiment's present hourly cost."""
    now = spent(experiment, (one for one in _charges(session) if one.experiment == experiment))
    return amount(now.hourly, now.hourly_unknown)


def total_of(costs: Iterable[CostSummary]) -> CostSummary:
    found = list(costs)
    return CostSummary(
        "", sum(c.dollars for c in found), sum(c.unknown for c in found),
        sum(c.hourly for c in found), sum(c.hourly_unknown for c in found), sum(c.things for c in found),
        tuple(one for c in found for one in c.unpriced),
    )  # fmt: skip


def _charges(session: Session, history: History | None = None) -> list[Charge]:
    return pricing(session).charges(history or history_at_hand(session))


def _vague(found: Iterable[Charge]) -> dict[Key, set[str]]:
    """Return, by region and type, the ids of live resources with incomplete records."""
    vague: dict[Key, set[str]] = {}
    for one in found:
        if one.vague and one.ended is None:
            vague.setdefault((one.region, one.resource_type), set()).add(one.id)
    return vague


def _describe(session: Session, vague: Mapping[Key, set[str]]) -> list[Unavailable]:
    """Describe resources; return the regions that did not respond."""
    known = pricing(session)
    responses = session.queries.run({
        (region, resource_type): partial(known.pricers[resource_type].describe, known.resource_types[resource_type],
            session.cloud, region, sorted(ids))
        for (region, resource_type), ids in vague.items()
    })  # fmt: skip
    return [Unavailable(what="some prices", region=region, reason=why) for region, why in responses.unseen.items()]
