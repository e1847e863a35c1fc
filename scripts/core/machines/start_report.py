"""What the screen, or a program, is told of a start."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from scripts.core import clock
from scripts.core.capacity.error_codes import ApiError
from scripts.core.console import Console
from scripts.core.hosts.ssh_files import Reach
from scripts.core.machines.stopping import Machine, state_of


class StartReport:
    """A listener that speaks to a console."""

    def __init__(self, console: Console, name: str) -> None:
        self.console = console
        self.name = name

    def refused(self, machine: Machine, refusal: ApiError) -> None:
        """Say what AWS answered."""
        identity, zone = machine["InstanceId"], machine["Placement"]["AvailabilityZone"]
        late = " after it had started" if refusal.late else ""
        self.console.say(
            f"  {identity} in {zone}: {refusal}{late}", "refused", style="yellow", id=identity, zone=zone,
            code=refusal.code, message=refusal.message, meaning=refusal.category.name, late=refusal.late,
        )  # fmt: skip

    def next_round(self, seconds: float, left: float) -> None:
        """Say when AWS is asked again."""
        at = f"{clock.now().astimezone() + timedelta(seconds=seconds):%H:%M:%S}"
        text = f"  asking again at {at}, for another {timedelta(seconds=round(left))}"
        self.console.say(text, "next-round", style="yellow", seconds=round(seconds, 3), left=round(left, 3))

    def waiting(self, machine: Machine) -> None:
        """Show what is waited for."""
        self.console.progress(f"  {machine['InstanceId']} is {state_of(machine)}")

    def says(self, said: str) -> None:
        """Say how far it is on the machine."""
        self.console.say(f"  {said}", "set-up", said=said)

    def runs(self, machines: Sequence[Machine]) -> None:
        """Say what runs."""
        for machine in machines:
            identity, zone = machine["InstanceId"], machine["Placement"]["AvailabilityZone"]
            self.console.say(f"{self.name} runs: {identity}, {machine['InstanceType']} in {zone}", "runs",
                             style="green", experiment=self.name, id=identity, zone=zone)  # fmt: skip

    def ends(self, machine: str, ends: str) -> None:
        """Say when a machine ends whose time began anew."""
        text = f"  ends    {machine} at {ends[:16].replace('T', ' ')} UTC: its ttl was over, and began anew"
        self.console.say(text, "ends", id=machine, ends=ends)

    def reached(self, reaches: Sequence[Reach]) -> None:
        """Say how the machines are reached now."""
        for reach in reaches:
            self.console.say(
                f"  reach   {reach.name} at {reach.address}", "reached", host=reach.name, address=reach.address
            )
        self.console.hint(f"  next    make ssh EXP={self.name}    make stop EXP={self.name}")
