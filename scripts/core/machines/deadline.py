"""The deadline of a machine, as it stands on the machine: in a drop-in of the timer that powers it off."""

from __future__ import annotations

DIRECTORY = "/etc/systemd/system"
POWER_OFF = "ec2-lab-power-off@.service"
"""What every instance has that powers itself off, whatever for: its instances are named ttl, idle, completion."""
UNITS = ("ec2-lab-time-to-live.timer", POWER_OFF)
"""The timer, and what it starts."""
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
"""The deadline is a moment, so that a reboot does not put it off. A machine that was stopped, and started when it had
passed, would never meet it: its time begins anew, as long as was last said (`make extend` says another length). Run
at each boot, the first before there is a timer."""
NEVER = 4102444800
"""2100-01-01, for a machine that is not to end: as it is to come, nothing begins anew at a boot."""
EACH_BOOT = "/var/lib/cloud/scripts/per-boot/ec2-lab-time-to-live"
"""cloud-init runs it at each boot: on a machine that was launched without a ttl, nothing else would."""


def at_boot(seconds: int) -> list[str]:
    """Return the command that sets the deadline at a boot, where there is none to come."""
    return ["sh", "-c", SET, DEADLINE, UNITS[0], str(seconds)]
