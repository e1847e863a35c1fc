"""A machine ends by itself: a timer powers it off, and a machine that is powered off is terminated."""

from __future__ import annotations

from scripts.core.launch_part import LaunchPart, Share, Site
from scripts.core.render import text_of

DIRECTORY = "/etc/systemd/system"
UNITS = ("ec2-lab-time-to-live.timer", "ec2-lab-time-to-live.service")
DEADLINE = f"{DIRECTORY}/{UNITS[0]}.d/deadline.conf"
SET = """\
now=$(date +%s)
ends=0
[ -e "$0" ] && ends=$(sed -n 's/OnCalendar=@//p' "$0")
[ "$ends" -gt "$now" ] && exit
mkdir -p "${0%/*}"
printf '[Timer]\\nOnCalendar=@%s\\n' "$((now + $2))" > "$0"
[ -e "${0%.d/*}" ] || exit 0
systemctl daemon-reload
systemctl --no-block restart "$1"
"""
"""The deadline is a moment, so that a reboot does not put it off. A machine that was stopped, and started when it had
passed, would never meet it: its time begins anew. Run at each boot, the first before there is a timer."""


class TimeToLive(LaunchPart):
    """The timer, where the experiment has a ttl."""

    name = "time-to-live"
    order = 10
    """First of what runs at boot: a set-up that hangs must not keep the machine alive."""

    def share(self, site: Site) -> Share:
        """Return the timer, and what sets its deadline at the first boot."""
        if site.experiment.ttl is None:
            return Share()
        seconds = str(int(site.experiment.ttl.total_seconds()))
        return Share(
            cloud_init={
                "write_files": [
                    {"path": f"{DIRECTORY}/{unit}", "permissions": "0644", "content": text_of(unit)} for unit in UNITS
                ],
                "bootcmd": [["sh", "-c", SET, DEADLINE, UNITS[0], seconds]],
                "runcmd": [["systemctl", "daemon-reload"], ["systemctl", "enable", "--now", UNITS[0]]],
            }
        )
