"""Delete everything that an experiment owns, and prove that it is gone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from ec2lab.console import Console, run
from ec2lab.errors import LabError
from ec2lab.names import is_pattern
from ec2lab.options import AsJson, Confirm, Experiments, script

if TYPE_CHECKING:
    from ec2lab.resources.base import Resource

app = script(__doc__)


@app.command()
def teardown(exp: Experiments = "", yes: Confirm = False, as_json: AsJson = False) -> None:
    """Delete what EXP owns in every region that it touched; EXP='speech-*' shows which match, and YES=1 ends them.

    Works from the registry, so it also cleans up after a launch that was killed and needs no experiment file.
    Exit 0 if nothing is left, also the second time; 1 if anything is, or if nothing was ever launched under that name
    (a misspelt name must not look like a machine taken down); 3 if nothing is left that is known of, and a region that
    it once asked could not be looked at.
    """
    console = Console(as_json=as_json)
    if is_pattern(exp):
        several(exp, console, yes)
    else:
        one(exp, console, yes)


def one(exp: str, console: Console, yes: bool) -> None:
    """Take one experiment down."""
    from ec2lab.instances.elsewhere_report import tell_elsewhere
    from ec2lab.instances.taking_down import strike_out, take_down
    from ec2lab.resources.unseen_report import exit_if_unseen, tell_awaited, tell_unseen
    from ec2lab.session import acting_on

    with acting_on(exp, "teardown") as session:
        if struck := strike_out(session, exp) if yes else []:
            text = f"{exp}: struck out of the registry: {', '.join(struck)}"
            console.say(text, "struck-out", experiment=exp, struck_out=struck)
            if not session.holdings(exp).names:
                return
        removal = take_down(
            session, exp, partial(deleting, console), partial(tell_awaited, console), partial(saving, console)
        )
        deleted, along = list(removal.deleted), list(removal.went_along)
        with_it = f" (and {len(along)} that went with it)" if along else ""
        done = f"deleted {len(deleted)}{with_it}; AWS shows nothing left" if deleted or along else "nothing was left"
        console.say(f"{exp}: {done}", "gone", style="green", experiment=exp, deleted=deleted, went_along=along)
        tell_elsewhere(console, session, session.elsewhere(exp))
        tell_unseen(console, removal.unseen)
    exit_if_unseen(removal.unseen)


def several(pattern: str, console: Console, yes: bool) -> None:
    """Show which experiments match; take them down where that is meant."""
    from ec2lab.instances.elsewhere_report import tell_elsewhere
    from ec2lab.instances.status import standing
    from ec2lab.instances.taking_down import living_experiments, teardown_many
    from ec2lab.resources.unseen_report import exit_if_unseen, tell_awaited, tell_unseen
    from ec2lab.session import open_session

    unseen: dict[str, str] = {}

    def ended(experiment: str, problem: str, not_looked_at: Mapping[str, str]) -> None:
        unseen.update(not_looked_at)
        if problem:
            console.say(f"{experiment}: {problem}", "failed", style="red", experiment=experiment, why=problem)
        else:
            console.say(f"{experiment}: AWS shows nothing left", "gone", style="green", experiment=experiment)

    with open_session("teardown") as session:
        names = living_experiments(session, pattern)
        if tell_elsewhere(console, session, session.elsewhere(), pattern) and not names:
            raise LabError(f"{pattern}: nothing of it lives in the account that is used")
        if not names:
            console.say(f"{pattern}: nothing that lives matches", "none", pattern=pattern)
            return
        shown = standing(session)
        for resource in shown.resources:
            if resource.experiment in names:
                details = " ".join(filter(None, (resource.details.get("type"), resource.details.get("zone"))))
                console.say(
                    f"  {resource.experiment}  {resource} {details}", "would-delete",
                    experiment=resource.experiment, kind=resource.kind, id=resource.id, region=resource.region,
                )  # fmt: skip
        tell_unseen(console, shown.unseen)
        if not yes:
            raise LabError(f"EXP: {pattern!r} would take down {len(names)} experiments; YES=1 does it")
        failed = teardown_many(
            session, names, partial(deleting, console), partial(tell_awaited, console), partial(saving, console), ended
        )
        if failed:
            raise LabError(f"{failed} of {len(names)} could not be taken down; run the same again")
    exit_if_unseen(unseen)


def deleting(console: Console, resource: Resource) -> None:
    """Say what is being deleted."""
    text = f"  deleting {resource} {resource.details.get('type', '')}".rstrip()
    console.say(text, "deleting", kind=resource.kind, id=resource.id, region=resource.region)
    console.progress("  waiting until AWS shows nothing left")


def saving(console: Console, said: str) -> None:
    """Say what becomes of volumes that are not simply deleted."""
    console.say(f"  {said}", "saving", said=said)


if __name__ == "__main__":
    run(app)
