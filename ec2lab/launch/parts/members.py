"""An account for each member on the instance, with their keys and no password, and an sshd that accepts only keys."""

from __future__ import annotations

from ec2lab.config.lab_files import load_members
from ec2lab.hosts.accounts_document import DOCUMENT, OVER_SSH, PROGRAM, boot_members, document
from ec2lab.hosts.inventory import login_name
from ec2lab.hosts.program_packer import sent, sshd_drop_in
from ec2lab.launch.part import LaunchContext, LaunchFragment, LaunchPart, write_files

KEYS_ON_SERIAL_CONSOLE = (
    'case "$(cat /sys/class/tty/console/active)" in *ttyS0) ;; '
    "*ttyS0*) /usr/lib*/cloud-init/write-ssh-key-fingerprints >/dev/ttyS0 ;; esac"
)
"""cloud-init prints the host keys to /dev/console, the kernel's last console; EC2 shows the serial one. On Rocky 9 and
RHEL they differ (console=ttyS0,115200n8 console=tty0)."""


DONE = "/var/lib/ec2-lab/instance/members"
ONCE = f"test -e {DONE} || {{ touch {DONE}; {PROGRAM} --at-boot {DOCUMENT}; }}"
"""Once per instance: user data has the members of the launch, and after a `cloud-init clean` it would restore members
who were removed since."""


class Members(LaunchPart):
    name = "members"
    order = 15
    """Before the volumes, whose mount points may belong to a member."""

    def share(self, site: LaunchContext) -> LaunchFragment:
        """Return the program that creates the accounts, its document, and sshd's drop-in.

        It runs late, so that shells and groups of installed packages exist. Until then nobody can log in, not even the
        image's own account, which has no key.

        cloud-init's `users` module is not used: it adds the key to an account that the image already has and locks its
        password (22.4, 25.1: Distro.create_user), stops at the first user that useradd refuses, so that the others get
        no account, and takes over an existing home of a member's name, whoever owns it.
        """
        session = site.session
        first = login_name(session.directory) if session.cloud.boot_timeout else None
        members = load_members(session.directory)
        accounts = document(members, session.lab.accounts, only=boot_members(members, first, site.experiment))
        drop_in, settings = sshd_drop_in()
        files = {
            # Before sshd's first start: nothing to reload, and nobody to lock out.
            drop_in: ("0644", settings),
            PROGRAM: ("0755", sent("accounts.py", *OVER_SSH)),
            DOCUMENT: ("0600", accounts.as_json()),
        }
        return LaunchFragment(
            cloud_init={
                "users": ["default"],
                "ssh": {"emit_keys_to_console": True},
                "write_files": write_files(files),
                "runcmd": [KEYS_ON_SERIAL_CONSOLE, ONCE],
            }
        )
