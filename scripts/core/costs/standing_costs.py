"""What that which lives costs, an hour and so far, by the records at hand: the archive is not opened for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from scripts.core.costs.charges import Charge, charges
from scripts.core.costs.cost_sums import Spent, amount, spent
from scripts.core.kind import Resource
from scripts.core.session import Session


def costs_of(session: Session, resources: Sequence[Resource]) -> Mapping[str, Spent]:
    """Return by id what resources cost, with what came with them: a machine's volumes and its address.

    What the records tell too little of is asked of AWS, once: the answer is on record.
    """
    found = _charges(session)
    if _look_into(session, found):
        found = _charges(session)
    return shared_out(found, resources)


def shared_out(found: Iterable[Charge], resources: Iterable[Resource]) -> Mapping[str, Spent]:
    """Return by id what charges say of resources, with what came with them."""
    owners = dict.fromkeys(resource.id for resource in resources)
    parts: dict[str, list[Charge]] = {}
    for charge in found:
        # A volume that is a row of its own is not its machine's as well.
        parts.setdefault(charge.id if charge.id in owners else charge.of, []).append(charge)
    return {identity: spent(identity, parts.get(identity, ())) for identity in owners}


def still_costs(session: Session, experiment: str) -> str:
    """Return, for people, what an experiment costs an hour now."""
    now = spent(experiment, (one for one in _charges(session) if one.experiment == experiment))
    return amount(now.hourly, now.hourly_unknown)


def total_of(costs: Iterable[Spent]) -> Spent:
    """Return what several cost together."""
    found = list(costs)
    return Spent(
        "", sum(c.dollars for c in found), sum(c.unknown for c in found),
        sum(c.hourly for c in found), sum(c.hourly_unknown for c in found), sum(c.things for c in found),
    )  # fmt: skip


def _charges(session: Session) -> list[Charge]:
    return charges(session.paid_for(session.registry.records()), session.kinds, session.prices)


def _look_into(session: Session, found: Iterable[Charge]) -> bool:
    """Have AWS describe what lives and is not wholly on record; say whether there was any."""
    vague: dict[tuple[str, str], set[str]] = {}
    for one in found:
        if one.vague and one.ended is None:
            vague.setdefault((one.kind, one.region), set()).add(one.id)
    asked = [
        session.threads.submit(session.kinds[kind].look_into, session.cloud, region, sorted(ids))
        for (kind, region), ids in vague.items()
    ]
    for answer in asked:
        answer.result()
    return bool(vague)
