"""Ports of an instance on this computer's loopback: one ssh connection carries them, and is made again if it is lost.

The connection is an ssh master of its own. Ports are added to it by `ssh -O forward`, which says whether each one
worked, so a user's own LocalForward lines stay out of it and a port that is taken here is replaced by the next.
"""

from __future__ import annotations

import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

from ec2lab import clock
from ec2lab.console import warn
from ec2lab.errors import UserError
from ec2lab.events import Emit
from ec2lab.events.runs import ConnectionLost, PortForwarded, PortRefused
from ec2lab.files import exists
from ec2lab.hosts.named_hosts import HostToCall
from ec2lab.hosts.parallel import HostsFailed, on_each
from ec2lab.hosts.ssh import Host
from ec2lab.hosts.ssh_options import master_command
from ec2lab.interrupts import INTERRUPTS
from ec2lab.polling import jittered
from ec2lab.printable import printable, shortened
from ec2lab.session import Session

HIGHEST = 65535
CANDIDATES = 20  # local ports to try, from the wanted one upwards
POLL = 0.05  # seconds between looks at whether ssh has connected
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 30.0  # seconds before a lost connection is restored
TO_FORWARD, GOODBYE = 15.0, 5.0  # seconds in which ssh forwards one port, and in which it ends
REMEMBERED = 5  # lines of ssh's standard error
REFUSED = "open failed: connect failed"  # what ssh prints when nothing listens on the remote port
BINDING = ("Address already in use", "cannot listen to port", "Could not request local forwarding")
"""What it prints when a local port is taken, which is not worth a line: the next one is tried."""


@dataclass(frozen=True, slots=True)
class Port:
    """A port on the instance, the local port that is wanted for it, and the path of its URL."""

    remote: int
    local: int
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Port:
        """Read `8888`, or `9000:8888` as LOCAL:REMOTE. Raises UserError."""
        local, colon, remote = text.partition(":")
        numbers = [number for number in (local, remote if colon else local) if number.isdecimal() and number.isascii()]
        ports = [int(number) for number in numbers if 0 < int(number) <= HIGHEST]
        if len(ports) < 2:  # noqa: PLR2004 - local and remote
            raise UserError(f"PORTS: {text!r} is not a port (try PORTS=8888, or PORTS=9000:8888 for local 9000)")
        return cls(ports[1], ports[0])


@dataclass
class Tunnel:
    host: Host
    ports: Sequence[Port]
    emit: Emit
    stop: Event  # set to end it
    is_here: bool = False  # on this computer, where a port forwarded to itself would connect to itself without end
    _chosen: dict[Port, int] = field(default_factory=dict)
    _said: deque[str] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _refused: set[str] = field(default_factory=set)

    def run(self) -> int:
        """Forward until stopped; return 0. Raises UserError if there never was a connection, or no port is free."""
        pauses = jittered(FIRST_PAUSE, LONGEST_PAUSE)
        while not self.stop.is_set():
            was_connected = self._connect_once()
            if self.stop.is_set():
                break
            reason = self._reason()
            if not self._chosen:
                raise UserError(f"{self.host.name}: {reason}")
            pauses = jittered(FIRST_PAUSE, LONGEST_PAUSE) if was_connected else pauses
            pause = next(pauses)
            self.emit(ConnectionLost(host=self.host.name, reason=reason, seconds=round(pause, 1)))
            clock.sleep_unless(self.stop, pause)
        return 0

    def _connect_once(self) -> bool:
        self._said.clear()
        # Not below the lab: a socket's path has 104 bytes at most.
        with TemporaryDirectory(prefix="ec2-lab-") as directory:
            socket = Path(directory) / "ssh"
            with self._master(socket) as ssh:
                if not self._is_connected(ssh, socket):
                    return False
                try:
                    for port in self.ports:
                        self._forward(socket, port)
                except subprocess.TimeoutExpired:
                    self._said.append("ssh does not respond")
                    return False
                while not self.stop.is_set() and ssh.poll() is None:
                    clock.nap(POLL)
        return True

    def _is_connected(self, ssh: subprocess.Popen[str], socket: Path) -> bool:
        """Wait for the connection: ssh's own ConnectTimeout does not cover the authentication."""
        until = clock.monotonic() + self.host.timeout
        while not self.stop.is_set() and ssh.poll() is None and not exists(socket):
            if clock.monotonic() > until:
                self._said.append(f"no connection within {self.host.timeout:g} s")
                break
            clock.nap(POLL)
        return exists(socket)

    @contextmanager
    def _master(self, socket: Path) -> Iterator[subprocess.Popen[str]]:
        """Run ssh, in a process group of its own: Ctrl-C is for this program, which then ends ssh."""
        command = master_command(self.host.config, self.host.name, socket)
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        ssh = subprocess.Popen(command, **pipes, text=True, errors="replace", process_group=0)  # type: ignore[call-overload]
        reader = Thread(target=self._hear, args=(ssh,), daemon=True)
        reader.start()
        try:
            with _ended_with_us(ssh, socket.parent):
                yield ssh
        finally:
            ssh.terminate()
            try:
                ssh.wait(GOODBYE)
            except subprocess.TimeoutExpired:
                ssh.kill()
                ssh.wait()
            reader.join(1.0)

    def _hear(self, ssh: subprocess.Popen[str]) -> None:
        for line in ssh.stderr or ():
            text = printable(line.strip())
            if REFUSED in text:
                self._report_refused()
            elif text and not any(words in text for words in BINDING):
                self._said.append(text)

    def _report_refused(self) -> None:
        """Report once that nothing listens there: ssh does not say on which port."""
        ports = ", ".join(str(port.remote) for port in self.ports)
        if ports not in self._refused:
            self._refused.add(ports)
            self.emit(PortRefused(host=self.host.name, ports=[port.remote for port in self.ports]))

    def _forward(self, socket: Path, port: Port) -> None:
        """Forward a port to the local one that it had, or to the first that is free. Raises UserError."""
        first = self._chosen.get(port, port.local)
        taken = {port.remote for port in self.ports} if self.is_here else set()
        for local in range(first, min(first + CANDIDATES, HIGHEST + 1)):
            if local in taken:
                continue
            spec = f"127.0.0.1:{local}:127.0.0.1:{port.remote}"
            asked = ["ssh", "-F", "/dev/null", "-S", str(socket), "-O", "forward", "-L", spec, "--", self.host.name]
            given = {"capture_output": True, "stdin": subprocess.DEVNULL, "timeout": TO_FORWARD}
            if not subprocess.run(asked, **given, check=False).returncode:  # type: ignore[call-overload]
                self._chosen[port] = local
                url = f"http://127.0.0.1:{local}/{port.path}"
                self.emit(PortForwarded(host=self.host.name, port=port.remote, local_port=local, url=url))
                return
        raise UserError(
            f"PORTS: no local port from {first} to {first + CANDIDATES - 1} is free for {port.remote} of "
            f"{self.host.name} (PORTS=LOCAL:{port.remote} names one)"
        )

    def _reason(self) -> str:
        return shortened("; ".join(self._said) or "ssh ended without a message")


@contextmanager
def _ended_with_us(ssh: subprocess.Popen[str], directory: Path) -> Iterator[None]:
    """Have a shell end ssh and delete its directory if this process is killed: the shell's standard input ends then."""
    command = ["/bin/sh", "-c", 'read -r _; kill "$1"; rm -rf -- "$2"', "sh", str(ssh.pid), str(directory)]
    nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, stdin=subprocess.PIPE, **nowhere, process_group=0) as guard:  # type: ignore[call-overload]
        try:
            yield
        finally:
            guard.kill()


def forward_until_interrupted(
    session: Session, hosts: Sequence[HostToCall], ports_of: Callable[[Host], Sequence[Port]], emit: Emit
) -> None:
    """Forward ports of hosts until Ctrl-C, which is no failure. Raises UserError once every host has failed."""
    notes: list[str] = []

    def forward(host: Host) -> int:
        try:
            return Tunnel(host, ports_of(host), emit, session.over, not session.cloud.instances_boot).run()
        except UserError as problem:
            notes.extend(getattr(problem, "__notes__", ()))
            if len(hosts) > 1:
                warn(str(problem))
            raise

    try:
        on_each(session.over, hosts, forward, lambda _: None)
    except KeyboardInterrupt:
        INTERRUPTS.heed()
    except HostsFailed as failed:
        error = UserError(str(failed))
        for note in notes:
            error.add_note(note)
        raise error from failed
