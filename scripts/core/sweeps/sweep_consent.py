"""A large sweep is meant: what it comes to is said before anything is launched."""

from __future__ import annotations

from scripts.core.errors import LabError
from scripts.core.lab.config import Experiment
from scripts.core.session import Session

FEW = 100
"""So many machines are launched without a question: a matrix that one can see at a glance."""


def expect_consent(session: Session, base: str, experiment: Experiment, count: int, *, given: bool) -> None:
    """Raise LabError that says what a sweep comes to, where it is large and nobody said yes."""
    if count <= FEW or given:
        return
    raise LabError(
        f"EXP: {base!r} would launch {count} machines, {_cost(session, experiment, count)}; "
        'YES=1 does it, or SET="name=value" holds a parameter still'
    )


def _cost(session: Session, experiment: Experiment, count: int) -> str:
    """Return what so many machines cost at most, by the list prices of the first region."""
    region = (experiment.regions or session.lab.regions)[0]
    listed = [session.prices.machine_hour(region, instance_type) for instance_type in experiment.types]
    known = [price for price in listed if price is not None]
    return (
        f"for up to ${max(known) * count:,.2f} an hour" if len(known) == len(listed) else "at a price that is not known"
    )
