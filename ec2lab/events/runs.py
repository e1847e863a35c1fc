"""Events of commands, their logs, and sweeps."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from ec2lab.events import GREEN, RED, YELLOW, Event
from ec2lab.units import counted, exited, format_bytes


class CommandEnded(Event, commands="wait"):
    """An experiment's command has exited on all its instances."""

    experiment: str
    exit_code: int
    """The command's own; with several instances, the first that is not 0."""
    reason: str
    """Why it is not the command's own; empty if it is."""

    def lines(self) -> str:
        return f"{self.experiment}: {exited(self.exit_code, self.reason)}"

    def color(self) -> str | None:
        return RED if self.exit_code else GREEN


class LogLine(Event, commands="logs"):
    """A line of the command's log."""

    instance: str
    text: str


class PartialLogLine(Event, commands="logs"):
    """The current last line of the log, if there was no other for half a minute: a progress bar."""

    instance: str
    text: str


class RemoteOutput(Event, commands="exec"):
    """A line that a command printed on an instance."""

    host: str
    stream: Literal["stdout", "stderr"]
    text: str


class RemoteCommandExited(Event, commands="exec"):
    """A command has exited on an instance, or could not be run there."""

    host: str
    exit_code: int
    """The command's own; 255 with a reason if ssh failed."""
    reason: str
    """Why the command could not be run, or not to its end; empty if the exit code is its own."""


class InstanceMetrics(Event, commands="top"):
    """What an instance is busy with. All numbers are 0 where nothing could be read, and `problem` says why."""

    host: str
    gpu: list[int | None] = Field(default_factory=list)
    """Utilization of each GPU in percent; null if the driver reports none, as for a GPU that is split by MIG."""
    gpu_memory_used: list[int | None] = Field(default_factory=list)
    """Of each GPU, in MiB."""
    gpu_memory_total: list[int | None] = Field(default_factory=list)
    cpu: int = 0
    """Percent of all cores."""
    memory_used: int = 0
    memory_total: int = 0
    disk_read: int = 0
    """Bytes per second, of all disks."""
    disk_written: int = 0
    network_received: int = 0
    """Bytes per second, without loopback."""
    network_sent: int = 0
    loaded: int | None = None
    """Percent of its data that AWS has loaded from snapshots; null if it has none, or AWS does not tell."""
    line: str = ""
    """The last line of the command's log."""
    problem: str = ""


class FilesCopied(Event, commands="pull push", style=GREEN):
    """Files were copied to or from an instance."""

    host: str
    source: str
    dest: str
    files: int
    """Files that were copied."""
    bytes: int
    unchanged: int
    """Files that were there with the same size and modification time."""
    deleted: int
    """With DELETE=1: what the source does not have."""
    skipped: list[str]
    """Paths of symbolic links that lead out of the source, and of sockets, pipes and devices."""

    def lines(self) -> list[str]:
        skipped = f"{self.skipped_text} (links that lead elsewhere, sockets, pipes)" if self.skipped else ""
        return [f"{self.host}: {self.source} copied to {self.dest}: {self.counts}", skipped]

    @property
    def counts(self) -> str:
        deleted = f", {self.deleted} deleted" if self.deleted else ""
        return f"{counted(self.files, 'file')}, {format_bytes(self.bytes)} ({self.unchanged} unchanged{deleted})"

    @property
    def skipped_text(self) -> str:
        more = f", and {len(self.skipped) - 3} more" if len(self.skipped) > 3 else ""  # noqa: PLR2004
        return f"    skipped: {', '.join(self.skipped[:3])}{more}" if self.skipped else ""


class OutputsPulled(FilesCopied, commands="pull", style=GREEN):
    """A run's outputs were fetched from S3. `skipped` has the reason behind each path."""

    run: str
    """The id of the instance that began it."""

    def lines(self) -> list[str]:
        return [f"{self.host}: outputs of {self.run} copied to {self.dest}: {self.counts}", self.skipped_text]


class RunOutputs(Event, commands="outputs"):
    """The outputs of one run in S3."""

    experiment: str
    host: str
    """What HOST calls it: foo, or foo-2."""
    run: str
    """What RUN_ID calls it: the id of the instance that began it."""
    began: datetime
    files: int
    bytes: int
    changed: datetime | None
    """When the last file was uploaded; null without any."""
    state: Literal["running", "stopping", "stopped", "ended", "interrupted", "torn down"]
    """Of the instance, or ended once the command's exit status is known; of a run with neither, what ended it."""
    exit_code: int | None
    uri: str


class PortForwarded(Event, commands="forward jupyter tensorboard", text="{host}:{port}  {url}", style=GREEN):
    """A port of an instance is reachable on this computer. Reported again when a lost connection is back."""

    host: str
    port: int
    """On the instance's loopback."""
    local_port: int
    """Not the one that was asked for if that was taken."""
    url: str
    """For jupyter and tensorboard with the token that opens it."""


class PortRefused(Event, commands="forward jupyter tensorboard", style=YELLOW):
    """Something here connected to a forwarded port, and nothing listens there on the instance."""

    host: str
    ports: list[int]
    """One of these; ssh does not say which."""

    def lines(self) -> str:
        return f"{self.host}: nothing listens on port {' or '.join(map(str, self.ports))} there yet"


class ConnectionLost(
    Event,
    commands="forward jupyter tensorboard",
    text="{host}: the connection was lost ({reason}); connecting again in {seconds:.0f} s",
    style=YELLOW,
):
    """The connection ended; it is made again."""

    host: str
    reason: str
    seconds: float
    """Until the next try."""


class ServerStarted(Event, commands="jupyter tensorboard"):
    """A server runs on an instance, on loopback only."""

    host: str
    server: str
    account: str
    """Who it runs as."""
    port: int
    already_running: bool

    def lines(self) -> str:
        return f"{self.host}: {self.server} {'already runs' if self.already_running else 'runs'} as {self.account}"


class SweepStarted(Event, commands="sweep"):
    """A sweep begins."""

    experiment: str
    instance_types: list[str]
    markets: list[str]
    trials: list[str]
    """The experiments to launch."""
    launched_before: int

    def lines(self) -> str:
        before = f", {self.launched_before} were launched before" if self.launched_before else ""
        types, markets = " or ".join(self.instance_types), " or ".join(self.markets)
        return f"{self.experiment}: {len(self.trials)} to launch{before}; {types}, {markets}"


class TrialFinished(Event, commands="sweep"):
    """The launch of one trial succeeded, failed, or was not needed."""

    experiment: str
    state: str
    """runs, runs already, was launched before or failed."""
    reason: str
    """Of a failure; else empty."""
    exit_code: int | None
    """The exit code of its command, if it was launched before and that is known."""
    seconds: float
    instance: str
    """What is running where, in words; empty if nothing was launched."""
    parameters: dict[str, Any]

    def lines(self) -> str:
        what = {"runs": f"{self.instance}, after {self.seconds:.0f} s", "failed": f"failed: {self.reason}"}
        code = "" if self.exit_code is None else f"; its command {exited(self.exit_code)}"
        return f"  {self.experiment}  {what.get(self.state, self.state)}{code}"

    def color(self) -> str | None:
        return RED if self.exit_code else {"runs": GREEN, "failed": RED}.get(self.state)


class SweepComplete(Event, commands="sweep"):
    """The number of trials in each state."""

    experiment: str
    seconds: float
    outcomes: dict[str, int]

    def lines(self) -> str:
        words = {"runs": "run", "runs already": "ran already"}
        outcomes = ", ".join(f"{count} {words.get(state, state)}" for state, count in self.outcomes.items())
        return f"{self.experiment}: {outcomes or 'there was nothing to launch'}, after {self.seconds:.0f} s"
