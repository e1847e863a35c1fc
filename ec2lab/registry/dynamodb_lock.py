"""Leases: one experiment, one actor, wherever the actors are.

A lease ends by itself by AWS's clock, which the Date of its answers tells, so that nobody's own clock matters. Whoever
lost one can write no intent and no decision any more: each is written together with the condition that the lease is
still his.
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

CLOCK_RESOLUTION = 1.0
"""Seconds: the Date of an answer has no fractions."""
TRIES = 5
LEASE = "lease"
"""The partition that leases stand in."""
FORM = members(
    place=TEXT, id=LINE, holder=LINE, token=RECORD_ID, process=pattern(r"(.+ [1-9][0-9]{0,8} [0-9]{1,20})?", 500),
    until=core_schema.union_schema([whole(0, 10**12), core_schema.decimal_schema(ge=Decimal(0), strict=True)]),
)  # fmt: skip
"""What each lease has."""
MINE = "#token = :mine"
STATE, BEGAN = 0, 19
"""Where the fields of /proc/PID/stat behind the name tell a process's state, and the clock tick in which it began."""
OVER = ("Z", "X")
"""States of a process that has ended, and that nobody has asked after yet."""


@dataclass
class LeaseManager:
    """The leases that this process holds in a table."""

    table: Table
    seconds: float
    held: dict[str, str] = field(default_factory=dict)
    """Experiment -> the token by which its lease is ours."""
    _over: threading.Event = field(default_factory=threading.Event)
    _renewing: threading.Thread | None = None

    @contextmanager
    def holding(self, experiment: str, script: str) -> Iterator[None]:
        """Hold an experiment. Raises LockHeld, which names who holds it, where and since when."""
        token = self._take(experiment, script)
        self.held[experiment] = token
        self._renew_in_time()
        try:
            yield
        finally:
            del self.held[experiment]
            with suppress(ConditionFailed, UserError):  # it is another's by now, or ends by itself
                self.table.delete(lease_key(experiment), **_condition(MINE, mine=token))

    def holder(self, experiment: str) -> str:
        """Return who holds an experiment, in words; nothing where nobody does."""
        found = self._found(experiment)
        return str(found["holder"]) if found and not self._is_over(found) else ""

    def condition_check(self, experiment: str) -> tuple[str, dict[str, Any]]:
        """Return what a transaction is conditioned on, so that it is done only while an experiment is held."""
        return "ConditionCheck", {"Key": lease_key(experiment), **_condition(MINE, mine=self.held[experiment])}

    def close(self) -> None:
        """End the renewing."""
        self._over.set()
        if self._renewing:
            self._renewing.join()

    def lock_owners(self) -> list[LockOwner]:
        """Return who has a lease, and who let one run out or died with it. Raises UserError where one can't be read."""
        leases = map(self._checked, self.table.query(LEASE))
        return [LockOwner(one["id"], one["holder"], alive=not self._is_over(one)) for one in leases]

    def _found(self, experiment: str) -> dict[str, Any] | None:
        found = self.table.get(lease_key(experiment))
        return self._checked(found) if found else None

    def _checked(self, lease: dict[str, Any]) -> dict[str, Any]:
        """Return a lease that was read. Raises UserError where it is none: who holds what is not to be guessed."""
        try:
            held_to(FORM, lease)
        except BadRecord as problem:
            raise UserError(
                f"{self.table.address}: {where_is(lease)}: is no lease ({problem}); delete it in AWS's console"
            ) from problem
        return lease

    def _take(self, experiment: str, script: str) -> str:
        token = new_id()
        for _ in range(TRIES):
            found = self._found(experiment)
            if found and found["token"] == token:
                return token  # the answer to an earlier try was lost
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
                continue  # somebody was faster, or it lives after all: look again
            return token
        raise LockHeld(f"{experiment} is wanted by many at once; try again")

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
                # Where a lease is lost or can't be renewed now, the next intent says so.
                with suppress(ConditionFailed, UserError):
                    self.table.update(
                        lease_key(experiment), UpdateExpression="SET #until = :until",
                        **_condition(MINE, mine=token, until=self._until(), names=("#until",)),
                    )  # fmt: skip


def lease_key(experiment: str) -> dict[str, Any]:
    """Return where the lease of an experiment stands."""
    return {"place": LEASE, "id": experiment}


def _condition(expression: str, *, mine: str, until: Decimal | None = None, names: tuple[str, ...] = ()) -> Any:
    """Return a condition with its values and the names in it; `token` and `until` are no words of ours alone."""
    values = {":mine": mine, **({":until": until} if until is not None else {})}
    used = {name: name[1:] for name in ("#token", "#until") if name in expression or name in names}
    return {
        "ConditionExpression": expression,
        "ExpressionAttributeNames": used,
        "ExpressionAttributeValues": values,
    }


def _held(experiment: str, found: dict[str, Any]) -> LockHeld:
    return LockHeld(f"{experiment} is being worked on by {found['holder']}; wait for it to end, then try again")


def process_identity() -> str:
    """Return what names this process and no other on any instance, or nothing where the system does not tell.

    The boot's id, the namespace of process numbers, the number, and when it began (man 5 proc).
    """
    place, told = _place(), _told_of(os.getpid())
    return f"{place} {os.getpid()} {told[BEGAN]}" if place and told else ""


def is_dead(identity: str) -> bool:
    """Say whether a process is surely over: it was of this boot and namespace, and is not there any more.

    Where /proc hides other people's processes (hidepid, man 5 proc), only that there is none of its number is sure.
    """
    place, _, process = identity.rpartition(" ")[0].rpartition(" ")
    if not place or place != _place():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it is somebody else's, and there
    told = _told_of(int(process))
    return bool(told) and (told[STATE] in OVER or told[BEGAN] != identity.rpartition(" ")[2])


def _place() -> str:
    """Return which boot of which instance this is, and which namespace; nothing where the system does not tell."""
    if sys.platform != "linux":
        return ""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _told_of(process: int) -> list[str]:
    """Return the fields of a process behind its name; nothing where there is none, or where it is hidden."""
    try:
        told = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return told.rpartition(")")[2].split()
