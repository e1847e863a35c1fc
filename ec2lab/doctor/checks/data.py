"""Checks of data: the datasets that experiments use, the buckets of their results, and retained volumes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from botocore.exceptions import ClientError

from ec2lab import clock
from ec2lab.aws.errors import RegionUnavailable, reason
from ec2lab.config.volume import Data
from ec2lab.datasets.dataset import DataSnapshot, chosen
from ec2lab.doctor.check import Check, Probe, Requirement
from ec2lab.doctor.context import DoctorContext
from ec2lab.doctor.regions import datasets, retained_volumes
from ec2lab.doctor.runner import collect
from ec2lab.findings import Finding, error, ok, warning
from ec2lab.resources.role import log_profile
from ec2lab.runs.s3_logs import s3_client

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


BUCKET_AVAILABLE = ok("artifact-bucket-available", "{subjects}: available for logs and outputs")
NO_BUCKET = ok("no-artifact-bucket", "no experiment has an artifact_uri")
BUCKET_MISSING = error(
    "artifact-bucket-missing", "{experiment}: artifact_uri names the bucket {bucket}, which does not exist",
    "`aws s3 mb s3://{bucket}`, or correct artifact_uri",
)  # fmt: skip
BUCKET_UNKNOWN = warning(
    "artifact-bucket-unreadable", "{experiment}: whether the bucket {bucket} can be used is unknown: {reason}",
    "docs/iam-policy.json has the permissions; the bucket may also belong to another account",
)  # fmt: skip
OUTSIDE_OF_ROLE = error(
    "artifact-uri-not-allowed", "{experiment}: its instance_profile may write to {allowed}, not to {artifact_uri}",
    "set artifact_uri to a place below that of [logs] in lab.toml, or another instance_profile",
)  # fmt: skip
MISSING = "404"  # of a HEAD, which has no body with S3's own code


class ArtifactBuckets(Check):
    """Where instances upload logs and outputs: what cannot be uploaded is lost with the instance."""

    name = "artifact-buckets"
    order = 61
    needs = Requirement.AWS

    def probes(self, lab: DoctorContext) -> Iterable[Probe]:
        for bucket in lab.artifact_buckets.values():
            lab.begin(_bucket_error, bucket)
        return super().probes(lab)

    def run(self, lab: DoctorContext) -> Iterator[Finding]:
        lab.require_aws()
        yield from _outside_of_role(lab)
        if not lab.artifact_buckets:
            yield NO_BUCKET.of()
        for experiment, bucket in lab.artifact_buckets.items():
            problem = lab.begin(_bucket_error, bucket).result()
            if problem is None:
                yield BUCKET_AVAILABLE.of(bucket)
            elif problem.response["Error"]["Code"] == MISSING:
                yield BUCKET_MISSING.of(experiment=experiment, bucket=bucket)
            else:
                yield BUCKET_UNKNOWN.of(experiment=experiment, bucket=bucket, reason=reason(problem))


def _bucket_error(lab: DoctorContext, bucket: str) -> ClientError | None:
    lab.require_aws()
    try:
        lab.opened.once(s3_client).head_bucket(Bucket=bucket)
    except ClientError as problem:
        return problem
    return None


def _outside_of_role(lab: DoctorContext) -> Iterator[Finding]:
    allowed = lab.lab.logs.artifact_uri
    profile = log_profile(lab.lab.name)
    for name, one in lab.experiments.items():
        if allowed and one.artifact_uri and one.instance_profile == profile:
            below = f"{one.artifact_uri.rstrip('/')}/".startswith(f"{allowed.rstrip('/')}/")
            if not below:
                yield OUTSIDE_OF_ROLE.of(experiment=name, allowed=allowed, artifact_uri=one.artifact_uri)


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
