"""Find resources in the account that cost money and that nobody manages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ec2lab.console import Console, run
from ec2lab.options import AsJson, Of, Regions, Wide, option, script

if TYPE_CHECKING:
    from ec2lab.audit.audit import Finding
    from ec2lab.events import Emit
    from ec2lab.session import Session

app = script(__doc__)
Fix = Annotated[bool, option("FIX", "Delete the orphans that you created.")]
Only = Annotated[str, option("ONLY", "With FIX: delete these ids, whoever created them.")]
EXIT_FINDINGS = 3
"""Exit status if there is an error or a region did not respond. Unmanaged and retained resources may be intended."""


@app.command()
def audit(
    fix: Fix = False, of: Of = "", only: Only = "", regions: Regions = "", wide: Wide = False, as_json: AsJson = False
) -> None:
    """Compare the resources of all regions (or REGIONS) with the registry; show the monthly cost of each finding.

    An orphan was created by this registry, which has no record of it. A not-terminated resource is live, but the
    registry has it as deleted or not created. A copy has the tags of another resource of the lab. A stale-record is
    in the registry, but not in AWS. A retention-expired volume is retained past its date. Another registry's
    resource has that registry's tags. An unmanaged resource was not created by the lab and seems unused.

    FIX=1 deletes the orphans that you created, going by their tags and by CloudTrail, unless they are running, and
    drops stale records from the registry; OWNER=user@host or OWNER=everyone selects other people's. FIX=1 ONLY="i-…
    vol-…" deletes by id. It is required for what is running, for copies, for other registries' resources, and for
    instances, volumes, snapshots and addresses whose creator CloudTrail does not show (it keeps 90 days).

    Exit status: 0 if there is no error; 3 if there is an orphan, not-terminated, copy, stale-record or
    retention-expired, or a region did not respond; 1 if no region did.
    """
    from ec2lab.audit.audit import ERROR_VERDICTS, examined
    from ec2lab.audit.cloudtrail import with_owners
    from ec2lab.audit.orphans import parse_owner
    from ec2lab.audit.report import show_findings
    from ec2lab.events import RegionsUnavailable
    from ec2lab.regions import region_names
    from ec2lab.registry.other_accounts import other_accounts
    from ec2lab.session import open_session

    console = Console(as_json=as_json, wide=wide)
    whose = parse_owner(of)
    with open_session("audit") as session:
        console.hint(session.cloud.banner)
        console.emit(*other_accounts(session.records.elsewhere(), session.cloud.account))
        seen, found = examined(session, region_names(regions))
        found, unknown = with_owners(session, found)
        show_findings(console, seen, found)
        console.emit(*seen.unknown, *unknown, *RegionsUnavailable.by_reason(seen.unseen))
        if fix:
            caller = None if of else who_asks(session)
            gone = _fixed(session, found, console.emit, only, whose, caller)
            found = [finding for finding in found if finding.resource.id not in gone]
    if seen.unseen or any(finding.verdict in ERROR_VERDICTS for finding in found):
        raise typer.Exit(EXIT_FINDINGS)


def who_asks(session: Session) -> str:
    """Return the caller's name as CloudTrail records it, empty if AWS does not return it."""
    from ec2lab.aws.identity import get_identity

    return get_identity(session.cloud, session.lab.regions).name


def _fixed(session: Session, found: list[Finding], emit: Emit, only: str, whose: str, caller: str | None) -> list[str]:
    """Delete the selected orphans, or the ids in ONLY. Return the ids deleted and the stale records dropped."""
    from ec2lab.audit.audit import Verdict
    from ec2lab.audit.orphans import delete_orphans, forget, named, sorted_out
    from ec2lab.events.account import AuditFixed, Skipped

    going, spared = (named(found, only), []) if only else sorted_out(found, whose, caller)
    for one in spared:
        emit(Skipped.of(one.resource, reason=one.spared))
    deleted = delete_orphans(session, going, emit) if going else []
    stale = [] if only else [finding for finding in found if finding.verdict is Verdict.STALE_RECORD]
    forget(session.recorder, stale)
    dropped = [finding.resource.id for finding in stale]
    emit(AuditFixed(deleted=deleted, dropped=dropped))
    return [*deleted, *dropped]


if __name__ == "__main__":
    run(app)
