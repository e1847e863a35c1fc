"""Who the lab's calls are made as."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from ec2lab import clock
from ec2lab.doctor.check import Check, Diagnosis, Finding, Level, Needs
from ec2lab.doctor.context import CheckedLab

SOON = timedelta(hours=1)
ELSE = "`aws sts get-caller-identity` with the same profile tells the same; `aws configure list` shows whose they are"

CALLER = Diagnosis("caller", Level.OK, "{arn} in account {account}")
CALLER_UNKNOWN = Diagnosis(
    "caller-unknown", Level.WRONG, "{reason}", "{remedy}"
)  # fmt: skip
NOT_REACHED = Diagnosis("aws-not-reached", Level.WRONG, "{reason}", "go online; HTTPS_PROXY names a proxy")
ROOT_USER = Diagnosis(
    "root-user", Level.WARNING, "these are the root user's credentials, which nothing can limit",
    "make a role or user with docs/iam-policy.json, and delete the root user's access keys",
)  # fmt: skip
ENDING_SOON = Diagnosis(
    "credentials-end-soon", Level.WARNING, "the credentials end in {minutes} minutes",
    "`aws sso login` again before a long launch",
)  # fmt: skip


class Credentials(Check):
    """There, taken by AWS, whose, and for how long."""

    name = "credentials"
    order = 40
    needs = Needs.ANSWER

    def look(self, lab: CheckedLab) -> Iterator[Finding]:
        """Ask AWS who asks."""
        caller = lab.caller()
        if caller.problem:
            if caller.unreached:
                yield NOT_REACHED.of(reason=caller.problem)
            else:
                yield CALLER_UNKNOWN.of(reason=caller.problem, remedy=caller.remedy or ELSE)
            return
        yield CALLER.of(arn=caller.arn, account=caller.account)
        if caller.is_root:
            yield ROOT_USER.of()
        ends = lab.opened.cloud.credentials_end()
        if ends and ends - clock.now() < SOON:
            yield ENDING_SOON.of(minutes=max(0, round((ends - clock.now()).total_seconds() / 60)))
