"""Show what lives: where, since when, for how long yet, which data is on it, and what it costs."""

from __future__ import annotations

from scripts.core.console import Console, run
from scripts.core.options import AsJson, script

app = script(__doc__)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show what the registry says lives, with the state that AWS gives it now and what it costs, with its volumes.

    What lives in a region that AWS does not show now is shown as the registry has it, with the reason, and exit 3.
    """
    from scripts.core.costs.standing_costs import costs_of, total_of
    from scripts.core.machines.elsewhere_report import tell_elsewhere
    from scripts.core.machines.standing import standing
    from scripts.core.machines.status_report import StatusReport
    from scripts.core.session import open_session
    from scripts.core.unseen_report import exit_if_unseen, tell_unknown, tell_unseen

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
        report.sum(total_of(costs.spent.values()))
        tell_unknown(console, [*shown.unknown, *costs.unknown])
        tell_unseen(console, shown.unseen)
        console.hint(session.cloud.banner)
    exit_if_unseen(shown.unseen)


if __name__ == "__main__":
    run(app)
