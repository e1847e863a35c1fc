"""An instance that nothing is done on ends by itself: a program looks once a minute, and powers it off."""

from __future__ import annotations

from ec2lab.aws.tags import IDLE
from ec2lab.hosts.program_packer import sent, unit
from ec2lab.launch.part import LaunchContext, LaunchFragment, LaunchPart
from ec2lab.templates import render
from ec2lab.units import duration_text

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
