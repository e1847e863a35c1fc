"""The experiment's own command, run on the machine once its data is there."""

from __future__ import annotations

import shlex

from scripts.core.launch_part import LaunchPart, Share, Site
from scripts.core.parameters import as_text
from scripts.core.render import render

SCRIPT = "/opt/ec2-lab/experiment"
UNIT = "/etc/systemd/system/experiment.service"
ACCOUNT = "experiment"
"""The command's own account: not root, but with docker, which on its machine is as good."""


class Command(LaunchPart):
    """A systemd unit that runs the command under an account of its own; its log is `journalctl -u experiment`."""

    name = "command"
    order = 90

    def share(self, site: Site) -> Share:
        """Return the unit, the script and what starts them; nothing where the experiment has no command."""
        if site.experiment.command is None:
            return Share()
        mounts = [data.mount for data in site.experiment.mounted]
        unit = render("experiment.service.j2", experiment=site.name, script=SCRIPT, account=ACCOUNT, mounts=mounts)
        parameters = {name: as_text(value) for name, value in site.experiment.parameters.items()}
        exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in parameters.items())
        script = f"#!/bin/bash\nset -euo pipefail\n{exports}{site.experiment.command.rstrip()}\n"
        account = {"name": ACCOUNT, "groups": ["docker"], "shell": "/bin/bash", "lock_passwd": True}
        return Share(
            cloud_init={
                "users": [account],
                "write_files": [
                    {"path": SCRIPT, "permissions": "0755", "content": script},
                    {"path": UNIT, "permissions": "0644", "content": unit},
                ],
                # Not waited for: cloud-init is done when the machine is ready, not when the experiment is.
                "runcmd": [["systemctl", "daemon-reload"], ["systemctl", "start", "--no-block", "experiment.service"]],
            }
        )
