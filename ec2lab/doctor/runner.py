"""Runs all checks of a lab in parallel; none can keep another from running."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import TypeVar

from botocore.exceptions import ClientError

from ec2lab.aws.error_codes import ACCESS_DENIED_CODES
from ec2lab.aws.errors import in_words
from ec2lab.console import print_debug_traceback
from ec2lab.doctor.check import Check, Probe, Requirement
from ec2lab.doctor.context import CheckSkipped, DoctorContext
from ec2lab.doctor.regions import RegionDisabled, opt_in_states, types_of
from ec2lab.errors import PluginFailed, UserError
from ec2lab.findings import Finding, error, merged, unknown
from ec2lab.progress import working

Fact = TypeVar("Fact")

CHECK_SKIPPED = unknown("check-skipped", "skipped: {reason}", "fix what is named above first")
CHECK_UNAVAILABLE = unknown(
    "check-unavailable", "not available: {reason}", "try again later; the message names who rejected it"
)
CHECK_DENIED = error(
    "check-denied", "access denied: {reason}",
    "docs/iam-policy.json has the permissions that the lab's role or user needs",
)  # fmt: skip
CHECK_CRASHED = unknown("check-broken", "the check failed: {reason}", "DEBUG=1 shows where; its author can fix it")


def run_checks(lab: DoctorContext, checks: Iterable[Check]) -> Iterator[tuple[Check, Finding]]:
    """Start all looks of all checks, and yield each check's findings in order."""
    checks = list(checks)
    needed = max((check.needs for check in checks), default=Requirement.NOTHING)
    if lab.session and needed >= Requirement.ANSWER:
        lab.prefetch_identity()
    if lab.session and needed is Requirement.AWS:
        lab.begin(opt_in_states)
        for name in lab.experiments:
            lab.begin(types_of, name)
    begun = [(check, [_submit(lab, probe) for probe in _probes(check, lab)]) for check in checks]
    for check, probes in begun:
        with working(f"checking {check.name}"):
            findings = [one for probe in probes for one in probe.result()]
        yield from ((check, finding) for finding in merged(findings))


def collect(asked: Mapping[str, Future[Fact]]) -> tuple[dict[str, Fact], list[Finding]]:
    """Wait for a fact of several regions: return it for those that respond, and findings about the others."""
    facts: dict[str, Fact] = {}
    failures: list[Finding] = []
    for region, answer in asked.items():

        def wait(region: str = region, answer: Future[Fact] = answer) -> list[Finding]:
            facts[region] = answer.result()
            return []

        failures += run_probe(wait)
    return facts, failures


def _probes(check: Check, lab: DoctorContext) -> list[Probe]:
    """Return a check's looks; where a requirement is missing, one that says why."""
    if check.needs > Requirement.NOTHING and lab.session is None:
        return [lambda: [CHECK_SKIPPED.of(reason="lab.toml has mistakes")]]
    probes: list[Probe] = []

    def list_them() -> list[Finding]:
        probes.extend(check.probes(lab))
        return []

    failed = run_probe(list_them)
    return [lambda: failed] if failed else probes


def _submit(lab: DoctorContext, probe: Probe) -> Future[list[Finding]]:
    return lab.threads.submit(run_probe, probe)


def run_probe(probe: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Run a look; errors are findings too."""
    try:
        with in_words():
            return list(probe())
    except RegionDisabled:
        return []  # the check of regions reports it
    except CheckSkipped as reason:
        return [CHECK_SKIPPED.of(reason=reason)]
    except PluginFailed as problem:
        return _broken(problem.what)
    except UserError as problem:
        return [(CHECK_DENIED if _is_not_allowed(problem) else CHECK_UNAVAILABLE).of(reason=problem)]
    except Exception as problem:  # noqa: BLE001 - a check may fail in any way, and must not stop the others
        return _broken(f"{type(problem).__name__}: {problem}")


def _broken(reason: str) -> list[Finding]:
    print_debug_traceback()
    return [CHECK_CRASHED.of(reason=reason)]


def _is_not_allowed(problem: UserError) -> bool:
    error = problem.__cause__
    return isinstance(error, ClientError) and error.response["Error"]["Code"] in ACCESS_DENIED_CODES
