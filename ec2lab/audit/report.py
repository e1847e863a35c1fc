"""The events of an audit."""

from __future__ import annotations

from collections.abc import Sequence

from ec2lab.audit.audit import Finding, Verdict, monthly
from ec2lab.audit.inventory import Survey
from ec2lab.console import Console
from ec2lab.events import Info
from ec2lab.events.account import AuditFinding, AuditSummary, MalformedTag


def show_findings(console: Console, seen: Survey, found: Sequence[Finding]) -> None:
    dollars, unknown = monthly(found)
    counts = {verdict.value: sum(f.verdict is verdict for f in found) for verdict in Verdict}
    console.emit(
        AuditSummary(
            counts=counts, dollars_per_month=round(dollars, 2), unknown_prices=unknown, regions=seen.regions,
            unavailable=seen.unseen, resources=len(seen.items),
        )
    )  # fmt: skip
    console.emit_table([finding_event(finding) for finding in found])
    for item in seen.items:
        for tag in item.malformed:
            console.emit(MalformedTag.of(item.resource, key=tag.key, value=tag.value, expected=tag.what))
    console.emit(*(Info(text=f"  {line}") for line in _remedies(found)))


def finding_event(finding: Finding) -> AuditFinding:
    resource, retention = finding.resource, finding.retention
    return AuditFinding.of(
        resource, finding=finding.verdict.value, state=resource.state, state_reason=resource.state_reason.code,
        since=resource.since, zone=resource.details.get("zone", ""), created_by=finding.by or finding.owner,
        dollars_per_month=finding.monthly, reason=finding.why, skipped=finding.spared, registry=finding.registry,
        retain_until=retention and retention.until, retain_reason=retention and retention.reason,
    )  # fmt: skip


def _remedies(found: Sequence[Finding]) -> list[str]:
    verdicts = {finding.verdict for finding in found}
    unfinished = sorted({f.resource.experiment or "" for f in found if f.verdict is Verdict.NOT_TERMINATED} - {""})
    lines = []
    if Verdict.ORPHAN in verdicts:
        lines.append("orphans: `make audit FIX=1` deletes yours, `make registry-rebuild` imports them")
    if copies := [f.resource.id for f in found if f.verdict is Verdict.COPY]:
        lines.append(f'copies: `make audit FIX=1 ONLY="{" ".join(copies)}"` deletes them')
    lines += [
        f"the registry {registry[:8]}…: use `make teardown` with that registry; if it was yours and is lost, "
        f"`make registry-rebuild ONLY={registry[:8]}` imports its resources"
        for registry in sorted({f.registry for f in found if f.verdict is Verdict.ANOTHERS})
    ]
    lines += [f"not-terminated: `make teardown EXP={experiment}` deletes it" for experiment in unfinished]
    if Verdict.STALE_RECORD in verdicts:
        lines.append("stale-records: `make audit FIX=1` removes them from the registry")
    if expired := [f.resource.id for f in found if f.verdict is Verdict.RETENTION_EXPIRED]:
        lines.append(
            f"retention-expired: `make volume-retain VOLUME={expired[0]} RETAIN_FOR=30d` keeps it for longer, "
            f"`make volume-delete VOLUME={expired[0]} YES=1` deletes it"
        )
    return lines
