"""The registry: that it can be read and written, what in it was never settled, and who died at work."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.core.check import Check, Diagnosis, Finding, Level, Needs
from scripts.core.doctor.checked_lab import CheckedLab
from scripts.core.errors import LabError
from scripts.core.registry.resources import holdings

READABLE = Diagnosis("registry-readable", Level.OK, "{name}: {records} records, {living} things live")
NOT_MADE_YET = Diagnosis("registry-not-made-yet", Level.OK, "{name}: the first command that asks AWS makes it")
UNREADABLE = Diagnosis(
    "registry-unreadable", Level.WRONG, "{reason}", "docs/registry.md; `make registry-rebuild` makes a lost one anew"
)
UNSETTLED = Diagnosis(
    "unsettled", Level.WARNING, "{subjects}: something was asked for, and no answer is on record",
    "`make launch EXP={experiment}` takes it up, `make teardown EXP={experiment}` ends it",
)  # fmt: skip
DIED = Diagnosis(
    "died-at-work", Level.WARNING, "{subjects}: {who} did not end as it should",
    "the same command again goes on; `make teardown EXP={experiment}` ends it",
)  # fmt: skip
AT_WORK = Diagnosis("at-work", Level.OK, "{subjects}: {who} is at work")


class RegistryHealth(Check):
    """Wherever it is kept: the registry itself tells what can be the matter with it."""

    name = "registry"
    order = 70
    needs = Needs.LAB

    def look(self, lab: CheckedLab) -> Iterator[Finding]:
        """Read it, without writing to it or making it."""
        try:
            registry = lab.opened.registry
            yield from registry.ailments()
            records = list(registry.records()) if registry.is_there() else []
            holders = registry.holders()
        except LabError as problem:
            yield UNREADABLE.of(reason=problem)
            return
        if not records:
            yield NOT_MADE_YET.of(name=registry.name)
            return
        known = holdings(records, lab.opened.kinds)
        yield READABLE.of(name=registry.name, records=len(records), living=len(known.living))
        at_work = {holder.experiment for holder in holders if holder.alive}
        for name in dict.fromkeys(str(intent.experiment) for intent in known.unsettled):
            if name not in at_work:
                yield UNSETTLED.of(name, experiment=name)
        for holder in holders:
            found = AT_WORK if holder.alive else DIED
            yield found.of(holder.experiment, who=holder.who, experiment=holder.experiment)
