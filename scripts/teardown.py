"""Delete everything that an experiment owns, and verify it."""

from __future__ import annotations

from ec2lab.console import Console, exit_if_incomplete, run
from ec2lab.errors import UserError
from ec2lab.options import AsJson, Confirm, Experiments, script
from ec2lab.validators import is_pattern

app = script(__doc__)


@app.command()
def teardown(exp: Experiments = "", yes: Confirm = False, as_json: AsJson = False) -> None:
    """Delete what EXP owns in every region it used. EXP='speech-*' lists the matches; YES=1 deletes them.

    It works from the registry: it needs no experiment file, and it also cleans up after a launch that was killed.

    Exit status: 0 if nothing is left, even if nothing was left before; 1 if anything is left, or no experiment of
    that name was ever launched; 3 if nothing known is left, but a region that EXP used did not respond.
    """
    console = Console(as_json=as_json)
    if is_pattern(exp):
        several(exp, console, yes)
    else:
        one(exp, console, yes)


def one(exp: str, console: Console, yes: bool) -> None:
    from ec2lab.events import RegionsUnavailable
    from ec2lab.events.teardown import RecordsDropped
    from ec2lab.instances.teardown import drop_records, take_down
    from ec2lab.registry.other_accounts import other_accounts
    from ec2lab.session import locked_session

    with locked_session(exp, "teardown") as session:
        if dropped := drop_records(session, exp) if yes else []:
            console.emit(RecordsDropped(experiment=exp, ids=dropped))
            if not session.records.state(exp).names:
                return
        removal = take_down(session, exp, console.emit)
        console.emit(*other_accounts(session.records.elsewhere(exp), session.cloud.account))
        console.emit(*RegionsUnavailable.by_reason(removal.unseen))
    exit_if_incomplete(removal.unseen)


def several(pattern: str, console: Console, yes: bool) -> None:
    from ec2lab.costs.current_costs import history_at_hand
    from ec2lab.events import RegionsUnavailable
    from ec2lab.events.teardown import NoMatch, WouldDelete
    from ec2lab.instances.status import standing
    from ec2lab.instances.teardown import live_experiments, teardown_many
    from ec2lab.registry.other_accounts import other_accounts
    from ec2lab.session import open_session
    from ec2lab.units import counted
    from ec2lab.volumes.retention import retained_events, retained_volumes

    with open_session("teardown") as session:
        names = live_experiments(session.records, pattern)
        others = other_accounts(session.records.elsewhere(), session.cloud.account, pattern)
        console.emit(*others)
        if others and not names:
            raise UserError(f"{pattern}: not live in the current account")
        if not names:
            session.expect_known(pattern)
            retained = retained_volumes(session, history_at_hand(session), pattern)
            console.emit(
                NoMatch(pattern=pattern), *retained_events(retained), *RegionsUnavailable.by_reason(retained.unseen)
            )
            exit_if_incomplete(retained.unseen)
            return
        shown = standing(session)
        for one in shown.resources:
            if one.experiment in names:
                details = {"instance_type": one.details.get("type", ""), "zone": one.details.get("zone", "")}
                console.emit(WouldDelete.of(one, **details))
        console.emit(*RegionsUnavailable.by_reason(shown.unseen))
        if not yes:
            console.hint(f"nothing was deleted; run again with YES=1 to tear down {counted(len(names), 'experiment')}")
            exit_if_incomplete(shown.unseen)
            return
        failed, unseen = teardown_many(session, names, console.emit)
        if failed:
            raise UserError(f"{failed} of {len(names)} could not be torn down; run the command again")
    exit_if_incomplete(unseen)


if __name__ == "__main__":
    run(app)
