"""Work on several hosts in parallel, one thread per host. A host that fails or hangs does not delay the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event

from ec2lab.context import ContextThreadPool
from ec2lab.errors import UserError
from ec2lab.hosts.call_failures import Unreachable
from ec2lab.hosts.named_hosts import HostToCall
from ec2lab.hosts.ssh import Host
from ec2lab.units import exited

AT_ONCE = 64
NAMED = 3  # maximum number of hosts that an error names
NOT_REACHED = 255  # exit status when ssh fails, the same as ssh's own (ssh(1), EXIT STATUS)


@dataclass(frozen=True, slots=True)
class HostOutcome:
    host: str
    exit_code: int
    reason: str = ""  # why the work failed; empty if the exit code is that of the command

    def __str__(self) -> str:
        return self.reason or f"{self.host}: the command {exited(self.exit_code)}"


class HostsFailed(UserError):
    """The work failed on some hosts. The exit status is that of the first."""

    def __init__(self, outcomes: Sequence[HostOutcome]) -> None:
        failed = [one for one in outcomes if one.exit_code]
        more = f"; and {len(failed) - NAMED} more hosts" if len(failed) > NAMED else ""
        of_all = f"{len(failed)} of {len(outcomes)} hosts failed: " if len(outcomes) > 1 else ""
        super().__init__(f"{of_all}{'; '.join(map(str, failed[:NAMED]))}{more}")
        self.exit_status = failed[0].exit_code


def on_each(
    over: Event, hosts: Sequence[HostToCall], work: Callable[[Host], int], heard: Callable[[HostOutcome], None]
) -> None:
    """Call `work`, which returns an exit status, for each host, and `heard` with each outcome. Raises HostsFailed."""

    def done(one: HostToCall) -> HostOutcome:
        try:
            outcome = HostOutcome(one.host.name, work(one.connected()))
        except UserError as problem:
            status = NOT_REACHED if isinstance(problem, Unreachable) else problem.exit_status
            outcome = HostOutcome(one.host.name, status, str(problem))
        heard(outcome)
        return outcome

    with ContextThreadPool(AT_ONCE) as threads:
        try:
            outcomes = list(threads.map(done, hosts))
        except BaseException:
            over.set()
            threads.shutdown(wait=True, cancel_futures=True)
            raise
    if any(outcome.exit_code for outcome in outcomes):
        raise HostsFailed(outcomes)
