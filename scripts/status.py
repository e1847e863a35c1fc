"""Show what lives: where, since when, for how long yet, which data is on it, and what it costs."""

from __future__ import annotations

from ec2lab.console import Console, run
from ec2lab.options import AsJson, script

app = script(__doc__)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show what the registry says lives, with the state that AWS gives it now and what it costs, with its volumes.

    What lives in a region that AWS does not show now is shown as the registry has it, with the reason, and exit 3.
    """
    from ec2lab.costs.current_costs import costs_of, total_of
    from ec2lab.costs.report import CostReport
    from ec2lab.instances.elsewhere_report import tell_elsewhere
    from ec2lab.instances.status import StatusReport, standing
    from ec2lab.resources.unseen_report import exit_if_unseen, tell_unknown, tell_unseen
    from ec2lab.session import open_session

    console = Console(as_json=as_json)
    with open_session("status") as session:
        known, others = session.everywhere()
        shown = standing(session, known)
        tell_elsewhere(console, session, others)
        if not shown.resources:
            console.hint("nothing lives")
            return
        report, costs = StatusReport(console), costs_of(session, shown.resources)
        report.lives(shown.resources, costs.spent)
        report.sum(total := total_of(costs.spent.values()))
        CostReport(console).unpriced(total)
        tell_unknown(console, [*shown.unknown, *costs.unknown])
        tell_unseen(console, shown.unseen)
        console.hint(session.cloud.banner)
    exit_if_unseen(shown.unseen)


if __name__ == "__main__":
    run(app)
