"""The experiment's own command, run on the machine once its data is there."""

from __future__ import annotations

import json

from scripts.core.hosts.host_program import sent, unit
from scripts.core.lab.config import Experiment
from scripts.core.launch_part import LaunchPart, Share, Site
from scripts.core.render import render, text_of
from scripts.core.runs.command_script import DIRECTORY, MODE, SCRIPT, command_script

UNITS = "/etc/systemd/system"
ACCOUNT = "experiment"
"""The command's own account: not root, but with docker, which on its machine is as good."""
NEEDRESTART = {"/etc/needrestart/conf.d/ec2-lab.conf": "$nrconf{override_rc}{qr(^experiment)}=0;\n"}
"""Ubuntu's servers have needrestart, which restarts what uses a library that unattended-upgrades has replaced: without
this the command would begin anew, in the middle of its work
(https://github.com/liske/needrestart/blob/master/ex/needrestart.conf, override_rc)."""
LOG_UNITS = ("experiment-log.service", "experiment-log.timer")


class Command(LaunchPart):
    """A systemd unit that runs the command under an account of its own; its log is `journalctl -u experiment`."""

    name = "command"
    order = 90

    def share(self, site: Site) -> Share:
        """Return the unit, the script and what starts them; nothing where the experiment has no command.

        Where something is delivered over ssh anyway, the script is too, and user data has nothing of it.
        """
        if site.experiment.command is None:
            return Share()
        files = {} if site.experiment.is_delivered_to else {SCRIPT: (MODE, command_script(site.experiment))}
        files |= {
            f"{UNITS}/experiment.service": ("0644", unit(_unit(site))),
            f"{DIRECTORY}/write-ending": ("0755", sent("write-ending.py")),
            **{path: ("0644", text) for path, text in NEEDRESTART.items()},
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


def _begin(experiment: Experiment) -> list[list[str]]:
    """Return what starts the command, unless it waits for what is brought; cloud-init does not wait for its end."""
    begin: list[list[str]] = []
    if experiment.bucket:
        # Seen now, and not when hours of work are to be told of.
        begin += [["aws", "--version"], ["systemctl", "start", "--no-block", LOG_UNITS[1]]]
    if not experiment.is_delivered_to:
        begin += [["systemctl", "start", "--no-block", "experiment.service"]]
    return begin
