"""Take into the registry what carries the lab's tags and is not in it: after the file was lost."""

from __future__ import annotations

from scripts.core.console import Console, run
from scripts.core.errors import LabError
from scripts.core.options import AsJson, Of, Regions, Yes, script

app = script(__doc__)


@app.command()
def registry_rebuild(of: Of = "", regions: Regions = "", yes: Yes = False, as_json: AsJson = False) -> None:
    """Look for orphans in all regions (or REGIONS) and write them into the registry, with YES=1.

    Yours, and those that say of nobody whose they are; OF=user@host or OF=everyone takes others'. From then on status
    shows them and teardown ends them. What they were asked with is not to be found out any more.
    """
    from scripts.core.account.audit import Verdict
    from scripts.core.account.audit_report import AuditReport
    from scripts.core.account.examination import examined
    from scripts.core.account.orphans import meant, of_whom, take_in
    from scripts.core.names import region_names
    from scripts.core.session import open_session

    console = Console(as_json=as_json)
    report = AuditReport(console)
    whose = of_whom(of)
    with open_session("registry-rebuild") as session:
        report.begins(session)
        seen, found = examined(session, region_names(regions))
        orphans = [finding for finding in found if finding.verdict is Verdict.ORPHAN]
        report.found(seen, orphans)
        mine = meant(orphans, whose)
        report.spares([finding for finding in orphans if finding not in mine])
        if mine and not yes:
            raise LabError(f"{len(mine)} would be written into {session.registry.name}; YES=1 does it")
        take_in(session, mine)
        experiments = sorted({finding.resource.experiment for finding in mine if finding.resource.experiment})
        named = f", of {', '.join(experiments)}" if experiments else ""
        console.say(f"{len(mine)} written into the registry{named}", "taken-in", style="green",
                    ids=[finding.resource.id for finding in mine], experiments=experiments)  # fmt: skip


if __name__ == "__main__":
    run(app)
