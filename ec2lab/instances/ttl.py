"""Changes when an experiment's instances expire: on each instance, read back, then in its tags and the registry."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ec2lab import clock
from ec2lab.aws.cloud import Cloud
from ec2lab.aws.errors import AWS_ERRORS, reason
from ec2lab.aws.tag_forms import NEVER as NO_END
from ec2lab.aws.tags import EXPIRES_AT, TTL, to_aws
from ec2lab.context import ContextThreadPool
from ec2lab.errors import UserError
from ec2lab.events import Emit, Step
from ec2lab.events.launch import ExpirySet
from ec2lab.hosts.inventory import absent, instances_of, region_of
from ec2lab.hosts.named_hosts import running_hosts
from ec2lab.hosts.program_packer import program
from ec2lab.hosts.protocol import parse_moment
from ec2lab.hosts.ssh import Host
from ec2lab.hosts.ssh_config import SshConfig
from ec2lab.instance_state import InstanceState, state_of
from ec2lab.resources.expiry import as_text, expires_at, restarted_expiry
from ec2lab.session import Session
from ec2lab.templates import text_of
from ec2lab.units import duration_in, duration_text

EXPIRY_SET = "expiry_set"  # the annotation that an instance's expiry was changed: `instance`, `ends`, `before`
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=3650)


def parse_ttl(text: str) -> timedelta | None:
    if not text:
        raise UserError("TTL: how long from now? (TTL=4h; TTL=never removes the expiry)")
    if text in (NO_END, "none"):
        return None
    length = duration_in("TTL", text)
    if length < SHORTEST:
        raise UserError(f"TTL: {text} is too short (at least 1m); `make teardown` terminates it at once")
    if length > LONGEST:
        raise UserError(f"TTL: {text} is too long; use TTL=never for no expiry")
    return length


def tag_new_expiry(session: Session, experiment: str, instances: Sequence[Mapping[str, Any]], emit: Emit) -> None:
    """Tag instances whose time began again at a start. They expire even if AWS refuses, so that is only reported."""
    found = [(instance, as_text(end)) for instance in instances if (end := restarted_expiry(instance))]
    for instance, ends in found:
        try:
            _tag(session.cloud, instance, {EXPIRES_AT: ends})
        except AWS_ERRORS as problem:
            why = reason(problem)
            text = f"{instance['InstanceId']}: its new expiry is not in its tags, so status may show another: {why}"
            emit(Step(experiment=experiment, message=text))
        emit(ExpirySet(experiment=experiment, id=instance["InstanceId"], expires_at=ends, previous=""))


def _tag(cloud: Cloud, instance: Mapping[str, Any], tags: Mapping[str, str]) -> None:
    ec2, ids = cloud.ec2(region_of(instance)), [instance["InstanceId"]]
    ec2.create_tags(Resources=ids, Tags=to_aws(tags))  # type: ignore[arg-type]


@dataclass(frozen=True)
class TtlChange:
    """The new expiry of one experiment's instances: `length` from now, or none."""

    session: Session
    experiment: str
    length: timedelta | None
    emit: Emit

    def run(self) -> None:
        """Set it on every instance; an unreachable one does not stop the others. Raises UserError, naming it."""
        instances = instances_of(self.session, self.experiment)
        if not instances:
            raise absent(self.session, self.experiment, "no live instance")
        running = [instance for instance in instances if state_of(instance) is InstanceState.RUNNING]
        problems = [f"{instance['InstanceId']} does not run" for instance in instances if instance not in running]
        for instance, (name, ends) in zip(running, self._on_the_instances(running), strict=True):
            if isinstance(ends, UserError):
                problems.append(str(ends))
            else:
                self._write_down(instance, name, ends)
        if problems:
            raise UserError(f"{'; '.join(problems)}; the new expiry may not be set there; run make ttl-set again")

    def _on_the_instances(self, running: list[Mapping[str, Any]]) -> list[tuple[str, int | UserError]]:
        if not self.session.cloud.instances_boot:
            return [(instance["InstanceId"], self._from_now()) for instance in running]
        files = SshConfig(self.session.directory)
        hosts = {files.instance_of(host.name): host for host in running_hosts(self.session, self.experiment)}
        with ContextThreadPool(max(len(running), 1)) as setting:
            return list(setting.map(lambda instance: self._on(hosts[instance["InstanceId"]]), running))

    def _from_now(self) -> int:
        return int((clock.now() + self.length).timestamp()) if self.length else NEVER

    def _on(self, host: Host) -> tuple[str, int | UserError]:
        try:
            output = host.run_as_root(program("set-ttl.py"), json.dumps(self._settings()))
            return host.name, parse_moment(output, host.name)
        except UserError as problem:
            return host.name, problem

    def _settings(self) -> dict[str, Any]:
        """Return the input of the program on an instance: everything that the timer needs, as it may have none."""
        files = {f"{DIRECTORY}/{unit}": text_of(unit) for unit in UNITS}
        settings: dict[str, Any] = {"timer": UNITS[0], "deadline": DEADLINE, "files": files}
        if self.length is None:
            return {**settings, "moment": NEVER}
        seconds = int(self.length.total_seconds())
        # An instance launched without a ttl has nothing else that sets a deadline again after a stop.
        files[f"{DIRECTORY}/{AT_BOOT}"] = text_of(AT_BOOT)
        files[SET_AT_BOOT] = f"#!/bin/sh\nexec {shlex.join(at_boot(seconds))}\n"
        return {**settings, "seconds": seconds, "at_boot": [AT_BOOT]}

    def _write_down(self, instance: Mapping[str, Any], name: str, ends: int) -> None:
        identity, before = instance["InstanceId"], expires_at(instance)
        moment = as_text(datetime.fromtimestamp(ends, UTC)) if self.length else NO_END
        tags = {EXPIRES_AT: moment, **({TTL: duration_text(self.length)} if self.length else {})}
        _tag(self.session.cloud, instance, tags)
        previous = as_text(before) if before else ""
        self.session.recorder.annotate(**{EXPIRY_SET: {"instance": identity, "ends": moment, "before": previous}})
        self.emit(
            ExpirySet(
                experiment=self.experiment,
                id=identity,
                host=name,
                expires_at=moment,
                previous=previous,
                ttl=duration_text(self.length) if self.length else "",
            )
        )


DIRECTORY = "/etc/systemd/system"
POWER_OFF = "ec2-lab-power-off@.service"
"""On every instance that powers itself off, for any reason: its unit instances are ttl, idle and completion."""
UNITS = ("ec2-lab-time-to-live.timer", POWER_OFF)  # the timer, and what it starts
DEADLINE = f"{DIRECTORY}/{UNITS[0]}.d/deadline.conf"
SET = """\
now=$(date +%s)
ends=0
length=
[ -e "$0" ] && ends=$(sed -n 's/OnCalendar=@//p' "$0") && length=$(sed -n 's/^# //p' "$0")
[ "${ends:-0}" -gt "$now" ] && exit
length=${length:-$2}
mkdir -p "${0%/*}"
printf '[Timer]\\nOnCalendar=@%s\\n# %s\\n' "$((now + length))" "$length" > "$0"
[ -e "${0%.d/*}" ] || exit 0
systemctl daemon-reload
systemctl --no-block restart "$1"
"""
"""The deadline is absolute, so that a reboot does not postpone it. An instance that was stopped, and started after its
deadline, would never meet it: its time begins again, with the last duration set (`make ttl-set` sets another). Run at
each boot, at the first one before there is a timer."""
NEVER = 4102444800  # 2100-01-01, for an instance without expiry: as it is in the future, nothing is reset at a boot
AT_BOOT, SET_AT_BOOT = "ec2-lab-restart-ttl.service", "/opt/ec2-lab/restart-ttl"
"""A unit, and what it runs at each boot. Not one of cloud-init's scripts: `cloud-init clean` deletes those."""


def at_boot(seconds: int) -> list[str]:
    """Return the command that sets the deadline at a boot, where there is none in the future."""
    return ["sh", "-c", SET, DEADLINE, UNITS[0], str(seconds)]
