"""Instances that terminate themselves: a timer or an idle check powers them off, and that terminates them."""

from __future__ import annotations

from ec2lab.aws.tags import IDLE, TTL
from ec2lab.hosts.program_packer import sent, unit
from ec2lab.instances.ttl import DIRECTORY, UNITS, at_boot
from ec2lab.launch.part import LaunchContext, LaunchFragment, LaunchPart, write_files
from ec2lab.templates import render, text_of
from ec2lab.units import duration_text


class TimeToLive(LaunchPart):
    name = "time-to-live"
    order = 10
    """First among the boot commands: a set-up that hangs must not keep the instance running."""

    def share(self, site: LaunchContext) -> LaunchFragment:
        if site.experiment.ttl is None:
            return LaunchFragment()
        return LaunchFragment(
            cloud_init={
                "write_files": write_files({f"{DIRECTORY}/{UNITS[0]}": ("0644", unit(text_of(UNITS[0])))}),
                "bootcmd": [at_boot(int(site.experiment.ttl.total_seconds()))],
                "runcmd": [["systemctl", "--no-reload", "enable", "--now", UNITS[0]]],
            },
            tags={TTL: duration_text(site.experiment.ttl)},
        )


PROGRAM = "/opt/ec2-lab/idle-shutdown"
UNIT = "ec2-lab-idle.service"


class Idle(LaunchPart):
    name = "idle"
    order = 17
    """Next to the accounts program, with which it compresses best."""

    def share(self, site: LaunchContext) -> LaunchFragment:
        if site.experiment.idle_timeout is None:
            return LaunchFragment()
        seconds = int(site.experiment.idle_timeout.total_seconds())
        text = render(f"{UNIT}.j2", seconds=seconds, waits=site.experiment.needs_code_upload)
        files = {
            PROGRAM: ("0755", sent("idle-shutdown.py")),
            f"{DIRECTORY}/{UNIT}": ("0644", unit(text)),
        }
        return LaunchFragment(
            cloud_init={
                "write_files": write_files(files),
                "runcmd": [["systemctl", "--no-reload", "enable", "--now", UNIT]],
            },
            tags={IDLE: duration_text(site.experiment.idle_timeout)},
        )
