"""What can be the matter with a registry's DynamoDB table besides its records."""

from __future__ import annotations

from collections.abc import Iterator

from ec2lab.findings import Diagnosis, Finding, Severity
from ec2lab.registry.dynamodb_table import Table

NOT_BACKED_UP = Diagnosis(
    "table-not-backed-up", Severity.WARNING, "{address}: point-in-time recovery is off: a deleted record is gone",
    "`aws dynamodb update-continuous-backups --table-name {table} "
    "--point-in-time-recovery-specification PointInTimeRecoveryEnabled=true`, or in AWS's console",
)  # fmt: skip
NOT_PROTECTED = Diagnosis(
    "table-not-protected", Severity.WARNING, "{address}: deletion protection is off",
    "`aws dynamodb update-table --table-name {table} --deletion-protection-enabled`, or in AWS's console",
)  # fmt: skip
NOT_ACTIVE = Diagnosis(
    "table-not-active", Severity.WRONG, "{address}: the table is {state}", "wait, or see AWS's console"
)


def ailments(table: Table) -> Iterator[Finding]:
    """Look at the table's settings. Raises UserError where it is not reached."""
    described = table.description()
    if described is None:
        return
    if described["TableStatus"] not in ("ACTIVE", "UPDATING"):
        yield NOT_ACTIVE.of(address=table.address, state=described["TableStatus"])
        return
    table.expect_keys_of(described)
    if not table.is_backed_up():
        yield NOT_BACKED_UP.of(address=table.address, table=table.name)
    if not described.get("DeletionProtectionEnabled"):
        yield NOT_PROTECTED.of(address=table.address, table=table.name)
