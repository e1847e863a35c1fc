"""What an experiment's unit runs on its instances: a script with the command, its parameters, what must be there first.

With code or nodes it is delivered over ssh, else it comes with the boot. Either way it is for the eyes of root and of
the account that runs it alone.
"""

from __future__ import annotations

import shlex

from ec2lab.config.models import Experiment
from ec2lab.config.parameters import as_text

DIRECTORY = "/opt/ec2-lab"
SCRIPT = f"{DIRECTORY}/experiment"
MODE = "0600"
"""Root's own, until its unit gives it to the account that runs it."""


METADATA = "169.254.169.254,fd00:ec2::254,[fd00:ec2::254]"
"""The instance metadata service, with and without the brackets that some programs compare."""
PROXIES = f"""\
no_proxy=${{no_proxy-${{NO_PROXY-}}}}
[ "$no_proxy" = "*" ] || no_proxy="{METADATA}${{no_proxy:+,$no_proxy}}"
export no_proxy NO_PROXY="$no_proxy"
"""
"""A proxy of the instance's is for everything but that service, which has the credentials of S3."""
BEGUN = '[ ! -d "${RUNTIME_DIRECTORY-}" ] || : >"$RUNTIME_DIRECTORY/begun"\n'
"""Where a start-up file of the login shell ends it, or puts another program in its place, this is never made."""
EXIT = 'exit() { local code=${1-$?}; set +e; builtin exit "$code"; }\n'
"""A login shell that is told to exit runs ~/.bash_logout first: Debian's fails where there is no console, and its exit
code, under `set -e`, would be the command's."""


def command_script(experiment: Experiment) -> str:
    """Return the script: nothing without its data, then the command with its parameters, where its code is."""
    mounts = "".join(
        f"mountpoint -q {mount} || {{ echo ec2-lab: {mount} is not mounted; exit 1; }}\n"
        for mount in (shlex.quote(volume.mount) for volume in experiment.mounted)
    )
    values = {name: as_text(value) for name, value in experiment.parameters.items()}
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
    into = "cd ~/code\n" if experiment.code else ""
    before = f"{BEGUN}{EXIT}{PROXIES}{mounts}{exports}{into}"
    return f"#!/bin/bash\nset -euo pipefail\n{before}{(experiment.command or '').rstrip()}\n"
