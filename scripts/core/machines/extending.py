"""Setting anew when an experiment's machines end: on each machine, read back there, then in its tags and on record."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from scripts.core import clock
from scripts.core.aws.aws_errors import AWS_ERRORS, reason
from scripts.core.aws.tags import ENDS, TTL, as_tags
from scripts.core.current_experiment import Threads
from scripts.core.errors import LabError
from scripts.core.hosts.host_program import sent
from scripts.core.hosts.hosts import hosts_of, machines_of, region_of, ssh_files
from scripts.core.hosts.remote import Host
from scripts.core.hosts.said import LAST_MOMENT, number_said
from scripts.core.lab.values import duration, duration_text
from scripts.core.machines.deadline import DEADLINE, DIRECTORY, EACH_BOOT, NEVER, UNITS, at_boot
from scripts.core.machines.time_left import NEVER as NO_END
from scripts.core.machines.time_left import as_text, began_anew, end_of
from scripts.core.render import text_of
from scripts.core.session import Session

EXTENDED = "extended"
"""The note by which the lab says that a machine's end was set anew: `instance`, `ends`, `before`."""
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class NewEnd:
    """A machine's end, as it was set and read back."""

    name: str
    instance: str
    ends: str
    """RFC 3339, or "never"."""
    before: str
    """The same of before; empty where it had none."""


def length_in(text: str) -> timedelta | None:
    """Read TTL: a length from now, or "never" (None). Raises LabError."""
    if not text:
        raise LabError("TTL: for how long from now? (TTL=4h; TTL=never lets it run on until somebody ends it)")
    if text in (NO_END, "none"):
        return None
    try:
        length: timedelta = duration(text)
    except ValueError as problem:
        raise LabError(f"TTL: {problem}; TTL=never lets it run on until somebody ends it") from problem
    if length < SHORTEST:
        raise LabError(f"TTL: {text} is over before it is set (at least 1m); `make teardown` ends it at once")
    if length > LONGEST:
        raise LabError(f"TTL: {text} is as good as never; say TTL=never")
    return length


def write_down_new_ends(
    session: Session, machines: Sequence[Mapping[str, Any]], say: Callable[[str], None]
) -> list[tuple[str, str]]:
    """Tag machines whose time began anew at a start with the end that they have now; return (instance, end) of each.

    Where AWS refuses, the machine ends all the same: that is only said.
    """
    found = [(machine, as_text(end)) for machine in machines if (end := began_anew(machine))]
    for machine, ends in found:
        try:
            _tag(session, machine, {ENDS: ends})
        except AWS_ERRORS as problem:
            why = reason(problem)
            say(f"{machine['InstanceId']}: its new end is not in its tags, so status may tell another: {why}")
    return [(machine["InstanceId"], ends) for machine, ends in found]


def _tag(session: Session, machine: Mapping[str, Any], tags: Mapping[str, str]) -> None:
    ec2, ids = session.cloud.ec2(region_of(machine)), [machine["InstanceId"]]
    ec2.create_tags(Resources=ids, Tags=as_tags(tags))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Extension:
    """The new end of one experiment's machines: `length` from now, or none."""

    session: Session
    experiment: str
    length: timedelta | None
    heard: Callable[[NewEnd], None]

    def run(self) -> None:
        """Set it on every machine; one that can't be reached keeps no other from it. Raises LabError, naming it."""
        machines = machines_of(self.session, self.experiment)
        if not machines:
            raise LabError(f"{self.experiment}: no machine of it lives; `make status` shows what does")
        running = [machine for machine in machines if machine["State"]["Name"] == "running"]
        problems = [f"{machine['InstanceId']} does not run" for machine in machines if machine not in running]
        for machine, (name, ends) in zip(running, self._on_the_machines(running), strict=True):
            if isinstance(ends, LabError):
                problems.append(str(ends))
            else:
                self._write_down(machine, name, ends)
        if problems:
            raise LabError(f"{'; '.join(problems)}; the new end is not known to hold there, extend it again")

    def _on_the_machines(self, running: list[Mapping[str, Any]]) -> list[tuple[str, int | LabError]]:
        """Return each machine's name and its new end, in seconds since 1970, or why it has none."""
        if not self.session.boot_seconds and not self.session.cloud.boot_seconds:
            return [(machine["InstanceId"], self._from_now()) for machine in running]
        files = ssh_files(self.session)
        hosts = {files.instance_of(host.name): host for host in hosts_of(self.session, self.experiment)}
        with Threads(max(len(running), 1)) as setting:
            return list(setting.map(lambda machine: self._on(hosts[machine["InstanceId"]]), running))

    def _from_now(self) -> int:
        return int((clock.now() + self.length).timestamp()) if self.length else NEVER

    def _on(self, host: Host) -> tuple[str, int | LabError]:
        try:
            told = host.run_as_root(sent("set-end.py"), json.dumps(self._told()))
            return host.name, number_said(told, 0, LAST_MOMENT, host.name)
        except LabError as problem:
            return host.name, problem

    def _told(self) -> dict[str, Any]:
        """Return what the program on a machine is told: all that the timer is made of, for it may have none."""
        files = {f"{DIRECTORY}/{unit}": text_of(unit) for unit in UNITS}
        told: dict[str, Any] = {"timer": UNITS[0], "deadline": DEADLINE, "files": files}
        if self.length is None:
            return {**told, "moment": NEVER}
        seconds = int(self.length.total_seconds())
        # A machine that was launched without a ttl has nothing else that sets a deadline anew after a stop.
        files[EACH_BOOT] = f"#!/bin/sh\nexec {shlex.join(at_boot(seconds))}\n"
        return {**told, "seconds": seconds}

    def _write_down(self, machine: Mapping[str, Any], name: str, ends: int) -> None:
        """Tag the machine, so that everybody knows, and note it."""
        identity, before = machine["InstanceId"], end_of(machine)
        moment = as_text(datetime.fromtimestamp(ends, UTC)) if self.length else NO_END
        tags = {ENDS: moment, **({TTL: duration_text(self.length)} if self.length else {})}
        _tag(self.session, machine, tags)
        new = NewEnd(name, identity, moment, as_text(before) if before else "")
        self.session.recorder.note(**{EXTENDED: {"instance": identity, "ends": new.ends, "before": new.before}})
        self.heard(new)
