"""Jupyter and TensorBoard on an instance: started under the experiment's account, on loopback, behind a secret."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ec2lab.errors import UserError
from ec2lab.events import Emit
from ec2lab.events.runs import ServerStarted
from ec2lab.hosts.forwarding import Port, forward_until_interrupted
from ec2lab.hosts.named_hosts import HostToCall
from ec2lab.hosts.program_packer import program
from ec2lab.hosts.ssh import Host
from ec2lab.login_names import LOGIN
from ec2lab.printable import printable
from ec2lab.session import Session

WITHIN = 300.0  # seconds for start-up files, the search for the program, and its start


@dataclass(frozen=True, slots=True)
class Server:
    """A web server that people run on an instance."""

    name: str  # the program's
    arguments: Sequence[str]  # PORT and SECRET stand for themselves
    port: int
    how: str  # how the secret reaches it: an environment variable, or `path` for a part of the URL's path
    url: str  # the path of its URL
    package: str  # what pip installs it from

    def start(self, host: Host) -> Started:
        """Start it, or find the one that runs. Raises Unreachable, Failed, UserError."""
        wanted = {"name": self.name, "arguments": list(self.arguments), "port": self.port, "how": self.how}
        asked = json.dumps({**wanted, "secret": secrets.token_urlsafe(24)}).encode()
        output = host.run_as_root(program("serve.py"), given=asked, within=WITHIN)
        try:
            found = Started.model_validate_json(output)
        except ValidationError as problem:
            raise UserError(f"{host.name}: its status of {self.name} can't be read") from problem
        if found.missing:
            raise UserError(self._missing(host, found.account))
        if found.failed is not None:
            lines = [line for line in found.failed.splitlines() if line.strip()]
            error = UserError(f"{host.name}: {self.name} did not start as {found.account}")
            for line in lines[-10:]:
                error.add_note(printable(line))
            raise error
        return found

    def forward(self, started: Started) -> Port:
        """Return the port to forward, with the URL that opens it."""
        return Port(started.port, self.port, self.url.replace("SECRET", started.secret))

    def _missing(self, host: Host, account: str) -> str:
        venv = f"python3 -m venv --system-site-packages .venv && .venv/bin/pip install {self.package}"
        command = f"make exec HOST={host.name} CMD='sudo -iu {account} sh -c \"{venv}\"'"
        return f"{host.name}: {self.name} is not installed for {account}; `{command}` installs it"


class Started(BaseModel):
    """What an instance says of a server."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    account: Annotated[str, StringConstraints(pattern=f"^{LOGIN}$")]
    port: Annotated[int, Field(ge=1, le=65535)] = 1
    secret: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{32}$")] = "-" * 32
    already_running: bool = False
    missing: Annotated[str, Field(max_length=100)] = ""
    failed: Annotated[str, Field(max_length=4000)] | None = None


JUPYTER = Server(  # https://jupyter-server.readthedocs.io/en/latest/operators/security.html
    "jupyter", ("lab", "--no-browser", "--ip=127.0.0.1", "--port=PORT", "--ServerApp.port_retries=0"), 8888,
    "JUPYTER_TOKEN", "lab?token=SECRET", "jupyterlab",
)  # fmt: skip


def tensorboard(directory: str) -> Server:
    """Return TensorBoard on a directory or an s3:// address. It has no login: a secret path takes its place."""
    arguments = (f"--logdir={directory}", "--host=127.0.0.1", "--port=PORT", "--path_prefix=/SECRET")
    return Server("tensorboard", arguments, 6006, "path", "SECRET/", "tensorboard")


def open_server(session: Session, hosts: Sequence[HostToCall], server: Server, emit: Emit) -> None:
    """Start a server on each host and forward its port until Ctrl-C. Raises HostsFailed."""

    def ports_of(host: Host) -> list[Port]:
        started = server.start(host)
        emit(
            ServerStarted(
                host=host.name, server=server.name, account=started.account, port=started.port,
                already_running=started.already_running,
            )
        )  # fmt: skip
        return [server.forward(started)]

    forward_until_interrupted(session, hosts, ports_of, emit)
