"""The experiment's own command, run on the machine once its data is there."""

from __future__ import annotations

import json
import shlex

from scripts.core.hosts.host_program import sent, unit
from scripts.core.lab.config import Experiment
from scripts.core.lab.parameters import as_text
from scripts.core.launch_part import LaunchPart, Share, Site
from scripts.core.render import render, text_of

DIRECTORY = "/opt/ec2-lab"
SCRIPT = f"{DIRECTORY}/experiment"
UNITS = "/etc/systemd/system"
ACCOUNT = "experiment"
"""The command's own account: not root, but with docker, which on its machine is as good."""
LOG_UNITS = ("experiment-log.service", "experiment-log.timer")


class Command(LaunchPart):
    """A systemd unit that runs the command under an account of its own; its log is `journalctl -u experiment`."""

    name = "command"
    order = 90

    def share(self, site: Site) -> Share:
        """Return the unit, the script and what starts them; nothing where the experiment has no command."""
        if site.experiment.command is None:
            return Share()
        files = {
            SCRIPT: ("0755", script(site.experiment)),
            f"{UNITS}/experiment.service": ("0644", unit(_unit(site))),
            f"{DIRECTORY}/write-ending": ("0755", sent("write-ending.py")),
        }
        if bucket := site.experiment.bucket:
            settings = {"experiment": site.name, "bucket": bucket, "then": site.experiment.then}
            files |= {
                f"{DIRECTORY}/tell-bucket": ("0755", sent("tell-bucket.py")),
                f"{DIRECTORY}/run.json": ("0644", json.dumps(settings)),
                **{f"{UNITS}/{name}": ("0644", unit(text_of(name))) for name in LOG_UNITS},
            }
        account = {"name": ACCOUNT, "groups": ["docker"], "shell": "/bin/bash", "lock_passwd": True}
        return Share(
            cloud_init={
                "users": [account],
                "write_files": [
                    {"path": path, "permissions": mode, "content": content} for path, (mode, content) in files.items()
                ],
                "runcmd": _begin(site.experiment),
            }
        )


def _unit(site: Site) -> str:
    tells = site.experiment.bucket is not None
    return render("experiment.service.j2", experiment=site.name, account=ACCOUNT, tells=tells)


def script(experiment: Experiment) -> str:
    """Return what the unit runs: nothing without its data, then the command with its parameters, where its code is."""
    mounts = "".join(
        f"mountpoint -q {mount} || {{ echo ec2-lab: {mount} is not mounted; exit 1; }}\n"
        for mount in (shlex.quote(volume.mount) for volume in experiment.mounted)
    )
    values = {name: as_text(value) for name, value in experiment.parameters.items()}
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
    into = "cd code\n" if experiment.code else ""
    return f"#!/bin/bash\nset -euo pipefail\n{mounts}{exports}{into}{(experiment.command or '').rstrip()}\n"


def _begin(experiment: Experiment) -> list[list[str]]:
    """Return what starts the command, unless it waits for what is brought; cloud-init does not wait for its end."""
    begin = [["systemctl", "daemon-reload"]]
    if experiment.bucket:
        # Seen now, and not when hours of work are to be told of.
        begin += [["aws", "--version"], ["systemctl", "start", "--no-block", LOG_UNITS[1]]]
    if not experiment.is_delivered_to:
        begin += [["systemctl", "start", "--no-block", "experiment.service"]]
    return begin
