"""Problems of a registry other than its records: of the file, or of the DynamoDB table."""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from ec2lab.files import exists
from ec2lab.findings import Finding, error, warning
from ec2lab.registry.dynamodb_table import Table
from ec2lab.registry.file_format import is_blank, is_json
from ec2lab.registry.file_io import locked, read_whole

LITTLE, TOO_LITTLE = 256 * 1024 * 1024, 16 * 1024 * 1024
"""Free bytes on the disk. A launch writes less than one MiB, but code and datasets may be on the same disk."""

TORN = warning(
    "registry-torn", "{name}: a kill or a power failure tore its last record; its call was not sent",
    "nothing: the next command repairs it",
)  # fmt: skip
NOT_PRIVATE = warning(
    "registry-not-private", "{name}: others may read it (mode {mode})", "`chmod 600 {file}`, as the next command does"
)
NOT_WRITABLE = error(
    "registry-not-writable", "{name}: {what} is not writable, so no call would be sent",
    "become its owner (chown), `chmod u+w`, or name another `registry` in lab.toml",
)  # fmt: skip
DISK_LOW = warning("disk-low", "{free} MiB are free on the disk of {name}", "free some space")
DISK_FULL = error("disk-full", "{free} MiB are free on the disk of {name}", "free some space")


def file_findings(path: Path) -> Iterator[Finding]:
    """Check the file, its directory and its disk, without writing."""
    name, free = path.name, shutil.disk_usage(path.resolve().parent).free
    if free < LITTLE:
        yield (DISK_FULL if free < TOO_LITTLE else DISK_LOW).of(name=name, free=free // 2**20)
    if not os.access(path.resolve().parent, os.W_OK):
        yield NOT_WRITABLE.of(name=name, what="its directory")
    if not exists(path):
        return
    if not os.access(path, os.W_OK):
        yield NOT_WRITABLE.of(name=name, what="it")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield NOT_PRIVATE.of(name=name, file=shlex.quote(str(path)), mode=f"{mode:o}")
    if _is_torn(path):
        yield TORN.of(name=name)


def _is_torn(path: Path) -> bool:
    """Return whether the file is incomplete JSON; a file that is no JSON at all is reported when it is read."""
    with locked(path, os.O_RDONLY, fcntl.LOCK_SH) as descriptor:
        document = read_whole(descriptor)
    return not is_blank(document) and not is_json(document)


NOT_BACKED_UP = warning(
    "table-not-backed-up", "{address}: point-in-time recovery is off: deleted records are lost",
    "`aws dynamodb update-continuous-backups --table-name {table} "
    "--point-in-time-recovery-specification PointInTimeRecoveryEnabled=true`, or in AWS's console",
)  # fmt: skip
NOT_PROTECTED = warning(
    "table-not-protected", "{address}: deletion protection is off",
    "`aws dynamodb update-table --table-name {table} --deletion-protection-enabled`, or in AWS's console",
)  # fmt: skip
NOT_ACTIVE = error("table-not-active", "{address}: the table is {state}", "wait, or see AWS's console")


def table_findings(table: Table) -> Iterator[Finding]:
    """Check the table's settings. Raises UserError if it cannot be reached."""
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
