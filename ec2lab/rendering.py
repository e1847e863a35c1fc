"""How each event reads on a terminal: a template of its fields, or a function where the text depends on them.

Where there are several lines, the first is the event, in its colour; the others are advice. An event that is not here
shows its own field `text`, as those of plugins may; without one it is for programs alone, or is a row of a table
(ec2lab/tables.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ec2lab.units import amount, counted, dollars, forecast_text, format_bytes, used_text

if TYPE_CHECKING:
    from ec2lab.events import Event, RegionsUnavailable
    from ec2lab.events.account import AuditSummary, CheckFinding, CheckSummary, SecretsPolicy, SetupComplete
    from ec2lab.events.costs import CostTotal, Total, Unpriced
    from ec2lab.events.datasets import (
        DatasetBuilt,
        SnapshotStarted,
        SnapshotVerified,
        VolumeUnmounted,
    )
    from ec2lab.events.lab import HostUpdated, InstancesStopped
    from ec2lab.events.launch import (
        BudgetUsage,
        ExpirySet,
        InstanceRunning,
        LaunchRejected,
        LaunchStarted,
        PlannedRequest,
        RetryScheduled,
    )
    from ec2lab.events.runs import CommandEnded, FilesCopied, OutputsPulled, SweepComplete, SweepStarted, TrialFinished
    from ec2lab.events.teardown import OwnedResource, RetainedVolume, TeardownComplete, WouldDelete
    from ec2lab.events.watch import ExperimentEnded

Style = str | None | Callable[[Any], str | None]
Text = str | Callable[[Any], str | list[str]]
GREEN, YELLOW, RED = "green", "yellow", "red"
RESOURCE = "{resource_type} {id} ({region})"
NOT_SET = ", which is not set here: a launch would refuse"


def render(event: Event) -> tuple[list[str], str | None]:
    """Return an event's lines, and the color of the first."""
    style, text = LINES.get(event.event) or (None, getattr(event, "text", ""))
    lines = text.format_map(vars(event)) if isinstance(text, str) else text(event)
    shown = [lines] if isinstance(lines, str) else lines
    return [line for line in shown if line], style(event) if callable(style) else style


def text_of(event: Event) -> str:
    """Return an event in one line, for a notifier."""
    return " ".join(line.strip() for line in render(event)[0][:1])


def _resource(event: Any) -> str:
    return RESOURCE.format_map(vars(event))


def _with_unknown(amount: float, unknown: int) -> str:
    return f"{amount:,.2f} dollars a month{f', and {unknown} of unknown price' if unknown else ''}"


def _teardown_complete(event: TeardownComplete) -> str:
    kinds = [counted(number, resource_type) for resource_type, number in event.deleted_types.items()]
    done = f"deleted {', '.join(kinds)}; AWS shows nothing left" if kinds else "nothing was left"
    stays = f"; {counted(event.retained, 'dataset or retained volume')} kept" if event.retained else ""
    return f"{f'{event.experiment}: ' if event.experiment else ''}{done}{stays}"


def _retained_volume(event: RetainedVolume) -> list[str]:
    costs = dollars(event.dollars_per_month, "{:,.2f} dollars a month", "an unknown price")
    return [
        f"  retained: {event.id} ({event.region}), {event.size}: {costs}",
        f"    {event.retention}",
        f"    `make volume-delete VOLUME={event.id} YES=1` deletes it",
    ]


def _would_delete(event: WouldDelete) -> str:
    if event.name:
        return f"  deleted  {event.name}  {event.id}  {event.region}  {_at_most(event.dollars_per_month)}"
    return " ".join(filter(None, (f"  {event.experiment}  {_resource(event)}", event.instance_type, event.zone)))


OWNED = {"would-delete": "deleted", "retained": "retained", "foreign": "another lab's", "copy": "a copy"}


def _owned_resource(event: OwnedResource) -> str:
    cost = (
        "" if event.dollars_per_month == 0 else dollars(event.dollars_per_month, "{:,.2f} $ a month", "unknown price")
    )
    return "  ".join(filter(None, (f"  {OWNED[event.status]:<6}", _resource(event), event.name, cost)))


AUDIT_PLURALS = {"orphan": "orphans", "stale-record": "stale-records", "copy": "copies"}


def _audit_summary(event: AuditSummary) -> str:
    found = [
        f"{n} {AUDIT_PLURALS.get(resource_type, resource_type) if n > 1 else resource_type}"
        for resource_type, n in event.counts.items()
        if n
    ]
    total = _with_unknown(event.dollars_per_month, event.unknown_prices)
    text = f"{', '.join(found)}: {total}" if found else "no orphaned resources"
    if event.unavailable:
        text += " in the regions that responded"
    return f"{text} ({counted(len(event.regions), 'region')}, {event.resources} resources checked)"


def _audit_summary_style(event: AuditSummary) -> str:
    return YELLOW if any(event.counts.values()) or event.unavailable else GREEN


def state_text(event: Any) -> str:
    """Return a state with AWS's reason for it, where there is one."""
    return f"{event.state} ({event.state_reason})" if event.state_reason else str(event.state)


def _launch_started(event: LaunchStarted) -> str:
    data = ", ".join(f"{dataset} on {mount}" for mount, dataset in event.datasets.items()) or "no dataset"
    many = f"{event.count} x " if event.count > 1 else ""
    types, markets = " or ".join(event.instance_types), " or ".join(event.markets)
    return f"{event.experiment}: {many}{types}, {markets}, with {data}"


def _budget_usage(event: BudgetUsage) -> str:
    used = f"${event.limit:,.2f} {event.period}: {used_text(event.spent, event.unknown_prices, event.promised)}"
    if event.over is None:
        return f"  budget  {used}"
    by = f"${abs(event.over):,.2f}"
    return f"{event.where}: {used}; {f'over by {by}: a launch is refused' if event.over > 0 else f'{by} would be left'}"


def _planned_request(event: PlannedRequest) -> list[str]:
    """Return what the first pool would be asked, in a line for each part of it."""
    asked, user_data = event.request, event.request.get("UserData", {}).get("bytes", 0)
    fields = {
        "image": event.image or asked.get("ImageId", "that of the launch template"),
        "volumes": "; ".join(map(_mapping_text, asked.get("BlockDeviceMappings", ()))),
        "network": _network_text(asked),
        "profile": " ".join(asked.get("IamInstanceProfile", {}).values()),
        "user data": f"{user_data / 1024:.1f} of {USER_DATA_ROOM} KiB",
        "created": "; ".join(event.prerequisites),
    }
    place = asked.get("SubnetId") or asked.get("Placement", {}).get("AvailabilityZone") or "any zone"
    market = asked.get("InstanceMarketOptions", {}).get("MarketType", "on-demand")
    many = f"{asked['MaxCount']} x " if asked.get("MaxCount", 1) > 1 else ""
    first = f"first request: {many}{asked.get('InstanceType', '')}, {market}, in {event.region}, {place}"
    return [first, *(f"  {name:<9}  {text}" for name, text in fields.items() if text)]


USER_DATA_ROOM = 16
"""KiB, before base64."""


def _mapping_text(mapping: Mapping[str, Any]) -> str:
    disk = mapping.get("Ebs", {})
    size, origin = f"{disk['VolumeSize']} GiB" if "VolumeSize" in disk else "", disk.get("SnapshotId", "")
    words = (size, disk.get("VolumeType"), disk.get("Encrypted") and "encrypted", origin and f"from {origin}")
    return " ".join(filter(None, (mapping["DeviceName"], *words)))


def _network_text(asked: Mapping[str, Any]) -> str:
    faces = asked.get("NetworkInterfaces", ())
    groups = asked.get("SecurityGroupIds") or [group for face in faces[:1] for group in face.get("Groups", ())]
    return ", ".join([*([f"{len(faces)} interfaces"] if len(faces) > 1 else []), *groups])


def _pool(event: Any) -> str:
    return f"{event.region}  {event.subnet or event.zone or 'any zone'}  {event.instance_type}  {event.market}"


def _launch_rejected(event: LaunchRejected) -> str:
    what = f"{event.instance} in {event.zone}: " if event.instance else f"{_pool(event)}  "
    return f"  {what}{event.explanation}{' after it had started' if event.late else ''}"


def _retry_scheduled(event: RetryScheduled) -> str:
    at = event.time.astimezone() + timedelta(seconds=event.seconds)
    return f"  all refused; asking again at {at:%H:%M:%S}, for another {timedelta(seconds=round(event.seconds_left))}"


def _instance_running(event: InstanceRunning) -> list[str]:
    if event.seconds is None:
        return [f"{event.experiment}: {event.id} runs ({event.type} in {event.zone})"]
    data = (event.model_extra or {}).get("data", "none")
    runs = f"{event.experiment} runs after {event.seconds:.0f} s: {event.id}, {event.type} in {event.zone}"
    return [runs, f"  data    {data}"]


def _moment(text: str) -> str:
    return f"{text[:16].replace('T', ' ')} UTC" if text[:1].isdigit() else text


def _expiry_set(event: ExpirySet) -> str:
    if not event.host:
        return f"  ends    {event.id} at {_moment(event.expires_at)}: its ttl was over, and began again"
    never = event.expires_at == "never"
    ends = (
        "no longer has a ttl, and is billed until somebody ends it"
        if never
        else f"ends at {_moment(event.expires_at)}, {event.ttl} from now"
    )
    return f"{event.host} {ends} (before: {_moment(event.previous) or 'no expiry'})"


def _sweep_started(event: SweepStarted) -> str:
    before = f", {event.launched_before} were launched before" if event.launched_before else ""
    types, markets = " or ".join(event.instance_types), " or ".join(event.markets)
    return f"{event.experiment}: {len(event.trials)} to launch{before}; {types}, {markets}"


def _trial_finished(event: TrialFinished) -> str:
    what = {"runs": f"{event.instance}, after {event.seconds:.0f} s", "failed": f"failed: {event.reason}"}
    code = "" if event.exit_code is None else f"; its command ended with {event.exit_code}"
    return f"  {event.experiment}  {what.get(event.state, event.state)}{code}"


def _sweep_complete(event: SweepComplete) -> str:
    words = {"runs": "run", "runs already": "ran already"}
    outcomes = ", ".join(f"{count} {words.get(state, state)}" for state, count in event.outcomes.items())
    return f"{event.experiment}: {outcomes or 'nothing was to be launched'}, after {event.seconds:.0f} s"


STAGES = {
    "at-risk": "may be interrupted soon",
    "notice": "will be taken away within two minutes",
    "terminated": "was taken away by AWS",
}


def _experiment_ended(event: ExperimentEnded) -> str:
    code = "" if event.exit_code is None else f"; its command ended with {event.exit_code}"
    return f"{event.experiment}: no instance is left{code}"


def _command_ended(event: CommandEnded) -> str:
    why = f": {event.reason}" if event.reason else ""
    return f"{event.experiment}: ended with {event.exit_code}{why}"


def _failed(event: Any) -> str | None:
    return RED if event.exit_code else None


def _at_most(price: float | None) -> str:
    return dollars(price, "at most {:,.2f} dollars a month", "at an unknown price")


def _cost_total(event: CostTotal) -> str:
    since = f" since {_day(event.since)}" if event.since else ""
    until = f" until {_day(event.until)}" if event.until else ""
    hourly = amount(event.dollars_per_hour, event.unknown_per_hour)
    return f"{amount(event.dollars, event.unknown_prices)} dollars{since}{until}; live resources cost {hourly} an hour"


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}".removesuffix(" 00:00")


NAMED = 3
"""How many resources without a price are named per reason."""


def _unpriced(event: Unpriced) -> str:
    more = f" and {len(event.resources) - NAMED} more" if len(event.resources) > NAMED else ""
    return f"  unknown: {', '.join(event.resources[:NAMED])}{more}: {event.reason}"


def _total(event: Total) -> str:
    hourly = amount(event.dollars_per_hour, event.unknown_per_hour)
    return f"{hourly} dollars an hour, {amount(event.dollars, event.unknown_prices)} so far"


def _dataset_built(event: DatasetBuilt) -> str:
    if event.id is None:
        return f"{event.dataset}: built from {event.source}"
    sent = f"{event.blocks} blocks of 512 KiB were sent"
    return f"{event.dataset}@{event.version}: {event.id} in {event.region} is complete; {sent}"


def _snapshot_started(event: SnapshotStarted) -> str:
    began = f"of {event.volume} on {event.mount}" if event.created else "which an earlier run began"
    return f"{event.dataset}@{event.version}: {event.id} in {event.region}, {began}"


def _snapshot_verified(event: SnapshotVerified) -> str:
    result = "is what was built" if event.same else "is NOT what was built"
    return f"{event.dataset}@{event.version} in {event.region} {result}: {event.blocks} blocks"


def _volume_unmounted(event: VolumeUnmounted) -> str:
    became = "deleted, as it was made for this" if event.deleted else "detached, and billed until it is deleted"
    return f"{event.volume} is {became}"


def _host_updated(event: HostUpdated) -> str:
    if not event.changes:
        return f"{event.host}: nothing to change"
    return f"{event.host}: {event.changes} {'would change' if event.dry_run else 'changed'}"


CLOUD_STOPPED = "local cloud stopped; its resources are gone"


def _instances_stopped(event: InstancesStopped) -> str:
    done = f"{', '.join(event.instances)} stopped" if event.instances else "was stopped already"
    return f"{event.experiment}: {done}; its volumes stay, and cost {event.volume_cost} dollars an hour"


SEVERITIES = {"ok": GREEN, "warning": YELLOW, "unknown": YELLOW, "error": RED}


def _check_finding(event: CheckFinding) -> str:
    remedy = f" → {event.remedy}" if event.remedy else ""
    return f"{event.severity:<8} {event.check:<16} {event.message}{remedy}"


def _check_summary(event: CheckSummary) -> str:
    errors, warnings, unknown = (event.counts.get(severity, 0) for severity in ("error", "warning", "unknown"))
    text = "all is well"
    if errors or warnings or unknown:
        text = f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}"
    return text + (f", {unknown} not checked" if unknown else "")


def _check_summary_style(event: CheckSummary) -> str:
    return next(
        SEVERITIES[one] for one in ("error", "warning", "unknown", "ok") if event.counts.get(one) or one == "ok"
    )


def _secrets_policy(event: SecretsPolicy) -> list[str]:
    return [
        f"  secrets: the role of the instance profile {event.instance_profile} must allow, for its experiments:",
        f"    {json.dumps(event.policy)}",
    ]


def _setup_complete(event: SetupComplete) -> str:
    return f"created {event.created}; nothing is missing" if event.created else "nothing is missing"


def _regions_unavailable(event: RegionsUnavailable) -> str:
    return f"{', '.join(event.regions)}: not seen: {event.reason}"


def _files_copied(event: FilesCopied) -> list[str]:
    skipped = f"{_skipped(event)} (links that lead elsewhere, sockets, pipes)" if event.skipped else ""
    return [f"{event.host}: {event.source} copied to {event.dest}: {_counts(event)}", skipped]


def _outputs_pulled(event: OutputsPulled) -> list[str]:
    return [f"{event.host}: outputs of {event.run} copied to {event.dest}: {_counts(event)}", _skipped(event)]


def _counts(event: FilesCopied) -> str:
    deleted = f", {event.deleted} deleted" if event.deleted else ""
    return f"{event.files} files, {format_bytes(event.bytes)} ({event.unchanged} unchanged{deleted})"


def _skipped(event: FilesCopied) -> str:
    more = f", and {len(event.skipped) - 3} more" if len(event.skipped) > 3 else ""  # noqa: PLR2004
    return f"    skipped: {', '.join(event.skipped[:3])}{more}" if event.skipped else ""


LINES: Mapping[str, tuple[Style, Text]] = {
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
    "no-match": (None, "{pattern}: no live experiment matches"),
    "records-dropped": (None, lambda e: f"{e.experiment}: removed from the registry: {', '.join(e.ids)}"),
    "owned-resource": (None, _owned_resource),
    "data-cost": (
        None, lambda e: f"  datasets and retained volumes: {_with_unknown(e.dollars_per_month, e.unknown_prices)}",
    ),
    # audit
    "audit-summary": (_audit_summary_style, _audit_summary),
    "malformed-tag": (YELLOW, f"  {RESOURCE}: its tag {{key}} = {{value!r}} is not {{expected}}"),
    "skipped": (None, f"  skipped: {RESOURCE}, {{reason}}"),
    "audit-fixed": (GREEN, lambda e: f"{len(e.deleted)} deleted, {len(e.dropped)} removed from the registry"),
    "imported": (
        GREEN,
        lambda e: f"{len(e.ids)} imported into the registry{': ' if e.experiments else ''}{', '.join(e.experiments)}",
    ),
    # launch, start, sweep and watch
    "launch-started": (None, _launch_started),
    "budget-usage": (lambda e: YELLOW if (e.over or 0) > 0 else None, _budget_usage),
    "launch-rejected": (YELLOW, _launch_rejected),
    "region-skipped": (YELLOW, "  {region}  skipped: {reason}"),
    "resumed": (GREEN, "  {region}  {instance} was created by an interrupted launch; resuming"),
    "instance-pending": (GREEN, "  {region}  {placed_in}  {instance_type}  {market}  {instance} starts"),
    "retry-scheduled": (YELLOW, _retry_scheduled),
    "capacity-exhausted": (None, lambda e: [f"  {line}" for line in e.advice]),
    "rolling-back": (YELLOW, "  rolling back: deleting what was created"),
    "rolled-back": (GREEN, "{experiment}: rolled back; AWS shows nothing left"),
    "instance-running": (GREEN, _instance_running),
    "ssh-ready": (None, "  reach   {host} at {address}"),
    "expiry-set": (lambda e: YELLOW if e.expires_at == "never" else GREEN, _expiry_set),
    "port-forwarded": (GREEN, "{host}:{port}  {url}"),
    "port-refused": (YELLOW, lambda e: f"{e.host}: nothing listens on port {' or '.join(map(str, e.ports))} there yet"),
    "connection-lost": (YELLOW, "{host}: the connection was lost ({reason}); connecting again in {seconds:.0f} s"),
    "server-started": (
        None,
        lambda e: f"{e.host}: {e.server} {'already runs' if e.already_running else 'runs'} as {e.account}",
    ),
    "sweep-started": (None, _sweep_started),
    "trial-finished": (
        lambda e: RED if e.exit_code else {"runs": GREEN, "failed": RED}.get(e.state), _trial_finished,
    ),
    "sweep-complete": (None, _sweep_complete),
    "instance-state-changed": (None, lambda e: f"{e.experiment}  {e.instance}  {state_text(e)}"),
    "data-loaded": (None, "{experiment}  {instance}  its data is loaded"),
    "interrupted": (
        lambda e: YELLOW if e.stage == "at-risk" else RED,
        lambda e: f"{e.experiment}: {e.instance} {STAGES[e.stage]} ({e.reason})",
    ),
    "relaunched": (GREEN, lambda e: f"{e.experiment}: was launched again, instead of {', '.join(e.replaced)}"),
    "command-exited": (_failed, "{experiment}: its command ended with {exit_code} on {instance}"),
    "experiment-ended": (_failed, _experiment_ended),
    "files-copied": (GREEN, _files_copied),
    "outputs-pulled": (GREEN, _outputs_pulled),
    "command-ended": (lambda e: RED if e.exit_code else GREEN, _command_ended),
    "warning": (YELLOW, "{message}"),
    # plan
    "spot-placement-score": (
        None, "  spot placement score of these {instance_types} types in {region}: {score} of 10",
    ),
    "gpu-selection": (
        None, lambda e: f"gpu {' or '.join(e.gpu)}: {', '.join(e.instance_types)}",
    ),
    "code-to-upload": (None, "code: {summary}"),
    "planned-container": (None, lambda e: f"container: {e.image}, which the instance pulls while its data loads"),
    "planned-secret": (None, lambda e: f"secret: {e.name} from {e.source}{NOT_SET if e.is_set is False else ''}"),
    "forecast": (None, lambda e: f"cost: {forecast_text(e.dollars, e.unpriced, e.hours, is_assumed=e.is_assumed)}"),
    "planned-request": (None, _planned_request),
    "dry-run-allowed": (GREEN, "allowed by a dry run in {region}"),
    # costs and reports
    "cost-total": (None, _cost_total),
    "unpriced": (None, _unpriced),
    "stale-prices": (None, "  {count} prices are of {as_of:%Y-%m-%d}, from {source}"),
    "total": (None, _total),
    "report-written": (None, "{path} is written ({size_kib:.0f} KiB)"),
    # datasets and volumes
    "dataset-built": (GREEN, _dataset_built),
    "unchanged": (GREEN, "{dataset}@{version} has the same content: nothing to do"),
    "snapshot-started": (GREEN, _snapshot_started),
    "snapshot-complete": (GREEN, "{dataset}@{version} is complete: the next launch with this dataset gets it"),
    "snapshot-verified": (lambda e: GREEN if e.same else RED, _snapshot_verified),
    "in-use": (YELLOW, "  retained  {name}  {id}  {region}  {reason}"),
    "deleted": (GREEN, "{id} is deleted"),
    "volume-retained": (GREEN, "{id} {message}"),
    "volume-mounted": (GREEN, "{volume} is mounted on {mount} of {host}"),
    "volume-unmounted": (GREEN, _volume_unmounted),
    # members, hosts, the registry, the lab's own files
    "account-change": (
        lambda e: RED if e.change == "problem" else None,
        lambda e: f"  {e.host}  {e.member}: {e.change} {e.detail}".rstrip(),
    ),
    "host-updated": (GREEN, _host_updated),
    "key-pair-created": (None, "{message}"),
    "member-added": (GREEN, "wrote {path}"),
    "member-removed": (GREEN, lambda e: f"removed {', '.join(e.paths)}"),
    "records-copied": (GREEN, "{written} records of {source} written to {dest}, {existing} were there"),
    "experiment-written": (None, "wrote {path}: edit it, then `make launch EXP={experiment}`"),
    "measured": (None, "  {table}: {name}  {median} {unit} ({least} to {most})"),
    "script-info": (None, "  {name:<20} {summary}"),
    "data-loss-warning": (YELLOW, "  {message}"),
    "instances-stopped": (GREEN, _instances_stopped),
    "local-cloud-running": (None, "local cloud on {url}: nothing here is real or billed"),
    "local-cloud-stopped": (None, lambda e: CLOUD_STOPPED if e.was_running else "no local cloud was running"),
    # doctor and setup-aws
    "check-finding": (lambda e: SEVERITIES[e.severity] if e.remedy else None, _check_finding),
    "fixed": (GREEN, "fixed   {check:<16} {message}"),
    "check-summary": (_check_summary_style, _check_summary),
    "present": (None, "  {region:<14}  exists   {what}"),
    "creatable": (YELLOW, "  {region:<14}  missing  {what}"),
    "blocked": (RED, "  {region:<14}  blocked  {what}"),
    "created": (None, "  {region}  created  {what}"),
    "recommendation": (None, lambda e: f"  advice for {', '.join(e.regions)}: {e.what}"),
    "manual-step": (None, "  {command}"),
    "secrets-policy": (None, _secrets_policy),
    "setup-complete": (GREEN, _setup_complete),
}  # fmt: skip
"""By event, the color of its first line and its text."""
