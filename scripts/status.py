"""List live instances and volumes: state, place, age, data, expiry, cost."""

from __future__ import annotations

from ec2lab.console import Console, exit_if_incomplete, run
from ec2lab.options import AsJson, script

app = script(__doc__)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show the registry's live resources with their current state in AWS and their cost.

    Resources in a region that does not respond are shown as the registry has them, with the reason.

    Exit status: 3 if a region did not respond.
    """
    from ec2lab.costs.current_costs import costs_of, history_at_hand, rest_text, total_of
    from ec2lab.costs.summary import unpriced
    from ec2lab.events import RegionsUnavailable
    from ec2lab.events.costs import Total
    from ec2lab.instances.status import standing, status_event
    from ec2lab.registry.elsewhere import other_accounts
    from ec2lab.session import open_session
    from ec2lab.volumes.retention import retained_events, retained_volumes

    console = Console(as_json=as_json)
    with open_session("status") as session:
        known, others = session.everywhere()
        shown = standing(session, known)
        console.emit(*other_accounts(others, session.cloud.account))
        if not shown.resources:
            console.hint("nothing lives")
        if not shown.resources and not known.seen:
            return
        history = history_at_hand(session)
        retained = retained_volumes(session, history)
        costs = costs_of(session, shown.resources, None if retained.found else history)
        unseen = {**shown.unseen, **retained.unseen}
        if shown.resources:
            console.emit_table([status_event(resource, costs.spent[resource.id]) for resource in shown.resources])
            total = total_of(costs.spent.values())
            console.emit(Total(**total.rates()), *unpriced(total))
        console.emit(*retained_events(retained))
        console.hint(rest_text(costs.rest))
        console.emit(*shown.unknown, *costs.unknown)
        console.emit(*RegionsUnavailable.by_reason(unseen))
        console.hint(session.cloud.banner if shown.resources else "")
    exit_if_incomplete(unseen)


if __name__ == "__main__":
    run(app)
