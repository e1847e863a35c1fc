"""Leases: one process per experiment, on any computer.

A lease expires by AWS's clock, which is read from the Date of its responses, so local clocks do not matter. A process
that lost its lease can write no more intents or decisions: each is written on the condition that it still holds the
lease.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic_core import core_schema

from ec2lab.errors import UserError
from ec2lab.registry.base import LockHeld, LockOwner
from ec2lab.registry.dynamodb_items import where_is
from ec2lab.registry.dynamodb_table import ConditionFailed, Table
from ec2lab.registry.record import actor, new_id, now
from ec2lab.registry.record_model import BadRecord, held_to
from ec2lab.registry.shapes import LINE, RECORD_ID, TEXT, members, pattern, whole

CLOCK_RESOLUTION = 1.0  # seconds: the Date of a response has no fractions
TRIES = 5
LEASE = "lease"
FORM = members(
    place=TEXT, id=LINE, holder=LINE, token=RECORD_ID, process=pattern(r"(.+ [1-9][0-9]{0,8} [0-9]{1,20})?", 500),
    until=core_schema.union_schema([whole(0, 10**12), core_schema.decimal_schema(ge=Decimal(0), strict=True)]),
)  # fmt: skip
MINE = "#token = :mine"
STATE, BEGAN = 0, 19
"""The fields of /proc/PID/stat after the name that contain a process's state and its start in clock ticks."""
OVER = ("Z", "X")  # states of a process that has exited but was not waited for


@dataclass
class LeaseManager:
    """The leases of this process in a table."""

    table: Table
    seconds: float
    held: dict[str, str] = field(default_factory=dict)  # by experiment, the token with which its lease is ours
    _over: threading.Event = field(default_factory=threading.Event)
    _renewing: threading.Thread | None = None

    @contextmanager
    def holding(self, experiment: str, script: str) -> Iterator[None]:
        """Hold an experiment's lease. Raises LockHeld that names who holds it, where and since when."""
        token = self._take(experiment, script)
        self.held[experiment] = token
        self._renew_in_time()
        try:
            yield
        finally:
            del self.held[experiment]
            with suppress(ConditionFailed, UserError):  # it is somebody else's by now, or expires
                self.table.delete(lease_key(experiment), **_condition(MINE, mine=token))

    def holder(self, experiment: str) -> str:
        """Return who holds an experiment, in words; an empty string if nobody does."""
        found = self._found(experiment)
        return str(found["holder"]) if found and not self._is_over(found) else ""

    def condition_check(self, experiment: str) -> tuple[str, dict[str, Any]]:
        """Return the condition for a transaction that must only succeed while an experiment is held."""
        return "ConditionCheck", {"Key": lease_key(experiment), **_condition(MINE, mine=self.held[experiment])}

    def close(self) -> None:
        """Stop renewing."""
        self._over.set()
        if self._renewing:
            self._renewing.join()

    def lock_owners(self) -> list[LockOwner]:
        leases = map(self._checked, self.table.query(LEASE))
        return [LockOwner(one["id"], one["holder"], alive=not self._is_over(one)) for one in leases]

    def _found(self, experiment: str) -> dict[str, Any] | None:
        found = self.table.get(lease_key(experiment))
        return self._checked(found) if found else None

    def _checked(self, lease: dict[str, Any]) -> dict[str, Any]:
        """Return a lease that was read. Raises UserError if it is invalid: an owner must not be guessed."""
        try:
            held_to(FORM, lease)
        except BadRecord as problem:
            raise UserError(
                f"{self.table.address}: {where_is(lease)}: is not a lease ({problem}); delete it in AWS's console"
            ) from problem
        return lease

    def _take(self, experiment: str, script: str) -> str:
        token = new_id()
        for _ in range(TRIES):
            found = self._found(experiment)
            if found and found["token"] == token:
                return token  # the response to an earlier attempt was lost
            if found and not self._is_over(found):
                raise _held(experiment, found)
            item = {
                **lease_key(experiment),
                "token": token,
                "until": self._until(),
                "holder": f"{script} ({actor()}, since {now()})",
                "process": process_identity(),
            }
            unchanged = (
                _condition("#token = :mine AND #until = :until", mine=found["token"], until=found["until"])
                if found
                else {"ConditionExpression": "attribute_not_exists(place)"}
            )
            try:
                self.table.put(item, **unchanged)
            except ConditionFailed:
                continue  # somebody was faster, or the owner is alive after all: check again
            return token
        raise LockHeld(f"{experiment} is in use by many at once; try again")

    def _is_over(self, found: dict[str, Any]) -> bool:
        return self.table.server_time() > float(found["until"]) or is_dead(found["process"])

    def _until(self) -> Decimal:
        return Decimal(f"{self.table.server_time() + self.seconds + CLOCK_RESOLUTION:.3f}")

    def _renew_in_time(self) -> None:
        if self._renewing is None:
            self._renewing = threading.Thread(target=self._renew, name="leases", daemon=True)
            self._renewing.start()

    def _renew(self) -> None:
        while not self._over.wait(self.seconds / 3):
            for experiment, token in list(self.held.items()):
                # If a lease is lost or cannot be renewed now, the next intent reports it.
                with suppress(ConditionFailed, UserError):
                    self.table.update(
                        lease_key(experiment), UpdateExpression="SET #until = :until",
                        **_condition(MINE, mine=token, until=self._until(), names=("#until",)),
                    )  # fmt: skip


def lease_key(experiment: str) -> dict[str, Any]:
    return {"place": LEASE, "id": experiment}


def _condition(expression: str, *, mine: str, until: Decimal | None = None, names: tuple[str, ...] = ()) -> Any:
    """Return a condition with its values and names, because `token` and `until` are reserved words."""
    values = {":mine": mine, **({":until": until} if until is not None else {})}
    used = {name: name[1:] for name in ("#token", "#until") if name in expression or name in names}
    return {"ConditionExpression": expression, "ExpressionAttributeNames": used, "ExpressionAttributeValues": values}


def _held(experiment: str, found: dict[str, Any]) -> LockHeld:
    return LockHeld(f"{experiment} is locked by {found['holder']}; wait for it to finish, then try again")


def process_identity() -> str:
    """Return the identity of this process among all computers; an empty string if the system does not provide it.

    It consists of the boot id, the PID namespace, the PID and the start time (man 5 proc).
    """
    place, started = _place(), _started_at(os.getpid())
    return f"{place} {os.getpid()} {started[BEGAN]}" if place and started else ""


def is_dead(identity: str) -> bool:
    """Return whether a process has certainly exited: it ran in this boot and namespace, and no longer exists.

    If /proc hides other users' processes (hidepid, man 5 proc), only a missing PID is certain.
    """
    place, _, process = identity.rpartition(" ")[0].rpartition(" ")
    if not place or place != _place():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it belongs to somebody else, and exists
    started = _started_at(int(process))
    return bool(started) and (started[STATE] in OVER or started[BEGAN] != identity.rpartition(" ")[2])


def _place() -> str:
    """Return this computer's boot and PID namespace; an empty string if the system does not provide them."""
    if sys.platform != "linux":
        return ""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started_at(process: int) -> list[str]:
    """Return the fields of a process after its name; an empty list if it does not exist or is hidden."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return stat.rpartition(")")[2].split()
