"""Runs all checks of a lab in parallel; none can keep another from running."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import TypeVar

from botocore.exceptions import ClientError

from ec2lab.aws.error_codes import ACCESS_DENIED_CODES
from ec2lab.aws.errors import in_words
from ec2lab.console import print_debug_traceback
from ec2lab.doctor.check import Check, Look, Requirement
from ec2lab.doctor.context import CheckSkipped, DoctorContext
from ec2lab.doctor.regions import RegionDisabled, opt_in_states
from ec2lab.errors import PluginFailed, UserError
from ec2lab.findings import Diagnosis, Finding, Severity, merged

Fact = TypeVar("Fact")

NOT_LOOKED_AT = Diagnosis("not-looked-at", Severity.UNKNOWN, "not looked at: {reason}", "fix what is named above first")
UNAVAILABLE = Diagnosis(
    "not-told", Severity.UNKNOWN, "can't be told: {reason}", "again later; who refuses it is in the line"
)
LOOK_REFUSED = Diagnosis(
    "look-refused", Severity.WRONG, "may not be looked at: {reason}",
    "docs/iam-policy.json lists what the lab's role or user must be allowed",
)  # fmt: skip
CHECK_CRASHED = Diagnosis(
    "check-broken",
    Severity.UNKNOWN,
    "the check failed: {reason}",
    "DEBUG=1 shows where; its author can fix it",
)


def run_checks(lab: DoctorContext, checks: Iterable[Check]) -> Iterator[tuple[Check, Finding]]:
    """Start all looks of all checks, and yield each check's findings in order."""
    checks = list(checks)
    needed = max((check.needs for check in checks), default=Requirement.NOTHING)
    if lab.session and needed >= Requirement.ANSWER:
        lab.prefetch_identity()
    if lab.session and needed is Requirement.AWS:
        lab.begin(opt_in_states)
    begun = [(check, [_submit(lab, look) for look in _looks(check, lab)]) for check in checks]
    for check, looks in begun:
        yield from ((check, finding) for finding in merged(one for look in looks for one in look.result()))


def answers(asked: Mapping[str, Future[Fact]]) -> tuple[dict[str, Fact], list[Finding]]:
    """Wait for a fact of several regions: return it for those that respond, and findings about the others."""
    told: dict[str, Fact] = {}
    untold: list[Finding] = []
    for region, answer in asked.items():

        def keep(region: str = region, answer: Future[Fact] = answer) -> list[Finding]:
            told[region] = answer.result()
            return []

        untold += run_probe(keep)
    return told, untold


def _looks(check: Check, lab: DoctorContext) -> list[Look]:
    """Return a check's looks; where a requirement is missing, one that says why."""
    if check.needs > Requirement.NOTHING and lab.session is None:
        return [lambda: [NOT_LOOKED_AT.of(reason="lab.toml has mistakes")]]
    looks: list[Look] = []

    def list_them() -> list[Finding]:
        looks.extend(check.looks(lab))
        return []

    failed = run_probe(list_them)
    return [lambda: failed] if failed else looks


def _submit(lab: DoctorContext, look: Look) -> Future[list[Finding]]:
    return lab.threads.submit(run_probe, look)


def run_probe(look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Run a look; errors are findings too."""
    try:
        with in_words():
            return list(look())
    except RegionDisabled:
        return []  # the check of regions reports it
    except CheckSkipped as reason:
        return [NOT_LOOKED_AT.of(reason=reason)]
    except PluginFailed as problem:
        return _broken(problem.what)
    except UserError as problem:
        return [(LOOK_REFUSED if _is_not_allowed(problem) else UNAVAILABLE).of(reason=problem)]
    except Exception as problem:  # noqa: BLE001 - a check may fail in any way, and must not stop the others
        return _broken(f"{type(problem).__name__}: {problem}")


def _broken(reason: str) -> list[Finding]:
    print_debug_traceback()
    return [CHECK_CRASHED.of(reason=reason)]


def _is_not_allowed(problem: UserError) -> bool:
    refusal = problem.__cause__
    return isinstance(refusal, ClientError) and refusal.response["Error"]["Code"] in ACCESS_DENIED_CODES
