"""Login names that all images accept; shared with the program on the host.

`templates/accounts.py` imports it and is sent with it inlined, so it supports Python 3.9.
"""

from __future__ import annotations

import re

LONGEST_LOGIN = 32
LOGIN = rf"[a-z_](?:[a-z0-9_.-]{{0,{LONGEST_LOGIN - 2}}}[a-z0-9_-])?"
"""Names that useradd accepts on all images: RHEL's and Amazon Linux's [a-zA-Z0-9_.][a-zA-Z0-9_.-]{0,30}, Debian's and
Ubuntu's anything without space, colon, comma or slash (shadow, lib/chkname.c; useradd(8), CAVEATS). Of those, the ones
that systemd accepts in its relaxed mode (https://systemd.io/USER_NAMES) and that stay unique on a case-insensitive
disk."""
IMAGE_USERS = frozenset(  # accounts of images, and the one that runs an experiment's command
    {"admin", "centos", "debian", "ec2-user", "experiment", "fedora", "nobody", "rocky", "root", "ssm-user", "ubuntu"}
)
SYSTEM_NAMES = frozenset({
    "_apt", "_chrony", "adm", "audio", "avahi", "backup", "bin", "cdrom", "chrony", "cockpit-ws", "crontab",
    "daemon", "dbus", "dialout", "dip", "disk", "dnsmasq", "docker", "ec2-instance-connect", "fax", "floppy", "ftp",
    "fwupd-refresh", "games", "gnats", "halt", "input", "irc", "kmem", "kvm", "landscape", "libvirt", "list", "lp",
    "lxd", "mail", "man", "messagebus", "mysql", "netdev", "news", "nogroup", "ntp", "nvidia-persistenced",
    "operator", "plugdev", "polkitd", "pollinate", "postfix", "postgres", "proxy", "redis", "render", "rngd", "rpc",
    "rpcuser", "sasl", "sgx", "shadow", "shutdown", "slurm", "src", "sshd", "ssl-cert", "sssd", "staff", "statd",
    "stapunpriv", "sudo", "sync", "sys", "syslog", "systemd-coredump", "systemd-journal", "systemd-network",
    "systemd-oom", "systemd-resolve", "systemd-timesync", "tape", "tcpdump", "tss", "tty", "unbound", "usbmux",
    "users", "utmp", "uucp", "uuidd", "video", "voice", "wheel", "www-data",
})  # fmt: skip
"""Accounts and groups of packages of Debian, Ubuntu, Amazon Linux and RHEL: a member's group has the member's name, and
useradd creates no existing name."""


def valid_login(name: str) -> str:
    """Return a valid login name. Raises ValueError with the reason."""
    if len(name) > LONGEST_LOGIN:
        message = f"{name[:LONGEST_LOGIN]!r}… has {len(name)} characters; {LONGEST_LOGIN} is the most (useradd)"
        raise ValueError(message)
    if name in IMAGE_USERS or name in SYSTEM_NAMES:
        message = f"{name!r} can't be a login name: images have an account or a group of that name; choose another"
        raise ValueError(message)
    if not re.fullmatch(LOGIN, name):
        message = f"{name!r} can't be a login name: {_fault_of(name)}"
        raise ValueError(message)
    return name


def _fault_of(name: str) -> str:
    wrong = next((character for character in name if not re.match(r"[a-z0-9_.-]", character)), "")
    if not name:
        return "it is empty"
    if "A" <= wrong <= "Z":
        return f"it has a capital {wrong}, and names that differ in capitals alone would be one file on some disks"
    if wrong:
        return f"it has {wrong!r} (U+{ord(wrong):04X}); letters a to z, digits, - _ and . may be in it"
    return f"it ends with {name[-1]!r}" if re.match(r"[a-z_]", name) else f"it begins with {name[0]!r}, not a letter"
