"""Volumes that a teardown kept, and that lie there for longer than was meant."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ec2lab import clock
from ec2lab.account.region_facts import kept_volumes
from ec2lab.doctor.check import Check, Diagnosis, Finding, Look, Requirement, Severity
from ec2lab.doctor.context import DoctorContext
from ec2lab.doctor.runner import answers

RETENTION_OK = Diagnosis("retention-ok", Severity.OK, "{subjects}: no volume is kept past its day")
EXPIRED = Diagnosis(
    "retention-expired", Severity.WARNING, "{volume} in {subjects} was to be kept {kept}",
    "`make volume-delete VOLUME={volume} YES=1`, or `make volume-retain VOLUME={volume} RETAIN_FOR=30d`",
)  # fmt: skip


class KeptVolumes(Check):
    """Each costs until somebody deletes it."""

    name = "retained-volumes"
    order = 64
    needs = Requirement.AWS

    def looks(self, lab: DoctorContext) -> Iterator[Look]:
        """Ask all regions at once."""
        for region in lab.regions:
            lab.begin(kept_volumes, region)
        yield partial(self.look, lab)

    def look(self, lab: DoctorContext) -> Iterator[Finding]:
        """Report which are past their retention, and why each was kept."""
        told, untold = answers({region: lab.begin(kept_volumes, region) for region in lab.regions})
        yield from untold
        today = clock.now().date()
        for region, volumes in told.items():
            expired = {identity: kept for identity, kept in volumes.items() if kept.is_over(today)}
            for identity, kept in expired.items():
                yield EXPIRED.of(region, volume=identity, kept=kept)
            if not expired:
                yield RETENTION_OK.of(region)
