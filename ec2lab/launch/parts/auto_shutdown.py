"""An instance ends by itself: a timer powers it off, or a program that finds it idle. Powered off, it is terminated."""

from __future__ import annotations

from ec2lab.aws.tags import IDLE, TTL
from ec2lab.hosts.program_packer import sent, unit
from ec2lab.instances.ttl import DIRECTORY, UNITS, at_boot
from ec2lab.launch.part import LaunchContext, LaunchFragment, LaunchPart
from ec2lab.templates import render, text_of
from ec2lab.units import duration_text


class TimeToLive(LaunchPart):
    """The timer, where the experiment has a ttl."""

    name = "time-to-live"
    order = 10
    """First of what runs at boot: a set-up that hangs must not keep the instance alive."""

    def share(self, site: LaunchContext) -> LaunchFragment:
        """Return the timer, and what sets its deadline at the first boot."""
        if site.experiment.ttl is None:
            return LaunchFragment()
        return LaunchFragment(
            cloud_init={
                "write_files": [
                    {"path": f"{DIRECTORY}/{name}", "permissions": "0644", "content": unit(text_of(name))}
                    for name in UNITS[:1]
                ],
                "bootcmd": [at_boot(int(site.experiment.ttl.total_seconds()))],
                "runcmd": [["systemctl", "--no-reload", "enable", "--now", UNITS[0]]],
            },
            tags={TTL: duration_text(site.experiment.ttl)},
        )


PROGRAM = "/opt/ec2-lab/idle-shutdown"
UNIT = "ec2-lab-idle.service"


class Idle(LaunchPart):
    """The program and its unit, where the experiment has an idle."""

    name = "idle"
    order = 17
    """Its program stands near that of the accounts, with which it compresses best."""

    def share(self, site: LaunchContext) -> LaunchFragment:
        """Return the program, its unit, and the tag that tells of it."""
        if site.experiment.idle_timeout is None:
            return LaunchFragment()
        seconds = int(site.experiment.idle_timeout.total_seconds())
        text = render(f"{UNIT}.j2", seconds=seconds, waits=site.experiment.needs_code_upload)
        return LaunchFragment(
            cloud_init={
                "write_files": [
                    {"path": PROGRAM, "permissions": "0755", "content": sent("idle-shutdown.py")},
                    {"path": f"/etc/systemd/system/{UNIT}", "permissions": "0644", "content": unit(text)},
                ],
                "runcmd": [["systemctl", "--no-reload", "enable", "--now", UNIT]],
            },
            tags={IDLE: duration_text(site.experiment.idle_timeout)},
        )
