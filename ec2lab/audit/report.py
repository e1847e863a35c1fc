"""What the screen, or a program, is told of an audit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ec2lab import clock
from ec2lab.audit.audit import Finding, Verdict, monthly
from ec2lab.audit.inventory import Survey
from ec2lab.aws.region_queries import Unknown
from ec2lab.console import Console
from ec2lab.costs.money import in_dollars
from ec2lab.resources.base import Resource
from ec2lab.resources.unseen_report import tell_awaited, tell_unknown, tell_unseen
from ec2lab.session import Session

COLUMNS = ("finding", "kind", "id", "where", "state", "age", "made by", "$ a month", "why")
LABELS = {Verdict.ORPHAN: "orphans", Verdict.GHOST: "ghosts", Verdict.COPY: "copies",
          Verdict.STRANGER: "strangers"}  # fmt: skip


class AuditReport:
    """Speaks of findings to a console."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def begins(self, session: Session) -> None:
        """Say where is looked."""
        self.console.hint(session.cloud.banner)
        self.console.progress("  looking into all regions")

    def found(self, seen: Survey, found: Sequence[Finding]) -> None:
        """Say the sum, then each finding, then what could not be seen."""
        dollars, unknown = monthly(found)
        counts = {verdict: sum(f.verdict is verdict for f in found) for verdict in Verdict}
        named = [
            f"{count} {LABELS.get(verdict, verdict) if count > 1 else verdict}"
            for verdict, count in counts.items()
            if count
        ]
        sum_of_all = f"{dollars:,.2f} dollars a month{f', and {unknown} of unknown price' if unknown else ''}"
        told = f"{', '.join(named)}: {sum_of_all}" if found else "nothing is forgotten"
        if seen.unseen:
            told = f"{told if found else 'nothing was found'}, in what could be seen"
        self.console.say(
            f"{told} ({len(seen.regions)} regions, {len(seen.items)} things)", "audit",
            style="yellow" if found or seen.unseen else "green", counts=counts, dollars_a_month=round(dollars, 2),
            unknown_prices=unknown, regions=seen.regions, unseen=seen.unseen,
        )  # fmt: skip
        for finding in found if self.console.as_json else ():
            self.console.say("", "finding", **_as_fields(finding))
        if found:
            self.console.table(COLUMNS, [_row(finding) for finding in found])
        for item in seen.items:
            for tag in item.malformed:
                self.console.say(
                    f"  {item.resource}: its tag {tag}", "malformed-tag", style="yellow", kind=item.resource.kind,
                    id=item.resource.id, region=item.resource.region, key=tag.key, value=tag.value,
                )  # fmt: skip
        for line in _remedies(found):
            self.console.hint(f"  {line}")

    def not_told(self, seen: Survey, unknown: Sequence[Unknown]) -> None:
        """Say what could not be seen, and what of the findings could not be told."""
        tell_unknown(self.console, [*seen.unknown, *unknown])
        tell_unseen(self.console, seen.unseen)

    def spares(self, spared: Sequence[Finding]) -> None:
        """Say what is left alone, and why."""
        for one in spared:
            text = f"  left alone: {one.resource}, {one.spared}"
            self.console.say(text, "spared", id=one.resource.id, why=one.spared)

    def deleting(self, resource: Resource) -> None:
        """Say what is being deleted."""
        self.console.say(
            f"  deleting {resource}", "deleting", kind=resource.kind, id=resource.id, region=resource.region
        )

    def awaits(self, resource: Resource, why: str) -> None:
        """Say what is not gone yet, and what is in its way."""
        tell_awaited(self.console, resource, why)

    def fixed(self, deleted: Sequence[str], ghosts: Sequence[Finding]) -> None:
        """Say what is gone."""
        self.console.say(
            f"{len(deleted)} deleted, {len(ghosts)} struck out of the registry", "fixed", style="green",
            deleted=list(deleted), struck_out=[ghost.resource.id for ghost in ghosts],
        )  # fmt: skip


def _remedies(found: Sequence[Finding]) -> list[str]:
    verdicts = {finding.verdict for finding in found}
    unfinished = sorted({f.resource.experiment or "" for f in found if f.verdict is Verdict.UNFINISHED} - {""})
    lines = []
    if Verdict.ORPHAN in verdicts:
        lines.append("orphans: `make audit FIX=1` deletes yours, `make registry-rebuild` takes them into the registry")
    if copies := [f.resource.id for f in found if f.verdict is Verdict.COPY]:
        lines.append(f'copies: `make audit FIX=1 ONLY="{" ".join(copies)}"` deletes them')
    lines += [
        f"the registry {registry[:8]}…: its own `make teardown` ends what is its; if it was yours and is lost, "
        f"`make registry-rebuild ONLY={registry[:8]}` takes that into this one"
        for registry in sorted({f.registry for f in found if f.verdict is Verdict.ANOTHERS})
    ]
    lines += [f"unfinished: `make teardown EXP={experiment}` ends it" for experiment in unfinished]
    if Verdict.GHOST in verdicts:
        lines.append("ghosts: `make audit FIX=1` strikes them out of the registry")
    if outstayed := [f.resource.id for f in found if f.verdict is Verdict.OUTSTAYED]:
        lines.append(
            f"outstayed: `make volume-keep VOLUME={outstayed[0]} KEEP_FOR=30d` keeps it for longer, "
            f"`make volume-delete VOLUME={outstayed[0]} YES=1` deletes it"
        )
    return lines


def _row(finding: Finding) -> list[str]:
    resource = finding.resource
    return [
        finding.verdict, resource.kind, resource.id, resource.details.get("zone") or resource.region,
        resource.shown_state, _age(resource.since), finding.by or finding.owner, in_dollars(finding.monthly),
        finding.spared or finding.why,
    ]  # fmt: skip


def _age(since: str) -> str:
    if not since:
        return ""
    seconds = (clock.now() - datetime.fromisoformat(since)).total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return "now"


def _as_fields(finding: Finding) -> dict[str, Any]:
    resource = finding.resource
    return {
        "finding": finding.verdict, "kind": resource.kind, "id": resource.id, "region": resource.region,
        "experiment": resource.experiment, "state": resource.state,
        "state_reason": resource.state_reason.code, "since": resource.since,
        "made_by": finding.by or finding.owner, "dollars_a_month": finding.monthly, "why": finding.why,
        "spared": finding.spared, "registry": finding.registry, **_of_kept(finding),
    }  # fmt: skip


def _of_kept(finding: Finding) -> dict[str, Any]:
    return {"until": finding.kept.until, "reason": finding.kept.reason} if finding.kept else {}
