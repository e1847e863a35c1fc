"""An instance ends by itself: a timer powers it off, and an instance that is powered off is terminated."""

from __future__ import annotations

from ec2lab.aws.tags import TTL
from ec2lab.hosts.program_packer import unit
from ec2lab.instances.ttl import DIRECTORY, UNITS, at_boot
from ec2lab.launch.part import LaunchContext, LaunchFragment, LaunchPart
from ec2lab.templates import text_of
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
