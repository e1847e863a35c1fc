"""What an instance needs to run an experiment's command: systemd's units and their programs, and the command's script.

They come with the boot, in user data; where something is brought over ssh anyway, they are too, as user data is small.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from ec2lab.config.models import Experiment
from ec2lab.hosts.program_packer import sent, unit
from ec2lab.runs.command_script import DIRECTORY, MODE, SCRIPT, command_script
from ec2lab.templates import render, text_of

ACCOUNT = "experiment"
"""The command's own account: not root, but with docker, which on its instance is as good."""
UNITS = "/etc/systemd/system"
OUTPUT = "experiment-output"
"""The pipe that the command prints into, and the service that writes its log."""
NEEDRESTART = {"/etc/needrestart/conf.d/ec2-lab.conf": "$nrconf{override_rc}{qr(^experiment)}=0;\n"}
"""Ubuntu's servers have needrestart, which restarts what uses a library that unattended-upgrades has replaced: without
this the command would begin again, in the middle of its work
(https://github.com/liske/needrestart/blob/master/ex/needrestart.conf, override_rc)."""
TO_BUCKET = ("experiment-log.service", "experiment-log.timer")

Files = Mapping[str, tuple[str, str]]
"""By path: mode, and text."""


def command_files(name: str, experiment: Experiment) -> Files:
    """Return the files by which an experiment's command is run; none where it has no command."""
    if experiment.command is None:
        return {}
    files = {
        SCRIPT: (MODE, command_script(experiment)),
        f"{UNITS}/experiment.service": ("0644", unit(_service(name, experiment))),
        f"{UNITS}/{OUTPUT}.socket": ("0644", unit(render(f"{OUTPUT}.socket.j2", account=ACCOUNT))),
        f"{UNITS}/{OUTPUT}.service": ("0644", unit(text_of(f"{OUTPUT}.service"))),
        f"{DIRECTORY}/write-log": ("0755", sent("write-log.py")),
        f"{DIRECTORY}/write-exit-status": ("0755", sent("write-exit-status.py")),
        **{path: ("0644", text) for path, text in NEEDRESTART.items()},
    }
    if experiment.artifact_uri:
        settings = {
            "experiment": name,
            "artifact_uri": experiment.artifact_uri,
            "on_completion": experiment.on_completion,
        }
        files |= {
            f"{DIRECTORY}/upload-log": ("0755", sent("upload-log.py")),
            f"{DIRECTORY}/run.json": ("0644", json.dumps(settings)),
            **{f"{UNITS}/{name}": ("0644", unit(text_of(name))) for name in TO_BUCKET},
        }
    return files


def _service(name: str, experiment: Experiment) -> str:
    return render("experiment.service.j2", experiment=name, account=ACCOUNT, tells=experiment.artifact_uri is not None)
