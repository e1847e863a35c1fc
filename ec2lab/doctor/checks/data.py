"""Checks of data: the datasets that experiments use, and retained volumes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ec2lab import clock
from ec2lab.aws.errors import RegionUnavailable
from ec2lab.config.volume import Data
from ec2lab.datasets.dataset import DataSnapshot, chosen
from ec2lab.doctor.check import Check, Requirement
from ec2lab.doctor.context import DoctorContext
from ec2lab.doctor.regions import datasets, retained_volumes
from ec2lab.doctor.runner import collect
from ec2lab.findings import Finding, error, ok, warning

DATASET_AVAILABLE = ok("dataset-available", "{subjects}: in all regions that need it")
DATA_MISSING = warning(
    "dataset-missing", "{experiment}: {dataset} is not in {subjects}; launches skip it",
    '`make snapshot-copy DATASET={bare}{version} REGIONS="{spaced}"`',
)  # fmt: skip
DATASET_NOWHERE = error(
    "dataset-nowhere", "{experiment}: {dataset} is in none of its regions ({subjects})",
    "`make dataset-build DATASET={bare} SOURCE=…` builds it; `make datasets` lists those that exist",
)  # fmt: skip


class Datasets(Check):
    """A dataset is available where it has a completed snapshot."""

    name = "datasets"
    order = 61
    needs = Requirement.AWS
    facts = (datasets,)

    def run(self, lab: DoctorContext) -> Iterator[Finding]:
        lab.require_aws()
        facts, failures = collect(lab.begin_everywhere(datasets))
        yield from failures
        for name, experiment in lab.experiments.items():
            seen = [region for region in lab.regions_of(name) if region in facts]
            for data in experiment.data:
                yield from _of_one(name, data, seen, facts)


def _of_one(experiment: str, data: Data, seen: list[str], facts: Mapping[str, list[DataSnapshot]]) -> Iterator[Finding]:
    lacking = [region for region in seen if not _is_there(data, facts[region], region)]
    shown = f"{data.dataset}@{data.version}" if data.version else data.dataset
    if lacking and lacking == seen:
        yield DATASET_NOWHERE.of(*lacking, experiment=experiment, dataset=shown, bare=data.dataset)
    elif lacking:
        version = f" VERSION={data.version}" if data.version else ""
        yield DATA_MISSING.of(*lacking, experiment=experiment, dataset=shown, bare=data.dataset, version=version)
    elif seen:
        yield DATASET_AVAILABLE.of(shown)


def _is_there(data: Data, there: list[DataSnapshot], region: str) -> bool:
    try:
        chosen(data.dataset, data.version, there, region, {snapshot.registry for snapshot in there})
    except RegionUnavailable:
        return False
    return True


RETENTION_OK = ok("retention-ok", "{subjects}: no volume is past its retention")
EXPIRED = warning(
    "retention-expired", "{volume} in {subjects} is past its retention: {retention}",
    "`make volume-delete VOLUME={volume} YES=1`, or `make volume-retain VOLUME={volume} RETAIN_FOR=30d`",
)  # fmt: skip


class RetainedVolumes(Check):
    """Each costs money until somebody deletes it."""

    name = "retained-volumes"
    order = 64
    needs = Requirement.AWS
    facts = (retained_volumes,)

    def run(self, lab: DoctorContext) -> Iterator[Finding]:
        facts, failures = collect(lab.begin_everywhere(retained_volumes))
        yield from failures
        today = clock.now().date()
        for region, volumes in facts.items():
            expired = {identity: retention for identity, retention in volumes.items() if retention.is_over(today)}
            for identity, retention in expired.items():
                yield EXPIRED.of(region, volume=identity, retention=retention)
            if not expired:
                yield RETENTION_OK.of(region)
