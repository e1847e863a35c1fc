"""How each event reads on a terminal: a template of its fields, or a function where the text depends on them.

Where there are several lines, the first is the event, in its colour; the others are advice. An event without text is
for programs alone, or is a row of a table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ec2lab import clock

if TYPE_CHECKING:
    from ec2lab.events import Event, RegionsUnavailable
    from ec2lab.events.account import CheckFinding, CheckSummary, SetupComplete
    from ec2lab.events.audit import AuditFinding, AuditSummary
    from ec2lab.events.teardown import OwnedResource, RetainedVolume, TeardownComplete, WouldDelete

Style = str | None | Callable[[Any], str | None]
Text = str | Callable[[Any], str | list[str]]
GREEN, YELLOW, RED = "green", "yellow", "red"
RESOURCE = "{resource_type} {id} ({region})"


def render(event: Event) -> tuple[list[str], str | None]:
    """Return the lines of an event, and the colour of the first."""
    style, text = LINES.get(event.event, (None, ""))
    lines = text.format_map(vars(event)) if isinstance(text, str) else text(event)
    shown = [lines] if isinstance(lines, str) else lines
    return [line for line in shown if line], style(event) if callable(style) else style


def dollars(amount: float | None, known: str = "{:,.2f}", unknown: str = "unknown") -> str:
    """Return a price, which is not known where it is None."""
    return unknown if amount is None else known.format(amount)


def _resource(event: Any) -> str:
    return RESOURCE.format_map(vars(event))


def _with_unknown(amount: float, unknown: int) -> str:
    return f"{amount:,.2f} dollars a month{f', and {unknown} of unknown price' if unknown else ''}"


def _teardown_complete(event: TeardownComplete) -> str:
    with_it = f" (and {len(event.deleted_with_parent)} that went with it)" if event.deleted_with_parent else ""
    some = f"deleted {len(event.deleted)}{with_it}; AWS shows nothing left"
    done = some if event.deleted or event.deleted_with_parent else "nothing was left"
    stays = f"; {event.retained} datasets and kept volumes stay" if event.retained else ""
    return f"{f'{event.experiment}: ' if event.experiment else ''}{done}{stays}"


def _retained_volume(event: RetainedVolume) -> str:
    costs = dollars(event.dollars_per_month, "{:,.2f} dollars a month", "at an unknown price")
    deletes = f"`make volume-delete VOLUME={event.id} YES=1` deletes it"
    return f"  retained: {_resource(event)}, {event.size}, {costs}, {event.retention}; {deletes}"


def _would_delete(event: WouldDelete) -> str:
    return " ".join(filter(None, (f"  {event.experiment}  {_resource(event)}", event.instance_type, event.zone)))


OWNED = {"would-delete": "goes", "retained": "stays", "foreign": "another lab's", "copy": "a copy"}


def _owned_resource(event: OwnedResource) -> str:
    cost = (
        "" if event.dollars_per_month == 0 else dollars(event.dollars_per_month, "{:,.2f} $ a month", "unknown price")
    )
    return "  ".join(filter(None, (f"  {OWNED[event.status]:<6}", _resource(event), event.name, cost)))


AUDIT_PLURALS = {"orphan": "orphans", "ghost": "ghosts", "copy": "copies", "stranger": "strangers"}


def _audit_summary(event: AuditSummary) -> str:
    found = [f"{n} {AUDIT_PLURALS.get(kind, kind) if n > 1 else kind}" for kind, n in event.counts.items() if n]
    total = _with_unknown(event.dollars_per_month, event.unknown_prices)
    text = f"{', '.join(found)}: {total}" if found else "nothing is forgotten"
    if event.unavailable:
        text = f"{text if found else 'nothing was found'}, in what could be seen"
    return f"{text} ({len(event.regions)} regions, {event.resources} things)"


def _audit_summary_style(event: AuditSummary) -> str:
    return YELLOW if any(event.counts.values()) or event.unavailable else GREEN


def _audit_row(event: AuditFinding) -> list[str]:
    return [
        event.finding, event.resource_type, event.id, event.zone or event.region, _state(event), _age(event.since),
        event.created_by, dollars(event.dollars_per_month), event.skipped or event.reason,
    ]  # fmt: skip


def _state(event: Any) -> str:
    return f"{event.state} ({event.state_reason})" if event.state_reason else str(event.state)


def _age(since: str) -> str:
    if not since:
        return ""
    seconds = (clock.now() - datetime.fromisoformat(since)).total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return "now"


SEVERITIES = {"ok": GREEN, "warning": YELLOW, "unknown": YELLOW, "wrong": RED}


def _check_finding(event: CheckFinding) -> str:
    remedy = f" → {event.remedy}" if event.remedy else ""
    return f"{event.severity:<8} {event.check:<12} {event.message}{remedy}"


def _check_summary(event: CheckSummary) -> str:
    wrong, warnings, unknown = (event.counts[severity] for severity in ("wrong", "warning", "unknown"))
    text = f"{wrong} wrong, {warnings} to think about" if wrong or warnings or unknown else "all is well"
    return text + (f", {unknown} not looked at" if unknown else "")


def _check_summary_style(event: CheckSummary) -> str:
    return next(SEVERITIES[one] for one in ("wrong", "warning", "unknown", "ok") if event.counts[one] or one == "ok")


def _setup_complete(event: SetupComplete) -> str:
    return f"made {event.created}; all is there" if event.created else "nothing to do: all is there"


def _regions_unavailable(event: RegionsUnavailable) -> str:
    return f"{', '.join(event.regions)}: not seen: {event.reason}"


LINES: Mapping[str, tuple[Style, Text]] = {
    "info": (None, "{text}"),
    "step": (None, "  {message}"),
    "regions-unavailable": (None, _regions_unavailable),
    "unavailable": (None, lambda e: f"{f'{e.region}: ' if e.region else ''}{e.what} unknown: {e.reason}"),
    "other-account": (YELLOW, "{message}"),
    # teardown
    "deleting": (None, f"  deleting {RESOURCE}"),
    "deletion-pending": (YELLOW, f"  waiting for {RESOURCE}: {{reason}}"),
    "teardown-complete": (GREEN, _teardown_complete),
    "teardown-failed": (RED, "{experiment}: {reason}"),
    "would-delete": (None, _would_delete),
    "retained-volume": (None, _retained_volume),
    "no-match": (None, "{pattern}: nothing that lives matches"),
    "records-dropped": (None, lambda e: f"{e.experiment}: struck out of the registry: {', '.join(e.ids)}"),
    "owned-resource": (None, _owned_resource),
    "data-cost": (
        None, lambda e: f"  datasets and kept volumes: {_with_unknown(e.dollars_per_month, e.unknown_prices)}",
    ),
    # audit
    "audit-summary": (_audit_summary_style, _audit_summary),
    "malformed-tag": (YELLOW, f"  {RESOURCE}: its tag {{key}} = {{value!r}} is not {{expected}}"),
    "skipped": (None, f"  left alone: {RESOURCE}, {{reason}}"),
    "audit-fixed": (GREEN, lambda e: f"{len(e.deleted)} deleted, {len(e.dropped)} struck out of the registry"),
    "imported": (
        GREEN,
        lambda e: f"{len(e.ids)} written into the registry{', of ' if e.experiments else ''}{', '.join(e.experiments)}",
    ),
    # doctor and setup-aws
    "check-finding": (lambda e: SEVERITIES[e.severity] if e.remedy else None, _check_finding),
    "fixed": (GREEN, "mended   {check:<12} {message}"),
    "check-summary": (_check_summary_style, _check_summary),
    "present": (None, "  {region:<14}  there  {what}"),
    "creatable": (YELLOW, "  {region:<14}  lacks  {what}"),
    "blocked": (RED, "  {region:<14}  wants  {what}"),
    "created": (None, "  {region}  made  {what}"),
    "recommendation": (None, lambda e: f"  advice for {', '.join(e.regions)}: {e.what}"),
    "manual-step": (None, "  {command}"),
    "setup-complete": (GREEN, _setup_complete),
}  # fmt: skip
"""By event, the colour of its first line and its text."""

TABLES: Mapping[str, tuple[Sequence[str], Callable[[Any], Sequence[str | tuple[str, ...]]]]] = {
    "audit-finding": (
        ("finding", "kind", "id", "where", "state", "age", "made by", "$ a month", "why"), _audit_row,
    ),
}  # fmt: skip
"""By event, the columns of a table of several, and how one fills a row."""
