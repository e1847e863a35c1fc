"""Show who runs what, since when, at what cost."""

from __future__ import annotations

from ec2lab.console import Console, exit_if_incomplete, run
from ec2lab.options import AnyExperiments, AsJson, Wide, script

app = script(__doc__)


@app.command()
def ps(exp: AnyExperiments = "", wide: Wide = False, as_json: AsJson = False) -> None:
    """Show each member's live experiments (or EXP's): instances, market, start, and cost with volumes and addresses.

    One line for an experiment, however many instances it has; `make status` lists each of them.

    Exit status: 3 if a region did not respond.
    """
    from ec2lab.costs.current_costs import costs_of, total_of
    from ec2lab.costs.summary import unpriced
    from ec2lab.events import RegionsUnavailable
    from ec2lab.events.costs import Total
    from ec2lab.instances.status import NOT_FOUND, standing
    from ec2lab.instances.usage import usage_by_member
    from ec2lab.registry.other_accounts import other_accounts
    from ec2lab.session import open_session

    console = Console(as_json=as_json, wide=wide)
    with open_session("ps") as session:
        everything, others = session.records.everywhere()
        shown = standing(session, everything.matching(exp))
        there = [resource for resource in shown.resources if resource.state != NOT_FOUND]
        console.emit(*other_accounts(others, session.cloud.account, exp))
        if there:
            costs = costs_of(session, there)
            console.emit_table(usage_by_member(there, costs.spent))
            total = total_of(costs.spent.values())
            console.emit(Total(**total.rates()), *unpriced(total), *costs.unknown)
        else:
            if exp != "*":
                session.expect_known(exp)
            console.hint("no live resources" if exp == "*" else f"{exp}: no live resources")
        console.emit(*RegionsUnavailable.by_reason(shown.unseen))
        console.hint(session.cloud.banner if there else "")
    exit_if_incomplete(shown.unseen)


if __name__ == "__main__":
    run(app)
