"""Utilization of instances, read over ssh without an agent: once, or on a screen that is redrawn."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock

from pydantic_core import core_schema

from ec2lab import clock
from ec2lab.console import Console
from ec2lab.context import ContextThreadPool
from ec2lab.errors import UserError
from ec2lab.events.runs import InstanceMetrics
from ec2lab.hosts.named_hosts import HostToCall
from ec2lab.hosts.parallel import AT_ONCE
from ec2lab.hosts.program_packer import program
from ec2lab.hosts.protocol import parse_json
from ec2lab.instances.status import standing
from ec2lab.registry.shapes import TEXT, members, several, whole
from ec2lab.runs.logs import LogLines
from ec2lab.session import Session

INTERVAL = 2.0  # seconds between measurements
LOADING_INTERVAL = 15.0  # seconds between two questions to AWS how much data is loaded
PERCENT, BYTES = whole(0, 100), whole(0, 2**60)
GPU_FIELDS = 3
MEASURED = members(
    gpus=several(several(core_schema.nullable_schema(BYTES))), cpu=PERCENT, memory_used=BYTES, memory_total=BYTES,
    disk_read=BYTES, disk_written=BYTES, network_received=BYTES, network_sent=BYTES, line=TEXT,
)  # fmt: skip
HOME = "\x1b[H\x1b[J"  # clears the terminal


def parse_metrics(text: str, host: str) -> InstanceMetrics:
    """Read a line of templates/measure.py. Raises UserError."""
    told = parse_json(text, MEASURED, host)
    gpus: list[list[int | None]] = told.pop("gpus")
    if any(len(gpu) != GPU_FIELDS for gpu in gpus):
        raise UserError(f"{host}: reports GPUs in an unknown form")
    percent, used, total = ([gpu[field] for gpu in gpus] for field in range(GPU_FIELDS))
    return InstanceMetrics(host=host, gpu=percent, gpu_memory_used=used, gpu_memory_total=total, **told)


@dataclass
class MetricsReader:
    """Reads the metrics of several hosts, each in a thread."""

    session: Session
    hosts: Sequence[HostToCall]
    last: dict[str, InstanceMetrics] = field(default_factory=dict)
    """By host, what it told last, or the reason why nothing was told."""
    loaded: dict[str, int] = field(default_factory=dict)
    """By instance id, how many percent of its data AWS has loaded from snapshots."""
    _lock: Lock = field(default_factory=Lock)

    def read(self, count: int) -> Iterator[None]:
        """Read so many measurements of each host, or without end if 0. Yields now and then, until all have ended."""
        threads = ContextThreadPool(min(AT_ONCE, len(self.hosts)) + 1)
        try:
            loading = threads.submit(self._follow_loading, once=bool(count))
            reading = [*(threads.submit(self._read, one, count) for one in self.hosts), *([loading] if count else [])]
            while not all(one.done() for one in reading):
                yield
                clock.nap(INTERVAL / 10)
        finally:
            self.session.over.set()
            threads.shutdown(wait=False, cancel_futures=True)

    def rows(self) -> list[InstanceMetrics]:
        """Return the last metrics of each host, in the order of the hosts."""
        with self._lock:
            return [
                self.last[one.host.name].model_copy(update={"loaded": self.loaded.get(one.id)})
                for one in self.hosts
                if one.host.name in self.last
            ]

    def _follow_loading(self, *, once: bool) -> None:
        """Ask AWS how much of the instances' data is loaded, until all of it is."""
        known, mine = self.session.records.state(), {one.id for one in self.hosts}
        instances = replace(known, live=[one for one in known.live if one.id in mine], unresolved=[], unknown=[])
        while instances.live:
            details = {one.id: one.details.get("loaded", "") for one in standing(self.session, instances).resources}
            self.loaded = {found: int(share[:-1]) for found, share in details.items() if share.endswith("%")}
            if once or set(self.loaded.values()) <= {100} or clock.sleep_unless(self.session.over, LOADING_INTERVAL):
                break

    def _read(self, one: HostToCall, count: int) -> None:
        name, lines = one.host.name, LogLines()

        def heard(kind: str, content: bytes) -> None:
            for line in lines.taken(content) if kind == "out" else ():
                self._keep(parse_metrics(line, name))

        seconds = str(1.0 if count else INTERVAL)
        try:
            one.connected().run_streamed(program("measure.py"), seconds, str(count), heard=heard)
        except UserError as problem:
            self._keep(InstanceMetrics(host=name, problem=str(problem)))

    def _keep(self, metrics: InstanceMetrics) -> None:
        with self._lock:
            self.last[metrics.host] = metrics


def draw(console: Console, rows: Sequence[InstanceMetrics]) -> None:
    """Draw the screen again. The console escapes what a terminal would obey: a log's last line is anybody's text."""
    sys.stdout.write(HOME)
    console.emit_table(rows)
    sys.stdout.flush()
