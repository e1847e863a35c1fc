"""Import resources that have the lab's tags into the registry, for example after the file was lost."""

from __future__ import annotations

from typing import Annotated

from ec2lab.console import Console, exit_if_incomplete, run
from ec2lab.options import AsJson, Confirm, Of, Regions, Wide, option, script

app = script(__doc__)
Only = Annotated[str, option("ONLY", "The id of a lost registry, or the beginning of it.")]


@app.command()
def registry_rebuild(
    of: Of = "",
    only: Only = "",
    regions: Regions = "",
    yes: Confirm = False,
    wide: Wide = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """List orphans in all regions (or REGIONS); YES=1 imports them into the registry.

    It imports those that you created; OWNER=user@host or OWNER=everyone selects other people's. If the whole
    registry was lost, ONLY=3f2a1b7c imports everything that it created: pass its id, or the beginning of it, as
    `make audit` shows it. This registry manages those resources from then on: `make status` shows them, `make
    teardown` deletes them. The original requests cannot be recovered.

    Exit status: 3 if a region did not respond.
    """
    from ec2lab.audit.audit import Verdict, examined
    from ec2lab.audit.orphans import ALL_OWNERS, import_orphans, of_registry, parse_owner
    from ec2lab.audit.report import show_findings
    from ec2lab.events import RegionsUnavailable
    from ec2lab.events.account import Imported, Skipped
    from ec2lab.regions import region_names
    from ec2lab.session import open_session

    console = Console(as_json=as_json, wide=wide)
    whose = parse_owner(of)
    with open_session("registry-rebuild") as session:
        console.hint(session.cloud.banner)
        seen, found = examined(session, region_names(regions))
        show_findings(console, seen, [f for f in found if f.verdict in (Verdict.ORPHAN, Verdict.ANOTHERS)])
        console.emit(*seen.unknown, *RegionsUnavailable.by_reason(seen.unseen))
        lost = of_registry(found, only) if only else [f for f in found if f.verdict is Verdict.ORPHAN]
        mine = [finding for finding in lost if whose in (ALL_OWNERS, finding.by)]
        others = [finding for finding in lost if finding not in mine]
        console.emit(*(Skipped.of(f.resource, reason=f"made by {f.by}: OWNER={f.by} selects it") for f in others))
        if mine and not yes:
            console.hint(
                f"nothing was written; run again with YES=1 to import {len(mine)} into {session.registry.name}"
            )
            return
        import_orphans(session, mine)
        experiments = sorted({finding.resource.experiment for finding in mine if finding.resource.experiment})
        console.emit(Imported(ids=[finding.resource.id for finding in mine], experiments=experiments))
    exit_if_incomplete(seen.unseen)


if __name__ == "__main__":
    run(app)
