"""All checks of a lab at once: their findings in order, and none of them able to keep another from looking."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import TypeVar

from botocore.exceptions import ClientError

from ec2lab.aws.error_codes import ACCESS_DENIED_CODES
from ec2lab.aws.errors import in_words
from ec2lab.doctor.check import Check, Diagnosis, Finding, Level, Look, Needs, merged
from ec2lab.doctor.context import CheckedLab, NotLooked
from ec2lab.doctor.enabled_regions import RegionShut, opt_in_states
from ec2lab.errors import LabError, PluginFailed
from ec2lab.printable import printable_document

Fact = TypeVar("Fact")

NOT_LOOKED_AT = Diagnosis("not-looked-at", Level.UNKNOWN, "not looked at: {reason}", "mend what is named above first")
NOT_TOLD = Diagnosis("not-told", Level.UNKNOWN, "can't be told: {reason}", "again later; who refuses it is in the line")
LOOK_REFUSED = Diagnosis(
    "look-refused", Level.WRONG, "may not be looked at: {reason}",
    "docs/iam-policy.json lists what the lab's role or user must be allowed",
)  # fmt: skip
CHECK_BROKEN = Diagnosis(
    "check-broken",
    Level.UNKNOWN,
    "the check failed: {reason}",
    "DEBUG=1 shows where; its author can mend it",
)


def check_up(lab: CheckedLab, checks: Iterable[Check]) -> Iterator[tuple[Check, Finding]]:
    """Begin all looks of all checks, and yield each check's findings, in the order of the checks."""
    checks = list(checks)
    needed = max((check.needs for check in checks), default=Needs.NOTHING)
    if lab.session and needed >= Needs.ANSWER:
        lab.begin_caller()
    if lab.session and needed is Needs.AWS:
        lab.begin(opt_in_states)
    begun = [(check, [_begun(lab, look) for look in _looks(check, lab)]) for check in checks]
    for check, looks in begun:
        yield from ((check, finding) for finding in merged(one for look in looks for one in look.result()))


def answers(asked: Mapping[str, Future[Fact]]) -> tuple[dict[str, Fact], list[Finding]]:
    """Wait for a fact of several regions: return it for those that tell, and findings on those that do not."""
    told: dict[str, Fact] = {}
    untold: list[Finding] = []
    for region, answer in asked.items():

        def keep(region: str = region, answer: Future[Fact] = answer) -> list[Finding]:
            told[region] = answer.result()
            return []

        untold += findings_of(keep)
    return told, untold


def _looks(check: Check, lab: CheckedLab) -> list[Look]:
    """Return a check's looks; one that says why, where what it needs is not there."""
    if check.needs > Needs.NOTHING and lab.session is None:
        return [lambda: [NOT_LOOKED_AT.of(reason="lab.toml has mistakes")]]
    looks: list[Look] = []

    def list_them() -> list[Finding]:
        looks.extend(check.looks(lab))
        return []

    failed = findings_of(list_them)
    return [lambda: failed] if failed else looks


def _begun(lab: CheckedLab, look: Look) -> Future[list[Finding]]:
    return lab.threads.submit(findings_of, look)


def findings_of(look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Look, whatever happens: what goes wrong is a finding too."""
    try:
        with in_words():
            return list(look())
    except RegionShut:
        return []  # the check of the regions says so
    except NotLooked as reason:
        return [NOT_LOOKED_AT.of(reason=reason)]
    except PluginFailed as problem:
        return _broken(problem.what)
    except LabError as problem:
        return [(LOOK_REFUSED if _is_not_allowed(problem) else NOT_TOLD).of(reason=problem)]
    except Exception as problem:  # noqa: BLE001 - a check may fail in any way, and must not stop the others
        return _broken(f"{type(problem).__name__}: {problem}")


def _broken(reason: str) -> list[Finding]:
    if os.environ.get("DEBUG") == "1":
        print(printable_document(traceback.format_exc()), file=sys.stderr)
    return [CHECK_BROKEN.of(reason=reason)]


def _is_not_allowed(problem: LabError) -> bool:
    refusal = problem.__cause__
    return isinstance(refusal, ClientError) and refusal.response["Error"]["Code"] in ACCESS_DENIED_CODES
