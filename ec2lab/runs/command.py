"""What an instance needs to run an experiment's command: its script, and systemd's units with their programs.

The script checks its prerequisites, and runs the command with its parameters. All of it is in user data, or is sent
over ssh if something is sent over ssh anyway, because user data is small. Only root and the account that runs the
script can read it.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

from ec2lab.config.models import Experiment
from ec2lab.config.parameters import as_text
from ec2lab.hosts.program_packer import program, sent, unit
from ec2lab.templates import render, text_of

DIRECTORY = "/opt/ec2-lab"
ENVIRONMENT = "/run/ec2-lab/experiment/environment"
"""In a container, the file from which the script takes its environment (templates/run-container.py)."""
SCRIPT = f"{DIRECTORY}/experiment"
MODE = "0600"  # root's own until the unit gives it to the account that runs it


METADATA = "169.254.169.254,fd00:ec2::254,[fd00:ec2::254]"
"""The instance metadata service, with and without the brackets that some programs compare."""
PROXIES = f"""\
no_proxy=${{no_proxy-${{NO_PROXY-}}}}
[ "$no_proxy" = "*" ] || no_proxy="{METADATA}${{no_proxy:+,$no_proxy}}"
export no_proxy NO_PROXY="$no_proxy"
"""
"""A proxy of the instance does not apply to this service, which provides S3 credentials."""
BEGUN = '[ ! -d "${RUNTIME_DIRECTORY-}" ] || : >"$RUNTIME_DIRECTORY/begun"\n'
"""Not created where a login shell's start-up file exits, or runs another program instead."""
EXIT = 'exit() { local code=${1-$?}; set +e; builtin exit "$code"; }\n'
"""A login shell runs ~/.bash_logout on exit: Debian's fails without a console, and under `set -e` its exit code would
be the command's."""


IN_CONTAINER = f"""\
set -eu
(set -o pipefail) 2>/dev/null && set -o pipefail
. {ENVIRONMENT}
: >{ENVIRONMENT}
trap 'trap "" TERM; wait; exit 143' TERM
"""
"""How the script begins in a container, for bash or sh of an image that may have no other program. The end of its shell
would kill the others, so it waits for them when all get SIGTERM."""


def command_script(experiment: Experiment) -> str:
    """Return the script: it fails without its data, then runs the command in its code's directory."""
    values = {name: as_text(value) for name, value in experiment.parameters.items()}
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
    into = "cd ~/code\n" if experiment.code else ""
    begin = f"{IN_CONTAINER}{BEGUN}{PROXIES}" if experiment.container else f"set -euo pipefail\n{BEGUN}{EXIT}{PROXIES}"
    mounts = "" if experiment.container else _expect_mounted(experiment)
    return f"#!/bin/bash\n{begin}{mounts}{exports}{into}{(experiment.command or '').rstrip()}\n"


def _expect_mounted(experiment: Experiment) -> str:
    return "".join(
        f"mountpoint -q {mount} || {{ echo ec2-lab: {mount} is not mounted; exit 1; }}\n"
        for mount in (shlex.quote(volume.mount) for volume in experiment.mounted)
    )


ACCOUNT = "experiment"
"""The command's own account: not root, but in the group docker, which is equivalent on its instance."""
UNITS = "/etc/systemd/system"
OUTPUT = "experiment-output"  # the pipe that the command prints to, and the service that writes its log
DEADLINE = "experiment-deadline.service"
PULL = "experiment-container.service"
NEEDRESTART = {"/etc/needrestart/conf.d/ec2-lab.conf": "$nrconf{override_rc}{qr(^experiment)}=0;\n"}
"""Ubuntu's servers have needrestart, which restarts services whose libraries unattended-upgrades replaced: without this
it would restart the command in the middle of its work
(https://github.com/liske/needrestart/blob/master/ex/needrestart.conf, override_rc)."""
SOURCES, DELIVERED = f"{DIRECTORY}/secrets.json", "/run/ec2-lab/secrets.json"
"""The source of each secret; and the values that a launch delivers, in memory only: /run is a tmpfs."""
TO_BUCKET = ("experiment-log.service", "experiment-log.timer")
TO_OUTPUTS = "experiment-outputs.service"

Files = Mapping[str, tuple[str, str]]  # by path: mode, and text


def command_files(name: str, experiment: Experiment, origin: str = "") -> Files:
    """Return the files that run an experiment's command; empty where it has none.

    Its outputs continue those of the instance that is its `origin`, if another one is.
    """
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
    if experiment.secrets:
        sources = {variable: source.as_sent() for variable, source in experiment.secrets.items()}
        files |= {f"{DIRECTORY}/fetch-secrets": ("0755", program("fetch-secrets.py"))}
        files |= {SOURCES: ("0644", json.dumps(sources))}
    if experiment.container:
        files |= {f"{DIRECTORY}/run-container": ("0755", sent("run-container.py"))}
    if experiment.artifact_uri:
        settings = {
            "experiment": name,
            "artifact_uri": experiment.artifact_uri,
            # The end of the instance waits for its outputs.
            "on_completion": "keep" if experiment.outputs else experiment.on_completion,
        }
        files |= {
            f"{DIRECTORY}/upload-log": ("0755", sent("upload-log.py")),
            f"{DIRECTORY}/run.json": ("0644", json.dumps(settings)),
            **{f"{UNITS}/{name}": ("0644", unit(text_of(name))) for name in TO_BUCKET},
        }
    return {**files, **_outputs_files(name, experiment, origin)}


def _outputs_files(name: str, experiment: Experiment, origin: str) -> Files:
    """Return the files that upload its outputs, and restore those of an interrupted instance; none without outputs."""
    if not experiment.outputs:
        return {}
    mounts = [one.mount for one in experiment.mounted if f"{experiment.outputs}/".startswith(f"{one.mount}/")]
    settings = {
        "experiment": name, "artifact_uri": experiment.artifact_uri, "on_completion": experiment.on_completion,
        "directory": experiment.outputs, "every": experiment.sync_every.total_seconds(), "origin": origin,
        "mount": max(mounts, default="", key=len),
    }  # fmt: skip
    return {
        f"{UNITS}/{TO_OUTPUTS}": ("0644", unit(text_of(TO_OUTPUTS))),
        f"{DIRECTORY}/sync-outputs": ("0755", program("sync-outputs.py")),
        f"{DIRECTORY}/outputs.json": ("0644", json.dumps(settings)),
    }


def container_files(experiment: Experiment) -> Files:
    """Return the files by which an instance pulls its container's image from the boot on; none without a container."""
    if not experiment.container:
        return {}
    pull = render(f"{PULL}.j2", image=experiment.container)
    return {
        f"{UNITS}/{PULL}": ("0644", unit(pull)),
        f"{DIRECTORY}/pull-container": ("0755", sent("pull-container.py")),
    }


def delivery_deadline(experiment: Experiment) -> Files:
    """Return the files by which an instance ends a run whose secrets are never delivered."""
    if not experiment.secrets:
        return {}
    return {
        f"{UNITS}/{DEADLINE}": ("0644", unit(text_of(DEADLINE))),
        f"{DIRECTORY}/delivery-deadline": ("0755", sent("delivery-deadline.py")),
    }


def _service(name: str, experiment: Experiment) -> str:
    read_only = {volume.mount for volume in experiment.data if volume.read_only}
    mounts = [f"{volume.mount}{':ro' * (volume.mount in read_only)}" for volume in experiment.mounted]
    if experiment.outputs and not any(
        f"{experiment.outputs}/".startswith(f"{one.mount}/") for one in experiment.mounted
    ):
        mounts.append(f"{experiment.outputs}:directory")
    return render(
        "experiment.service.j2", experiment=name, account=ACCOUNT, tells=experiment.artifact_uri is not None,
        secrets=bool(experiment.secrets), container=experiment.container is not None, mounts=mounts,
        outputs=experiment.outputs is not None,
    )  # fmt: skip
