"""Delete old versions of data sets: shown first, with what they cost, and only on YES=1."""

from __future__ import annotations

from typing import Annotated

import typer

from scripts.core.console import Console, run
from scripts.core.errors import LabError
from scripts.core.options import AsJson, DataSet, Regions, Yes, script

app = script(__doc__)
Keep = Annotated[
    int, typer.Option("--keep", envvar="KEEP", min=0, help="How many versions of each data set stay, the newest.")
]


@app.command()
def datasets_prune(
    keep: Keep = 0, dataset: DataSet = "", regions: Regions = "", yes: Yes = False, as_json: AsJson = False
) -> None:
    """Show what would be deleted of all data sets, or of DATASET, beyond the newest KEEP versions; YES=1 deletes it.

    What failed on its way goes too. Only what this registry made is deleted. What a living experiment was made from,
    and what an experiment's file pins, is never deleted; nor what is not complete yet.
    """
    from scripts.core.costs.data_set_costs import costed
    from scripts.core.data.data_sets import in_regions, usable
    from scripts.core.data.pruning import delete, in_use, not_ours, surplus
    from scripts.core.data.volumes import regions_of_interest
    from scripts.core.names import region_names
    from scripts.core.session import open_session

    if keep < 1:
        raise LabError("KEEP: how many versions of each data set are to stay? (KEEP=2)")
    console = Console(as_json=as_json)
    with open_session("datasets-prune") as session:
        console.hint(session.cloud.banner)
        places = region_names(regions) or regions_of_interest(session)
        every = in_regions(session.cloud, session.threads, places, dataset or None)
        there = usable(every, session.data_registries())
        beyond = surplus(there, keep)
        reasons = not_ours(session, beyond) | in_use(session, there)
        going = costed(session, beyond)
        for one in going:
            snapshot, why = one.snapshot, reasons.get(one.snapshot.id, "")
            cost = "at an unknown price" if one.dollars is None else f"at most {one.dollars:,.2f} dollars a month"
            text = f"  {'stays' if why else 'goes'}  {snapshot.name}  {snapshot.id}  {snapshot.region}  {why or cost}"
            console.say(text, "stays" if why else "goes", style="yellow" if why else None, id=snapshot.id,
                        name=snapshot.name, region=snapshot.region, why=why, dollars_a_month=one.dollars)  # fmt: skip
        doomed = [one.snapshot for one in going if one.snapshot.id not in reasons]
        if not doomed:
            console.hint(f"nothing to delete: no data set has more than {keep} unused versions in a region")
        elif not yes:
            console.hint(f"nothing was deleted; YES=1 deletes {len(doomed)}")
        else:
            for snapshot in doomed:
                delete(session, snapshot)
                console.say(f"  deleted {snapshot.id}", "deleted", style="green", id=snapshot.id)


if __name__ == "__main__":
    run(app)
