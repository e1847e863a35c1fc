"""Show what lives: where, since when, for how long yet, which data is on it, and what it costs."""

from __future__ import annotations

from ec2lab.console import Console, exit_if_incomplete, run
from ec2lab.options import AsJson, script

app = script(__doc__)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show what the registry says lives, with the state that AWS gives it now and what it costs, with its volumes.

    What lives in a region that AWS does not show now is shown as the registry has it, with the reason, and exit 3.
    """
    from ec2lab.costs.current_costs import costs_of, total_of
    from ec2lab.costs.report import CostReport
    from ec2lab.events import RegionsUnavailable
    from ec2lab.instances.status import StatusReport, standing
    from ec2lab.registry.elsewhere import other_accounts
    from ec2lab.session import open_session

    console = Console(as_json=as_json)
    with open_session("status") as session:
        known, others = session.everywhere()
        shown = standing(session, known)
        console.emit(*other_accounts(others, session.cloud.account))
        if not shown.resources:
            console.hint("nothing lives")
            return
        report, costs = StatusReport(console), costs_of(session, shown.resources)
        report.lives(shown.resources, costs.spent)
        report.sum(total := total_of(costs.spent.values()))
        CostReport(console).unpriced(total)
        console.emit(*shown.unknown, *costs.unknown)
        console.emit(*RegionsUnavailable.by_reason(shown.unseen))
        console.hint(session.cloud.banner)
    exit_if_incomplete(shown.unseen)


if __name__ == "__main__":
    run(app)
