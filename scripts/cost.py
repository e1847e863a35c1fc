"""Show what the lab has cost, from the registry's records and AWS's prices."""

from __future__ import annotations

from typing import Annotated

from ec2lab import clock
from ec2lab.console import Console, run
from ec2lab.errors import UserError
from ec2lab.options import AsJson, Wide, option, script

app = script(__doc__)
Since = Annotated[str, option("SINCE", "Start, in UTC: 2026-10-01.")]
Until = Annotated[str, option("UNTIL", "End, exclusive, in UTC: 2026-11-01.")]
By = Annotated[str, option("GROUP_BY", "Group by member, experiment, region or resource-type.")]


@app.command()
def cost(
    since: Since = "", until: Until = "", by: By = "experiment", wide: Wide = False, as_json: AsJson = False
) -> None:
    """Show the cost of instances, volumes, snapshots and addresses between SINCE and UNTIL, archive included.

    Prices come from the cache in .cache/ while it is fresh, then from AWS, then from an older cache, whose date is
    shown. Resources without a known price are counted separately and are in no total. EC2 is not called: states are
    those of the registry (`make status` updates it).
    """
    from ec2lab.costs.pricing import charges_by_account, pricing
    from ec2lab.costs.summary import cost_by_account, moment, parse_group_by, show_costs, stale_prices
    from ec2lab.session import open_session

    by = parse_group_by(by or "experiment")
    begins, ends = moment(since, "SINCE"), moment(until, "UNTIL")
    if begins and begins > clock.now():
        raise UserError(f"SINCE: {since} is in the future; there are no costs since then")
    if begins and ends and ends <= begins:
        raise UserError(f"UNTIL: {until} is not after SINCE, which is {since}")
    console = Console(as_json=as_json, wide=wide)
    with open_session("cost") as session:
        found = charges_by_account(session, begins, ends)
        show_costs(console, [charge for some in found.values() for charge in some], by, begins, ends)
        console.document(cost_by_account(found))
        book = pricing(session).book
        console.emit(*stale_prices(book), *book.unknown())


if __name__ == "__main__":
    run(app)
