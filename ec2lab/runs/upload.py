"""Uploads over ssh what an experiment's instances wait for after their boot.

Launches with code or nodes need ssh, and so do those whose command does not fit into user data; the command and its
parameters are then uploaded as well. No credentials and no bucket are needed on the instance.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from pydantic import SecretStr

from ec2lab.config.models import Experiment
from ec2lab.context import ContextThreadPool
from ec2lab.errors import UserError
from ec2lab.events import Emit, steps
from ec2lab.hosts.inventory import login_name
from ec2lab.hosts.login_check import not_a_member
from ec2lab.hosts.program_packer import program
from ec2lab.hosts.ssh import Host
from ec2lab.hosts.ssh_config import SshConfig, SshTarget
from ec2lab.instance_state import Instance
from ec2lab.runs.code_archive import CodeArchive
from ec2lab.runs.command import DELIVERED, DIRECTORY, MODE, command_files, command_script
from ec2lab.runs.distributed_env import mpi_hostfile, node_environments
from ec2lab.runs.launcher_secrets import launcher_secrets
from ec2lab.session import Session

LONGEST_DELIVERY = 3600.0  # seconds for uploading code over a slow connection


BEGUN_OTHERWISE = "its command has already started, with other code, parameters or another command"


class DeliveryTooLate(UserError):
    """The command has begun or never will: another delivery would change nothing."""


@dataclass(frozen=True)
class Delivery:
    """What is uploaded to each instance of an experiment."""

    name: str  # the experiment's name
    experiment: Experiment
    pack: CodeArchive | None
    instances: Sequence[Instance]
    origins: Mapping[str, str] = field(default_factory=dict)  # by instance, the one whose outputs it continues

    @property
    def run(self) -> str:
        """The id of the run on its instances: the SHA-256 of code, command and parameters."""
        secrets = "".join(f"\n{name}={source}" for name, source in self.experiment.secrets.items())
        container = f"\n{self.experiment.container}" if self.experiment.container else ""
        outputs = f"\n{self.experiment.outputs}" if self.experiment.outputs else ""
        sent_to_all = (
            f"{self.pack.sha256 if self.pack else ''}\n{command_script(self.experiment)}{secrets}{container}{outputs}"
        )
        return hashlib.sha256(sent_to_all.encode()).hexdigest()

    def header(self, environment: Mapping[str, str], origin: str = "") -> bytes:
        """Return the line that install-code reads first. Raises UserError where secrets are missing here by now."""
        secrets = launcher_secrets(self.name, self.experiment)
        variables = "".join(f"{name}={json.dumps(value)}\n" for name, value in environment.items())
        files = {
            f"{DIRECTORY}/hosts": ("0644", mpi_hostfile(self.instances)),
            f"{DIRECTORY}/experiment.env": (MODE, variables),
            **command_files(self.name, self.experiment, origin),
        }
        if secrets:
            files[DELIVERED] = ("0600", json.dumps(secrets, default=SecretStr.get_secret_value))
        fields = {
            "run": self.run, "code": self.pack.sha256 if self.pack else "", "files": files,
            "address": environment.get("NODE_ADDRESS", ""), "first": environment.get("MASTER_ADDR", ""),
        }  # fmt: skip
        return json.dumps(fields).encode() + b"\n"

    def __str__(self) -> str:
        parts = [f"the code ({self.pack})"] if self.pack else []
        parts += ["the command"] if self.experiment.command is not None else []
        parts += ["its secrets"] if any(source.is_from_launcher for source in self.experiment.secrets.values()) else []
        parts += ["the addresses"] if self.experiment.nodes > 1 else []
        return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def check_ssh_access(session: Session, name: str, experiment: Experiment) -> None:
    """Raise UserError, before anything is created, where nobody could upload to the instances."""
    if not experiment.needs_code_upload:
        return
    what = "code" if experiment.code else "command"
    if session.lab.ssh.boot_timeout == timedelta(0):
        raise UserError(f'lab.toml: ssh.boot_timeout: is "0s", and {name} needs its {what}, which is sent over ssh')
    if session.cloud.boot_timeout and not login_name(session.directory):
        raise UserError(f"{name}: its {what} is sent over ssh, but {not_a_member(session)}")


def upload_code(session: Session, name: str, delivery: Delivery, reaches: Sequence[SshTarget], emit: Emit) -> None:
    """Upload what each instance waits for, so that its command starts. Raises UserError where that failed.

    Repeated, it changes nothing once the command has started.
    """
    say = steps(emit, name)
    if not session.cloud.boot_timeout:
        say("the local cloud's instances never boot, so nothing is uploaded to them and the command does not run")
        return
    content = gzip.compress(delivery.pack.tar) if delivery.pack else b""
    environments = node_environments(name, delivery.instances)
    config = SshConfig(session.directory).config

    def bring(reach: SshTarget) -> None:
        given = delivery.header(environments[reach.instance], delivery.origins.get(reach.instance, "")) + content
        host = Host(reach.name, config, timeout=session.lab.ssh.login_timeout)
        printed = host.run_as_root(program("install-code.py"), given=given, within=LONGEST_DELIVERY)
        there = next(reversed(printed.strip().splitlines()), "")
        if there != delivery.run:
            what = BEGUN_OTHERWISE if re.fullmatch(r"[0-9a-f]{64}|", there) else there
            raise DeliveryTooLate(f"{reach.name}: {what}; `make teardown EXP={name}`, and launch again")

    say(f"sending {delivery} to {', '.join(r.name for r in reaches)}")
    with ContextThreadPool(max(len(reaches), 1)) as bringing:
        try:
            list(bringing.map(bring, reaches))
        except DeliveryTooLate:
            raise
        except UserError as problem:
            raise UserError(f"{problem}; `make launch EXP={name}` again to continue") from problem
