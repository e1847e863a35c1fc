"""An account on the machine for every member, with their keys and no password, and an sshd that takes keys alone."""

from __future__ import annotations

from scripts.core.accounts import DOCUMENT, HARDENING, PROGRAM, document
from scripts.core.launch_part import LaunchPart, Share, Site
from scripts.core.render import text_of


class Members(LaunchPart):
    """One account for each file in members/."""

    name = "members"
    order = 15
    """Before the volumes, whose mount points may belong to a member."""

    def share(self, site: Site) -> Share:
        """Return the programs that make the accounts and harden sshd, and their document.

        They run last in cloud-init's order, so that a shell or a group that a package brings is there; until then
        nobody can log in, the image's own account included, which no key opens.
        """
        accounts = document(site.session.members(), site.session.lab.accounts)
        return Share(
            cloud_init={
                "users": ["default"],
                "write_files": [
                    {"path": PROGRAM, "permissions": "0755", "content": text_of("accounts.py")},
                    {"path": DOCUMENT, "permissions": "0600", "content": accounts.as_json()},
                    {"path": HARDENING, "permissions": "0755", "content": text_of("sshd-hardening.py")},
                ],
                "runcmd": [
                    [PROGRAM, "--console", DOCUMENT],
                    *([[HARDENING, "--console", "apply"]] if accounts.members else []),
                ],
            }
        )
