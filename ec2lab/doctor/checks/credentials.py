"""Who the lab's calls are made as."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from ec2lab import clock
from ec2lab.doctor.check import Check, Diagnosis, Finding, Requirement, Severity
from ec2lab.doctor.context import DoctorContext

SOON = timedelta(hours=1)
ELSE = "`aws sts get-caller-identity` with the same profile tells the same; `aws configure list` shows whose they are"

CALLER = Diagnosis("identity", Severity.OK, "{arn} in account {account}")
IDENTITY_UNKNOWN = Diagnosis(
    "identity-unknown", Severity.WRONG, "{reason}", "{remedy}"
)  # fmt: skip
NOT_REACHED = Diagnosis("aws-unreachable", Severity.WRONG, "{reason}", "go online; HTTPS_PROXY names a proxy")
ROOT_USER = Diagnosis(
    "root-user", Severity.WARNING, "these are the root user's credentials, which nothing can limit",
    "make a role or user with docs/iam-policy.json, and delete the root user's access keys",
)  # fmt: skip
CREDENTIALS_EXPIRE_SOON = Diagnosis(
    "credentials-expire-soon", Severity.WARNING, "the credentials end in {minutes} minutes",
    "`aws sso login` again before a long launch",
)  # fmt: skip


class Credentials(Check):
    """There, taken by AWS, whose, and for how long."""

    name = "credentials"
    order = 40
    needs = Requirement.ANSWER

    def look(self, lab: DoctorContext) -> Iterator[Finding]:
        """Ask AWS who asks."""
        caller = lab.caller()
        if caller.problem:
            if caller.unreached:
                yield NOT_REACHED.of(reason=caller.problem)
            else:
                yield IDENTITY_UNKNOWN.of(reason=caller.problem, remedy=caller.remedy or ELSE)
            return
        yield CALLER.of(arn=caller.arn, account=caller.account)
        if caller.is_root:
            yield ROOT_USER.of()
        ends = lab.opened.cloud.credentials_expiry()
        if ends and ends - clock.now() < SOON:
            yield CREDENTIALS_EXPIRE_SOON.of(minutes=max(0, round((ends - clock.now()).total_seconds() / 60)))
