"""Log in to an experiment's instance, with host key pinning."""

from __future__ import annotations

import os

from ec2lab.console import run, warn
from ec2lab.options import HostName, OptionalExperiment, script

app = script(__doc__)


@app.command()
def ssh(exp: OptionalExperiment = "", host: HostName = "") -> None:
    """Log in to EXP's instance, or to HOST (foo-2, if an experiment has several).

    You log in as MEMBER, or else as the member with your local user name. The ssh agent is not forwarded.
    """
    from ec2lab.hosts.login_check import lacks_key
    from ec2lab.hosts.named_hosts import single_host
    from ec2lab.hosts.reachability import expect_connection
    from ec2lab.hosts.ssh_config import SshConfig
    from ec2lab.session import open_session

    with open_session("ssh") as session:
        found = single_host(session, exp, host)
        if SshConfig(session.directory).instance_of(found.name) and (why := lacks_key(session, found.name, asks=True)):
            warn(why)  # ssh goes on, and has no words for it
        expect_connection(found.config, found.name)
    os.execvp("ssh", ["ssh", "-F", str(found.config), "-o", "StrictHostKeyChecking=yes", "--", found.name])


if __name__ == "__main__":
    run(app)
