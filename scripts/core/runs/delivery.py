"""Delivery: what an experiment's command needs and can't come with the boot is brought to its machines over ssh.

No credentials and no bucket are needed on the machine for it.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from datetime import timedelta

from scripts.core.current_experiment import Threads
from scripts.core.errors import LabError
from scripts.core.hosts.host_program import sent
from scripts.core.hosts.hosts import login_name, ssh_files
from scripts.core.hosts.remote import Host
from scripts.core.hosts.ssh_files import Reach
from scripts.core.lab.config import Experiment
from scripts.core.launch.asking import Instance
from scripts.core.runs.code_packing import Pack
from scripts.core.runs.rendezvous import environments_of, host_file
from scripts.core.session import Session

Say = Callable[[str], None]


def check_way(session: Session, name: str, experiment: Experiment) -> None:
    """Raise LabError, before anything is made, where nobody could bring the machines what they wait for."""
    if not experiment.is_delivered_to:
        return
    if session.lab.ssh.wait == timedelta(0):
        raise LabError(f'lab.toml: ssh.wait: is "0s", and {name} waits for its code, which is brought over ssh')
    if session.boot_seconds and not login_name(session):
        raise LabError(
            f"{name}: its code is brought over ssh, and nobody here is a member (members/); MEMBER=name says who is"
        )


def deliver(
    session: Session, name: str, machines: Sequence[Instance], reaches: Sequence[Reach], pack: Pack | None, say: Say
) -> None:
    """Bring what each machine waits for, so that its command begins. Raises LabError where that failed.

    Done again, it changes nothing where the command has begun.
    """
    if not session.boot_seconds:
        say("the local cloud's machines never boot, so nothing is brought to them and the command does not run")
        return
    content = gzip.compress(pack.tar) if pack else b""
    digest = pack.sha256 if pack else ""
    environments, files = environments_of(name, machines), {"hosts": host_file(machines)}
    config = ssh_files(session).config

    def bring(reach: Reach) -> None:
        told = {"sha256": digest, "environment": environments[reach.instance], "files": files}
        host = Host(reach.name, config)
        there = host.run_as_root(sent("receive-run.py"), json.dumps(told), given=content).strip()
        if there != digest:
            raise LabError(
                f"{reach.name}: its command has begun already, with other code; "
                f"`make teardown EXP={name}`, and launch anew"
            )

    say(f"bringing {f'the code ({pack})' if pack else 'the addresses'} to {', '.join(r.name for r in reaches)}")
    with Threads(max(len(reaches), 1)) as bringing:
        try:
            list(bringing.map(bring, reaches))
        except LabError as problem:
            raise LabError(f"{problem}; `make launch EXP={name}` once more goes on from here") from problem
