"""List live instances and volumes: state, place, age, data, expiry, cost."""

from __future__ import annotations

from ec2lab.console import Console, exit_if_incomplete, run
from ec2lab.options import AnyExperiments, AsJson, Wide, script

app = script(__doc__)


@app.command()
def status(exp: AnyExperiments = "", wide: Wide = False, as_json: AsJson = False) -> None:
    """Show the registry's live resources (or EXP's) with their current state in AWS and their cost.

    Resources in a region that does not respond are shown as the registry has them, with the reason.

    Exit status: 3 if a region did not respond.
    """
    from ec2lab.costs.current_costs import costs_of, history_at_hand, rest_text, total_of
    from ec2lab.costs.summary import unpriced
    from ec2lab.events import RegionsUnavailable
    from ec2lab.events.costs import Total
    from ec2lab.hosts.inventory import by_host, host_names
    from ec2lab.instances.status import forgotten_by_aws, standing, status_event
    from ec2lab.registry.other_accounts import other_accounts
    from ec2lab.session import open_session
    from ec2lab.volumes.retention import retained_events, retained_volumes

    console = Console(as_json=as_json, wide=wide)
    with open_session("status") as session:
        everything, others = session.records.everywhere()
        known = everything.matching(exp)
        shown = standing(session, known)
        console.emit(*other_accounts(others, session.cloud.account, exp))
        if not shown.resources:
            if exp != "*":
                session.expect_known(exp)
            console.hint("no live resources" if exp == "*" else f"{exp}: no live resources")
        if not shown.resources and not known.seen:
            return
        history = history_at_hand(session)
        retained = retained_volumes(session, history, exp)
        costs = costs_of(session, shown.resources, None if retained.found else history)
        unseen = {**shown.unseen, **retained.unseen}
        if shown.resources:
            hosts = host_names(session, shown.resources)
            console.emit_table(
                [
                    status_event(resource, costs.spent[resource.id], hosts.get(resource.id, ""))
                    for resource in by_host(shown.resources, hosts)
                ]
            )
            total = total_of(costs.spent.values())
            console.emit(Total(**total.rates()), *unpriced(total))
            console.hint(forgotten_by_aws(shown.resources))
        console.emit(*retained_events(retained))
        console.hint(rest_text(costs.rest) if exp == "*" else "")
        console.emit(*shown.unknown, *costs.unknown)
        console.emit(*RegionsUnavailable.by_reason(unseen))
        console.hint(session.cloud.banner if shown.resources else "")
    exit_if_incomplete(unseen)


if __name__ == "__main__":
    run(app)
