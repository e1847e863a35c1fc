"""Look at all that can be wrong before or after a launch, and say what mends it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ec2lab.console import Console, run
from ec2lab.errors import LabError
from ec2lab.options import AsJson, OneExperiment, script

if TYPE_CHECKING:
    from ec2lab.doctor.check import Check, Finding
    from ec2lab.doctor.context import DoctorContext
    from ec2lab.events import Emit

app = script(__doc__)
Fix = Annotated[bool, typer.Option("--fix", envvar="FIX", help="Mend what can be mended by itself.")]
NOT_ALL_IS_WELL = 3
"""The exit code, for cron, as `make audit` has it; warnings leave it at 0."""


@app.command()
def doctor(exp: OneExperiment = "", fix: Fix = False, as_json: AsJson = False) -> None:
    """Look at the lab's files, this machine, the credentials, what AWS allows and has, and the registry.

    All regions of the lab and all experiments are looked at, or those of EXP alone. Nothing is changed, and nothing is
    written down; FIX=1 then mends what docs/doctor.md, which lists all that can be found, says that it does.
    Exit 0 if nothing is wrong (warnings may be meant so), 3 if something is or could not be looked at, 1 if there is no
    lab here.
    """
    from ec2lab.doctor.check import Severity
    from ec2lab.doctor.context import open_readonly
    from ec2lab.doctor.runner import run_checks
    from ec2lab.events.account import CheckFinding, CheckSummary

    console = Console(as_json=as_json)
    found: list[tuple[Check, Finding]] = []
    with open_readonly(Path.cwd(), exp) as lab:
        console.hint(banner(lab))
        console.progress("  looking")
        for check, finding in run_checks(lab, lab.plugins.checks()):
            found.append((check, finding))
            console.emit(
                CheckFinding(
                    severity=finding.diagnosis.level, check=check.name, finding=finding.diagnosis.id,
                    subjects=list(finding.subjects), values=dict(finding.values), message=finding.text,
                    remedy=finding.remedy,
                )
            )  # fmt: skip
    levels = [finding.diagnosis.level for _, finding in found]
    console.emit(CheckSummary(counts={level.value: levels.count(level) for level in Severity}))
    if fix:
        found = _remaining(found, console.emit)
    if any(finding.diagnosis.level in (Severity.WRONG, Severity.UNKNOWN) for _, finding in found):
        raise typer.Exit(NOT_ALL_IS_WELL)


def banner(lab: DoctorContext) -> str:
    """Return where calls go; empty where that is not known: the check of the credentials says why."""
    try:
        return lab.opened.cloud.banner
    except LabError:
        return ""


def _remaining(found: list[tuple[Check, Finding]], emit: Emit) -> list[tuple[Check, Finding]]:
    """Mend what can be mended; return what is left."""
    from ec2lab.events.account import Fixed
    from ec2lab.session import open_session

    left = []
    with open_session("doctor") as session:
        for check, finding in found:
            done = list(check.mend(session, finding))
            for text in done:
                emit(Fixed(check=check.name, finding=finding.diagnosis.id, message=text))
            left += [] if done else [(check, finding)]
    return left


if __name__ == "__main__":
    run(app)
