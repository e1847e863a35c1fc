"""Show what lives: where, since when, for how long yet, which data is on it, and what it costs."""

from __future__ import annotations

from scripts.core.console import Console, run
from scripts.core.options import AsJson, script

app = script(__doc__)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show what the registry says lives, with the state that AWS gives it now and what it costs, with its volumes."""
    from scripts.core.costs.standing_costs import costs_of, total_of
    from scripts.core.machines.elsewhere_report import tell_elsewhere
    from scripts.core.machines.standing import standing
    from scripts.core.machines.status_report import StatusReport
    from scripts.core.session import open_session

    console = Console(as_json=as_json)
    with open_session("status") as session:
        known, others = session.everywhere()
        resources = standing(session, known)
        tell_elsewhere(console, session, others)
        if not resources:
            console.hint("nothing lives")
            return
        report, costs = StatusReport(console), costs_of(session, resources)
        report.lives(resources, costs)
        report.sum(total_of(costs.values()))
        console.hint(session.cloud.banner)


if __name__ == "__main__":
    run(app)
