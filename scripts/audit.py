"""Search the whole account for what costs money and nobody remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ec2lab.console import Console, run
from ec2lab.options import AsJson, Of, Regions, script

if TYPE_CHECKING:
    from ec2lab.audit.audit import Finding
    from ec2lab.events import Emit
    from ec2lab.session import Session

app = script(__doc__)
Fix = Annotated[bool, typer.Option("--fix", envvar="FIX", help="Delete the orphans, after they were shown.")]
Only = Annotated[str, typer.Option("--only", envvar="ONLY", help="What FIX deletes, by its ids, whoever made it.")]
EXIT_FINDINGS = 3
"""The exit code, for cron, where something is wrong for certain, or a region was not seen; strangers and kept volumes
may be meant so."""


@app.command()
def audit(fix: Fix = False, of: Of = "", only: Only = "", regions: Regions = "", as_json: AsJson = False) -> None:
    """Compare all that lives in all regions (or REGIONS) with the registry, and say what each costs a month.

    Orphans were made by this registry, which knows nothing of them any more; what is unfinished lives though the
    registry takes it for ended; copies have the tags of what it made, and are not that; ghosts are in the registry and
    not in AWS; what outstayed was kept until a day that has passed; others were made by another registry; strangers are
    not the lab's and look forgotten. FIX=1 deletes the orphans that you made, by their tags and by CloudTrail, and
    that do not run; OWNER=user@host, or OWNER=everyone, says whose otherwise. What runs, copies, what another registry
    made, and instances, volumes, snapshots and addresses of which CloudTrail does not say who made them (of which it
    remembers 90 days) are deleted by name alone: FIX=1 ONLY="i-… vol-…".
    Exit 0 if nothing is wrong, 3 if there are orphans, ghosts, copies, unfinished things, or volumes kept past their
    day, or if a region could not be seen; 1 if none could.
    """
    from ec2lab.audit.audit import ERROR_VERDICTS
    from ec2lab.audit.cloudtrail import with_owners
    from ec2lab.audit.examination import examined
    from ec2lab.audit.orphans import parse_owner
    from ec2lab.audit.report import show_findings
    from ec2lab.events import RegionsUnavailable
    from ec2lab.regions import region_names
    from ec2lab.registry.elsewhere import other_accounts
    from ec2lab.session import open_session

    console = Console(as_json=as_json)
    whose = parse_owner(of)
    with open_session("audit") as session:
        console.hint(session.cloud.banner)
        console.progress("  looking into all regions")
        console.emit(*other_accounts(session.elsewhere(), session.cloud.account))
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
    """Return the caller's name as CloudTrail has it; nothing where AWS does not say it."""
    from ec2lab.aws.identity import get_identity

    return get_identity(session.cloud, session.lab.regions).name


def _fixed(session: Session, found: list[Finding], emit: Emit, only: str, whose: str, caller: str | None) -> list[str]:
    """Delete the orphans that are meant, or what ONLY names; return what is out of the world, ghosts among it."""
    from ec2lab.audit.audit import Verdict
    from ec2lab.audit.orphans import delete_orphans, forget, named, sorted_out
    from ec2lab.events.audit import AuditFixed, Skipped

    going, spared = (named(found, only), []) if only else sorted_out(found, whose, caller)
    for one in spared:
        emit(Skipped.of(one.resource, reason=one.spared))
    deleted = delete_orphans(session, going, emit) if going else []
    ghosts = [] if only else [finding for finding in found if finding.verdict is Verdict.STALE_RECORD]
    forget(session, ghosts)
    dropped = [ghost.resource.id for ghost in ghosts]
    emit(AuditFixed(deleted=deleted, dropped=dropped))
    return [*deleted, *dropped]


if __name__ == "__main__":
    run(app)
