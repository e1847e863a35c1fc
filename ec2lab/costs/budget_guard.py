"""Checks launches against budgets before anything is requested, also when many launch at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Lock
from typing import Any

from ec2lab import clock
from ec2lab.config.models import Experiment
from ec2lab.costs.budget import Budget, Forecast, forecast, promised
from ec2lab.costs.charges import EPOCH, Charge, CostPeriod
from ec2lab.costs.money import sum_known
from ec2lab.costs.pricing import Pricing, paid_for, pricing
from ec2lab.costs.rates import month_of
from ec2lab.errors import UserError
from ec2lab.registry.evidence import requested_count, token_of
from ec2lab.registry.history import History
from ec2lab.registry.record import Event, Record
from ec2lab.registry.state import holdings
from ec2lab.resource import UNKNOWN_ID, ResourceType
from ec2lab.resources.reconcile import reconcile
from ec2lab.session import Session


@dataclass(frozen=True, slots=True)
class Spending:
    """The spending in the registry at one moment."""

    spans: list[CostPeriod]
    history: History
    now: datetime

    @classmethod
    def of(cls, session: Session) -> Spending:
        """Compute it from the registry and its archive. Raises UserError."""
        records = paid_for(session, session.registry.history())
        return cls.from_records(records, pricing(session), clock.now())

    @classmethod
    def from_records(cls, records: list[Record], pricing: Pricing, now: datetime) -> Spending:
        """Compute it from records. A launch whose response was lost counts as running until that is resolved."""
        history = History([*records, *_as_if_answered(records, pricing.resource_types)])
        return cls(pricing.spans(history, now), history, now)

    def without_unanswered(self, experiments: Collection[str]) -> Spending:
        """Return a copy without lost requests of experiments being launched: the launch resolves them."""
        left = [
            one
            for one in self.spans
            if not (one.experiment in experiments and (one.parent_id or one.id).startswith(UNKNOWN_ID))
        ]
        return replace(self, spans=left)

    def month_to_date(self) -> list[Charge]:
        return self._charges(month_of(self.now)[0], self.spans)

    def for_base(self, base: str) -> list[Charge]:
        own = [span for span in self.spans if self.history.base(span.experiment or "") == base]
        return self._charges(EPOCH, own)

    def _charges(self, since: datetime, of: Iterable[CostPeriod]) -> list[Charge]:
        return [charge for span in of if (charge := span.charge(since, self.now, self.now))]


@dataclass
class BudgetGuard:
    """Admits the launches of one session."""

    session: Session
    _begun: dict[str, tuple[str, Forecast]] = field(default_factory=dict)
    """What was admitted since the spending was computed: by experiment, its file and its cost."""
    _under_way: set[str] = field(default_factory=set)
    _spending: Spending | None = None
    _lock: Lock = field(default_factory=Lock)

    @contextmanager
    def admitted(self, name: str, base: str, experiment: Experiment, count: int) -> Iterator[list[Budget]]:
        """Reserve room for a launch in progress, and yield its budgets. Raises UserError.

        Instances of an interrupted launch are not counted twice.
        """
        live = self._live(name)
        if live >= count:
            yield []  # nothing to launch
            return
        ahead = forecast(pricing(self.session).book, self.session.lab, experiment, count - live)
        found = self._admit(name, base, experiment, ahead)
        try:
            yield found
        except BaseException:
            self._begun.pop(name, None)  # a failed launch is rolled back
            raise
        finally:
            self._under_way.discard(name)

    def _live(self, name: str) -> int:
        """Return the number of an experiment's live instances, asking AWS, as one may have ended since it was recorded.

        AWS is not asked where none is on record.
        """
        if self._on_record(name):
            reconcile(self.session, name)  # records what is gone
        return self._on_record(name)

    def _on_record(self, name: str) -> int:
        return sum(resource.resource_type == "instance" for resource in self.session.records.state(name).live)

    def _admit(self, name: str, base: str, experiment: Experiment, ahead: Forecast) -> list[Budget]:
        with self._lock:
            if not self._under_way:
                self._spending = Spending.of(self.session)  # everything admitted before is recorded by now
                self._begun.clear()
            found = list(self._budgets(name, base, experiment))
            for budget in found:
                if budget.over(ahead) > 0:
                    raise UserError(budget.over_budget_message(name, ahead))
            self._begun[name] = base, ahead
            self._under_way.add(name)
            return found

    def _budgets(self, name: str, base: str, experiment: Experiment) -> Iterator[Budget]:
        spending = (self._spending or Spending.of(self.session)).without_unanswered({name, *self._begun})
        return budgets(spending, self.session.lab.budget, base, experiment, self._begun.values())


def budgets(
    spending: Spending,
    of_lab: float | None,
    base: str,
    experiment: Experiment,
    begun: Iterable[tuple[str, Forecast]] = (),
) -> Iterator[Budget]:
    """Yield the lab's budget and the experiment's, where set; `begun` is not recorded yet."""
    coming = list(begun)
    if of_lab is not None:
        ahead = [forecast for _, forecast in coming]
        month = f"a month (UTC, {spending.now:%B})"
        yield _budget("lab.toml: budget", of_lab, month, spending.month_to_date(), ahead, spending.now)
    if experiment.budget is not None:
        ahead = [forecast for file, forecast in coming if file == base]
        where = f"experiments/{base}.toml: budget"
        yield _budget(where, experiment.budget, "in all", spending.for_base(base), ahead, spending.now)


def _budget(where: str, limit: float, of: str, charges: list[Charge], begun: list[Forecast], now: datetime) -> Budget:
    spent, unknown = sum_known(charge.dollars for charge in charges)
    ahead, _ = promised(charges, now)
    return Budget(where, limit, of, spent, ahead + sum(forecast.dollars for forecast in begun), unknown)


def planned(
    session: Session, base: str, experiment: Experiment, count: int, sizes: Mapping[str, int]
) -> tuple[Forecast, list[Budget]]:
    """Return a launch's cost, and its budgets. `sizes` are as in `forecast`."""
    ahead = forecast(pricing(session).book, session.lab, experiment, count, sizes)
    if session.lab.budget is None and experiment.budget is None:
        return ahead, []
    spending = Spending.of(session).without_unanswered({base})
    return ahead, list(budgets(spending, session.lab.budget, base, experiment))


def _as_if_answered(records: Iterable[Record], resource_types: Mapping[str, ResourceType]) -> list[Record]:
    """Return the responses to be expected if every request with an unknown outcome was executed in full.

    Retries with one ClientToken are one request. Spot instances cost no more than on demand unless a higher price was
    offered (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-requests.html), and the zone, which their price
    depends on, is unknown.
    """
    open_intents = [one for one in holdings(records, resource_types).unresolved if one.operation == "RunInstances"]
    first = {token_of(intent): intent for intent in reversed(open_intents)}
    return [_answer(intent) for intent in first.values()]


def _answer(intent: Record) -> Record:
    request: dict[str, Any] = {k: v for k, v in (intent.request or {}).items() if k != "InstanceMarketOptions"}
    made = [{"InstanceId": f"{UNKNOWN_ID}{token_of(intent)}-{number}"} for number in range(requested_count(intent))]
    return replace(intent, event=Event.RESPONSE, parent_id=intent.id, request=request, response={"Instances": made})
