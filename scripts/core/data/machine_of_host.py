"""The machine behind a host: what AWS says of what ssh reaches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from scripts.core.data.volume_mounting import Machine
from scripts.core.data.volumes import regions_of_interest
from scripts.core.errors import LabError
from scripts.core.hosts.hosts import experiment_of, the_host
from scripts.core.hosts.remote import Host
from scripts.core.hosts.ssh_files import SshFiles
from scripts.core.session import Session, acting_on, open_session


@contextmanager
def acting_on_host(host: str, script: str) -> Iterator[Session]:
    """Open the lab for a script that changes a host's resources: alone on its experiment, where it belongs to one."""
    with open_session(script) as looking:
        experiment = experiment_of(looking, host)
    with acting_on(experiment, script) if experiment else open_session(script) as session:
        yield session


def machine_of(session: Session, word: str) -> Machine:
    """Return the one machine that HOST names. Raises LabError where it is none of EC2's in the lab's regions."""
    host = the_host(session, "", word)
    identity = SshFiles(session.directory).instance_of(host.name) or _said_by(host)
    wanted = [{"Name": "instance-id", "Values": [identity]}]
    for region in regions_of_interest(session):
        for found in session.kinds["instance"].find(session.cloud, region, wanted):
            return Machine(host, region, found)
    raise LabError(f"HOST: {word} says that it is {identity!r}, which AWS has in none of the lab's regions")


def _said_by(host: Host) -> str:
    """Ask a host which instance it is; AWS is then asked the same."""
    told = host.run("cloud-init", "query", "instance_id").strip()
    if not re.fullmatch(r"i-[0-9a-z]{1,40}", told):
        raise LabError(f"{host.name}: says that it is {told[:60]!r}, which is no instance's id")
    return told
