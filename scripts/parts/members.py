"""An account on the machine for every member, with their keys and no password."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scripts.core.config import Member
from scripts.core.launch_part import LaunchPart, Share, Site


class Members(LaunchPart):
    """One account for each file in members/."""

    name = "members"
    order = 30

    def share(self, site: Site) -> Share:
        """Return cloud-init's users: the image's own, which no key opens, and the members."""
        members = site.session.members()
        return Share(cloud_init={"users": ["default", *(account(name, m) for name, m in members.items())]})


def account(name: str, member: Member) -> Mapping[str, Any]:
    """Return the cloud-init user of a member
    (https://docs.cloud-init.io/en/latest/reference/modules.html#users-and-groups).
    """  # noqa: D205
    # Nobody has a password, so whoever may use sudo needs none for it.
    rights = {"sudo": "ALL=(ALL) NOPASSWD:ALL"} if "sudo" in member.groups else {}
    return {
        "name": name,
        "groups": list(member.groups),
        "shell": member.shell,
        "lock_passwd": True,
        "ssh_authorized_keys": list(member.keys),
        **rights,
    }
