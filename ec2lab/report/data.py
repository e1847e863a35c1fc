"""The data of a report: the registry's history and AWS's state; without AWS the registry's, with the reason."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from botocore.exceptions import ClientError

from ec2lab import clock
from ec2lab.audit.audit import Finding, examined
from ec2lab.audit.inventory import Survey
from ec2lab.aws.cloud import Cloud
from ec2lab.aws.error_codes import CATEGORIES, REGION_OUT, ApiError, ErrorCategory
from ec2lab.aws.errors import in_words
from ec2lab.aws.region_queries import not_seen
from ec2lab.aws.tags import DATASET, from_aws
from ec2lab.costs.aws_prices import PriceUnavailable
from ec2lab.costs.charges import CostPeriod
from ec2lab.costs.current_costs import costs_of, shared_out
from ec2lab.costs.price_book import PriceBook
from ec2lab.costs.price_lookup import PriceLookup
from ec2lab.costs.pricing import Pricing, paid_for, pricing
from ec2lab.costs.summary import CostSummary
from ec2lab.datasets.costs import PricedSnapshot, price_snapshots
from ec2lab.datasets.dataset import DataSnapshot, list_snapshots_in, snapshots_in
from ec2lab.errors import UserError
from ec2lab.instances.status import possible_resource, standing
from ec2lab.registry.history import History, LaunchError
from ec2lab.registry.instance_timeline import InstanceTimeline, Run
from ec2lab.registry.record import Record
from ec2lab.registry.state import holdings
from ec2lab.resource import Resource
from ec2lab.resources.live_in_aws import known_regions
from ec2lab.session import Session

Answer = TypeVar("Answer")
Priced = tuple[list[Resource], Mapping[str, CostSummary]]


@dataclass(slots=True)
class ReportData:
    lab: str
    registry: str
    banner: str  # where calls go, if not to AWS
    now: datetime
    records: int
    past: Past
    spans: list[CostPeriod]
    live: list[Resource]
    costs: Mapping[str, CostSummary]
    datasets: list[PricedSnapshot]
    survey: Survey
    findings: list[Finding]
    unavailable: dict[str, str] = field(default_factory=dict)  # what was to be queried, and why AWS did not respond
    incomplete: Collection[str] = ()  # the parts that are incomplete


@dataclass(slots=True)
class Asking:
    """Optional queries to AWS."""

    why_not: str  # why AWS cannot be queried at all; empty where it can
    unavailable: dict[str, str] = field(default_factory=dict)
    incomplete: set[str] = field(default_factory=set)

    def ask(self, what: str, question: Callable[[], Answer], otherwise: Callable[[], Answer]) -> Answer:
        """Return AWS's response; without one, note why and return what is known otherwise."""
        if self.why_not:
            return self._without(what, self.why_not, otherwise)
        try:
            with in_words():
                return question()
        except UserError as problem:
            return self._without(what, str(problem), otherwise)

    def _without(self, what: str, why: str, otherwise: Callable[[], Answer]) -> Answer:
        self.unavailable[what] = why
        self.incomplete.add(what)
        return otherwise()

    def lacks(self, what: str, unseen: Mapping[str, str]) -> None:
        """Note the regions that did not respond."""
        self.unavailable |= {f"{what} in {region}": why for region, why in unseen.items()}
        self.incomplete |= {what} if unseen else set()


def facts(session: Session) -> ReportData:
    """Read the registry and its archive, and query live resources, datasets and orphans."""
    asking = Asking(_aws_unavailable_reason(session))
    now = clock.now()
    # All regions of an account take several seconds; those that the lab never used are for `make audit`.
    regions = known_regions(session)
    live = asking.ask("live resources", lambda: _live(session, asking), lambda: None)
    datasets = asking.ask("datasets", lambda: _datasets(session, regions, asking), lambda: None)
    seen, found = asking.ask("audit", lambda: examined(session, regions), lambda: (Survey(), []))
    asking.lacks("audit", seen.unseen)
    records = paid_for(session, session.registry.history())  # including what was just queried, such as volumes
    history = History(records)
    paid = _pricing(session, asking.why_not).spans(history, now)
    alive, costs = live or _live_on_record(session, records, paid, now)
    return ReportData(
        lab=session.lab.name, registry=session.registry.name, banner="" if asking.why_not else session.cloud.banner,
        now=now, records=len(records), past=past(history, now), spans=paid, live=alive,
        costs=costs, datasets=datasets if datasets is not None else datasets_on_record(history),
        survey=seen, findings=found, unavailable=asking.unavailable, incomplete=asking.incomplete,
    )  # fmt: skip


def _live(session: Session, asking: Asking) -> Priced:
    shown = standing(session)
    asking.lacks("live resources", shown.unseen)
    live = [*shown.resources, *_elsewhere(session)]
    return live, costs_of(session, live).spent if live else {}


def _elsewhere(session: Session) -> list[Resource]:
    """Return what is live in other accounts of the same kind, which are not queried."""
    local = session.lab.cloud == "local"
    return [
        replace(resource, state=f"in {one.account or 'an account that is not on record'}, which was not queried")
        for one in session.records.elsewhere()
        if one.account is None or one.account.is_local == local
        for resource in one.known.live
        if resource.experiment
    ]


def _aws_unavailable_reason(session: Session) -> str:
    """Return why AWS cannot be queried (no credentials, offline); empty where a region responds, if only with an error.

    One query to each region, without retries: otherwise each of a hundred would wait for a connection.
    """
    regions = session.lab.regions
    responses = session.queries.run({(r, "regions"): session.cloud.ec2_no_retry(r).describe_regions for r in regions})
    rejected = any(isinstance(problem, ClientError) for problem in responses.failures.values())
    return "" if responses.found or rejected else "; ".join(not_seen(responses.unseen))


def _pricing(session: Session, why_not: str) -> Pricing:
    """Return the lab's prices; without AWS, cached and bundled ones."""
    known = pricing(session)
    if why_not and isinstance(source := known.book.source, PriceLookup):
        return replace(known, book=PriceBook(replace(source, cloud=_out_of_reach)))
    return known


def _out_of_reach() -> Cloud:
    raise PriceUnavailable


def _live_on_record(session: Session, records: Sequence[Record], paid: Iterable[CostPeriod], now: datetime) -> Priced:
    known = holdings(records, session.resource_types)
    found = [resource for resource in known.live if resource.experiment]
    found += [possible_resource(session.resource_types, intent) for intent in known.unresolved]
    found.sort(key=lambda resource: (resource.experiment or "", resource.resource_type, resource.id))
    charged = [charge for span in paid if (charge := span.charge(span.began, now, now))]
    return found, shared_out(charged, found)


def _datasets(session: Session, regions: Sequence[str], asking: Asking) -> list[PricedSnapshot]:
    """Return the datasets of the regions that respond, and the recorded ones of the others."""
    responses = list_snapshots_in(session, regions)
    asking.lacks("datasets", responses.unseen)
    there = price_snapshots(session, snapshots_in(responses)).snapshots
    if not responses.unseen:
        return there
    on_record = datasets_on_record(History(paid_for(session, session.registry.history())))
    return there + [one for one in on_record if one.snapshot.region in responses.unseen]


def datasets_on_record(history: History) -> list[PricedSnapshot]:
    """Return the snapshots of datasets as AWS last described them, without those deleted since.

    Their prices are not looked up.
    """
    there = (one for one in history.snapshots.values() if one.is_listed and one.ended is None)
    found = (one for one in there if DATASET in from_aws(one.described.get("Tags")))
    return [PricedSnapshot(DataSnapshot.of(one.described, one.region), None, "") for one in found]


INSTANCE = "instance"
LATE_FAILURES = {ErrorCategory.INSUFFICIENT_CAPACITY, ErrorCategory.COMPUTE_QUOTA, *REGION_OUT}


@dataclass(frozen=True, slots=True)
class Past:
    """All recorded instances and errors."""

    lives: Sequence[InstanceTimeline]
    errors: Sequence[LaunchError]
    base: Callable[[str], str]  # maps an experiment to its displayed name: a sweep's trials all have the sweep's


def past(history: History, now: datetime) -> Past:
    """Return each instance's history: it ran if it is billed, and died if it never reached the running state.

    An instance that died for lack of capacity or quota is an error as well.
    """
    ended = (instance.as_of(now) for instance in history.instances.values())
    lives = [replace(life, runs=life.runs or [Run(life.began, life.ended)]) for life in ended]
    late = [error for life in lives for error in _late_error(life)]
    return Past(lives, [*history.errors, *late], history.base)


def _late_error(life: InstanceTimeline) -> Iterator[LaunchError]:
    code = life.fate.removeprefix("Server.").removeprefix("Client.")
    if life.ended and CATEGORIES.get(code) in LATE_FAILURES:
        yield LaunchError(
            id=life.id, at=life.ended.isoformat(), experiment=life.experiment or "", region=life.region, zone=life.zone,
            type=life.type, market=life.market, instances=(), error=ApiError(life.fate, "", late=True),
        )  # fmt: skip
