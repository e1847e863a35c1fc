"""Delete everything that an experiment owns, and prove that it is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.core.console import Console, run
from scripts.core.errors import LabError
from scripts.core.options import AsJson, ExperimentName, script

if TYPE_CHECKING:
    from scripts.core.kind import Resource

app = script(__doc__)


@app.command()
def teardown(exp: ExperimentName = "", as_json: AsJson = False) -> None:
    """Delete what EXP owns in every region that it touched.

    Works from the registry alone, so it also cleans up after a launch that was killed and needs no experiment file.
    Exit 0 if nothing is left, also the second time; 1 if anything is, or if nothing was ever launched under that name
    (a misspelt name must not look like a machine taken down).
    """
    from scripts.core.hosts import ssh_files
    from scripts.core.names import closest
    from scripts.core.removal import remove_everything
    from scripts.core.session import acting_on
    from scripts.core.volume_ends import save_volumes

    console = Console(as_json=as_json)

    def report(resource: Resource) -> None:
        text = f"  deleting {resource} {resource.details.get('type', '')}".rstrip()
        console.say(text, "deleting", kind=resource.kind, id=resource.id, region=resource.region)
        console.progress("  waiting until AWS shows nothing left")

    with acting_on(exp, "teardown") as session:
        if not session.holdings(exp).seen and not session.holdings_ever(exp).seen:
            known = sorted({r.experiment for r in session.holdings().living if r.experiment})
            lives = f" (what lives: {', '.join(known)})" if known else " (nothing lives)"
            raise LabError(f"{exp}: was never launched from this registry{closest(exp, known) or lives}")
        save_volumes(session, exp, lambda said: console.say(f"  {said}", "saving", said=said))
        removal = remove_everything(session, exp, report)
        ssh_files(session).remove(exp)
        deleted, along = list(removal.deleted), list(removal.went_along)
        with_it = f" (and {len(along)} that went with it)" if along else ""
        done = f"deleted {len(deleted)}{with_it}; AWS shows nothing left" if deleted or along else "nothing was left"
        console.say(f"{exp}: {done}", "gone", style="green", experiment=exp, deleted=deleted, went_along=along)


if __name__ == "__main__":
    run(app)
