"""What resources of a type cost: a plugin says it by a pricer. Pure, but for what a pricer has AWS describe."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from ec2lab.aws.cloud import Cloud
from ec2lab.aws.tags import EXPERIMENT, tags_in_request
from ec2lab.costs.charges import CostPeriod
from ec2lab.costs.money import Dollars, times
from ec2lab.costs.price_book import HOURS, PriceBook
from ec2lab.costs.rates import HourlyRate, unlisted
from ec2lab.plugin_guard import ResultCheck, one, several
from ec2lab.plugins import Plugins
from ec2lab.registry.history import History
from ec2lab.registry.record import Event, Record, parse_time
from ec2lab.registry.state import DELETED, DISCOVERED
from ec2lab.resource import ResourceType


class Pricer(ABC):
    """What resources of one type cost. Those of a type that has no pricer cost nothing."""

    name: ClassVar[str]
    """The resource type's."""
    results: ClassVar[Mapping[str, ResultCheck]] = {
        "monthly": one(float | int | None, "number"),
        "spans": several(CostPeriod, "CostPeriod"),
    }

    @abstractmethod
    def monthly(self, found: Mapping[str, Any], region: str, book: PriceBook) -> Dollars:
        """Return what a described resource costs a month as it is now, in dollars; None where that is not known."""

    def spans(
        self, resource_type: ResourceType, history: History, book: PriceBook, now: datetime
    ) -> Iterator[CostPeriod]:
        """Yield each time in which a resource cost the same: by default what `monthly` says, while it exists."""
        for life in Lives(resource_type, history).known.values():
            monthly = self.monthly(life.found, life.region, book) if life.found is not None else None
            why = "what it is is not on record" if life.found is None else unlisted(self.name, life.region)
            if monthly == 0.0:
                continue
            yield CostPeriod(
                resource_type=self.name, id=life.id, region=life.region, experiment=life.experiment, by=life.by,
                what=self.name, rate=HourlyRate(times(monthly, 1 / HOURS), why), began=life.began, ended=life.ended,
            )  # fmt: skip

    def describe(self, resource_type: ResourceType, cloud: Cloud, region: str, ids: Collection[str]) -> None:
        """Have AWS describe resources that `spans` calls vague; the response is on record then."""
        resource_type.by_id(cloud, region, ids)


def pricers(plugins: Plugins) -> dict[str, Pricer]:
    return plugins.named("lab_pricers", Pricer)


@dataclass(slots=True)
class Life:
    """A resource from creation to end."""

    id: str
    region: str
    experiment: str | None
    by: str
    began: datetime
    found: Mapping[str, Any] | None  # AWS's description of it; None where only its id is known
    ended: datetime | None = None

    def end(self, moment: datetime) -> None:
        """Note its end; the first one recorded holds."""
        self.ended = self.ended or max(moment, self.began)


class Lives:
    """The resources of a type, each from its creation to its deletion, by its id."""

    def __init__(self, resource_type: ResourceType, history: History) -> None:
        self.resource_type = resource_type
        self.known: dict[str, Life] = {}
        for record in history.records:
            self._add(record)
        for life in self.known.values():
            if gone := history.sightings.gone_by(life.id, life.began):
                life.end(gone)

    def _add(self, record: Record) -> None:
        if record.event is Event.RESPONSE and record.operation in self.resource_type.created_by and record.response:
            for found in self.resource_type.created_in(record.response):
                self._begin(_life(self.resource_type, record, found))
        for noted in (record.annotation or {}).get(DISCOVERED, ()):
            if noted["resource_type"] == self.resource_type.name:
                began = parse_time(noted.get("since") or record.time)
                region, by = str(noted["region"]), record.by
                self._begin(Life(str(noted["id"]), region, noted.get("experiment", record.experiment), by, began, None))
        for identity in (*self.resource_type.ended_by(record), *(record.annotation or {}).get(DELETED, ())):
            if identity in self.known:
                self.known[identity].end(parse_time(record.time))

    def _begin(self, begun: Life) -> None:
        if begun.id not in self.known or self.known[begun.id].ended:
            self.known[begun.id] = begun


def _life(resource_type: ResourceType, record: Record, found: Mapping[str, Any]) -> Life:
    experiment = tags_in_request(record.request or {}, resource_type.tag_type).get(EXPERIMENT)
    began = parse_time(resource_type.since_in(found) or record.time)
    return Life(resource_type.id_in(found), record.region or "", experiment, record.by, began, found)
