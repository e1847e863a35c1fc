"""Search the whole account for what costs money and nobody remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from scripts.core.console import Console, run
from scripts.core.options import AsJson, Of, Regions, script

if TYPE_CHECKING:
    from scripts.core.account.audit import Finding
    from scripts.core.account.audit_report import AuditReport
    from scripts.core.session import Session

app = script(__doc__)
Fix = Annotated[bool, typer.Option("--fix", envvar="FIX", help="Delete the orphans, after they were shown.")]
FOUND_SOMETHING = 3
"""The exit code, for cron, where something is wrong for certain; strangers and kept volumes may be meant so."""


@app.command()
def audit(fix: Fix = False, of: Of = "", regions: Regions = "", as_json: AsJson = False) -> None:
    """Compare all that lives in all regions (or REGIONS) with the registry, and say what each costs a month.

    Orphans live and are not in the registry; what is unfinished lives though the registry takes it for ended; ghosts
    are in the registry and not in AWS; what outstayed was kept until a day that has passed; strangers are not the
    lab's and look forgotten. FIX=1 deletes the orphans that you made, or that say of nobody who did; OF=user@host, or
    OF=everyone, says whose otherwise.
    Exit 0 if nothing is wrong, 3 if there are orphans, ghosts, unfinished things, or volumes kept past their day.
    """
    from scripts.core.account.audit import ALARMING
    from scripts.core.account.audit_report import AuditReport
    from scripts.core.account.examination import examined
    from scripts.core.account.orphans import of_whom
    from scripts.core.account.owners import with_owners
    from scripts.core.machines.elsewhere_report import tell_elsewhere
    from scripts.core.names import region_names
    from scripts.core.session import open_session

    report = AuditReport(Console(as_json=as_json))
    whose = of_whom(of)
    with open_session("audit") as session:
        report.begins(session)
        tell_elsewhere(report.console, session)
        seen, found = examined(session, region_names(regions))
        found = with_owners(session, found)
        report.found(seen, found)
        if fix:
            gone = _fixed(session, found, whose, report)
            found = [finding for finding in found if finding.resource.id not in gone]
    if any(finding.verdict in ALARMING for finding in found):
        raise typer.Exit(FOUND_SOMETHING)


def _fixed(session: Session, found: list[Finding], whose: str, report: AuditReport) -> list[str]:
    """Delete the orphans that are meant; return what is out of the world, ghosts among it."""
    from scripts.core.account.audit import Verdict
    from scripts.core.account.orphans import delete_orphans, forget, meant

    orphans = [finding for finding in found if finding.verdict is Verdict.ORPHAN]
    mine = [finding for finding in meant(orphans, whose) if not finding.spared]
    report.spares([finding for finding in orphans if finding not in mine])
    deleted = delete_orphans(session, mine, report.deleting) if mine else []
    ghosts = [finding for finding in found if finding.verdict is Verdict.GHOST]
    forget(session, ghosts)
    report.fixed(deleted, ghosts)
    return [*deleted, *(ghost.resource.id for ghost in ghosts)]


if __name__ == "__main__":
    run(app)
