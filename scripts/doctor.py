"""Check everything that can break a launch, and suggest fixes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ec2lab.console import Console, run
from ec2lab.errors import UserError
from ec2lab.options import AsJson, OneExperiment, option, script

if TYPE_CHECKING:
    from ec2lab.doctor.check import Check
    from ec2lab.doctor.context import DoctorContext
    from ec2lab.events import Emit
    from ec2lab.findings import Finding

app = script(__doc__)
Fix = Annotated[bool, option("FIX", "Apply the automatic fixes.")]
NOT_ALL_IS_WELL = 3  # exit status, the same as `make audit`'s; warnings alone exit with 0


@app.command()
def doctor(exp: OneExperiment = "", fix: Fix = False, as_json: AsJson = False) -> None:
    """Check the lab's files, this computer, credentials, permissions, regions, quotas, datasets and the registry.

    Checks all regions and experiments of the lab, or only EXP's. Changes and records nothing; FIX=1 then applies
    the fixes that docs/doctor.md, the list of all findings, describes.

    Exit status: 0 if there is no error (warnings are allowed); 3 if there is an error or a check could not run; 1
    if this directory is not a lab.
    """
    from ec2lab.doctor.check import checks
    from ec2lab.doctor.context import open_readonly
    from ec2lab.doctor.runner import run_checks
    from ec2lab.events.account import CheckFinding, CheckSummary
    from ec2lab.findings import Severity

    console = Console(as_json=as_json)
    found: list[tuple[Check, Finding]] = []
    with open_readonly(Path.cwd(), exp) as lab:
        console.hint(banner(lab))
        for check, finding in run_checks(lab, checks(lab.plugins)):
            found.append((check, finding))
            console.emit(
                CheckFinding(
                    severity=finding.diagnosis.severity, check=check.name, finding=finding.diagnosis.id,
                    subjects=list(finding.subjects), values=dict(finding.values), message=finding.text,
                    remedy=finding.remedy,
                )
            )  # fmt: skip
    severities = [finding.diagnosis.severity for _, finding in found]
    console.emit(CheckSummary(counts={level.value: severities.count(level) for level in Severity}))
    if fix:
        found = _remaining(found, console.emit)
    if any(finding.diagnosis.severity in (Severity.ERROR, Severity.UNKNOWN) for _, finding in found):
        raise typer.Exit(NOT_ALL_IS_WELL)


def banner(lab: DoctorContext) -> str:
    """Return where calls go, empty if unknown: the credentials check reports why."""
    try:
        return lab.opened.cloud.banner
    except UserError:
        return ""


def _remaining(found: list[tuple[Check, Finding]], emit: Emit) -> list[tuple[Check, Finding]]:
    from ec2lab.events.account import Fixed
    from ec2lab.session import open_session

    left = []
    with open_session("doctor") as session:
        for check, finding in found:
            done = list(check.fix(session, finding))
            for text in done:
                emit(Fixed(check=check.name, finding=finding.diagnosis.id, message=text))
            left += [] if done else [(check, finding)]
    return left


if __name__ == "__main__":
    run(app)
