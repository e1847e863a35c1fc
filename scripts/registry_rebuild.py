"""Take into the registry what carries the lab's tags and is not in it: after the file was lost."""

from __future__ import annotations

from typing import Annotated

import typer

from ec2lab.console import Console, exit_if_incomplete, run
from ec2lab.errors import LabError
from ec2lab.options import AsJson, Confirm, Of, Regions, script

app = script(__doc__)
Only = Annotated[
    str, typer.Option("--only", envvar="ONLY", help="The id of a registry that was lost, or its beginning.")
]


@app.command()
def registry_rebuild(
    of: Of = "", only: Only = "", regions: Regions = "", yes: Confirm = False, as_json: AsJson = False
) -> None:
    """Look for orphans in all regions (or REGIONS) and write them into the registry, with YES=1.

    Those that you made; OWNER=user@host or OWNER=everyone takes others'. Where the whole registry was lost, nothing but
    its id says that it was yours: ONLY=3f2a1b7c, as `make audit` shows it, takes what it made, and this registry
    answers for it from then on. Status shows all of it then, and teardown ends it. What it was asked with is not to be
    found out any more. A region that can't be seen is named, and the exit code is 3.
    """
    from ec2lab.audit.audit import Verdict
    from ec2lab.audit.examination import examined
    from ec2lab.audit.orphans import ALL_OWNERS, import_orphans, of_registry, parse_owner
    from ec2lab.audit.report import show_findings
    from ec2lab.events import RegionsUnavailable
    from ec2lab.events.audit import Imported, Skipped
    from ec2lab.regions import region_names
    from ec2lab.session import open_session

    console = Console(as_json=as_json)
    whose = parse_owner(of)
    with open_session("registry-rebuild") as session:
        console.hint(session.cloud.banner)
        console.progress("  looking into all regions")
        seen, found = examined(session, region_names(regions))
        show_findings(console, seen, [f for f in found if f.verdict in (Verdict.ORPHAN, Verdict.ANOTHERS)])
        console.emit(*seen.unknown, *RegionsUnavailable.by_reason(seen.unseen))
        lost = of_registry(found, only) if only else [f for f in found if f.verdict is Verdict.ORPHAN]
        mine = [finding for finding in lost if whose in (ALL_OWNERS, finding.by)]
        others = [finding for finding in lost if finding not in mine]
        console.emit(*(Skipped.of(f.resource, reason=f"made by {f.by}: OWNER={f.by} means it") for f in others))
        if mine and not yes:
            raise LabError(f"{len(mine)} would be written into {session.registry.name}; YES=1 does it")
        import_orphans(session, mine)
        experiments = sorted({finding.resource.experiment for finding in mine if finding.resource.experiment})
        console.emit(Imported(ids=[finding.resource.id for finding in mine], experiments=experiments))
    exit_if_incomplete(seen.unseen)


if __name__ == "__main__":
    run(app)
