"""One launch: the search asks pool after pool until a machine runs; what fails on the way is taken down again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Protocol

from scripts.core.asking import Instance, Refused, ask, wait_until_running
from scripts.core.aws_errors import in_one_line
from scripts.core.capacity import Pool, Search, Wishes
from scripts.core.config import Experiment
from scripts.core.errors import LabError
from scripts.core.kind import Resource
from scripts.core.launch_part import RegionUnready
from scripts.core.record import new_id
from scripts.core.refusals import Meaning, Refusal
from scripts.core.region_shares import RegionShares
from scripts.core.removal import living, remove_everything
from scripts.core.resources import GONE, SETTLED
from scripts.core.run_request import request_for
from scripts.core.session import Session


class Listener(Protocol):
    """Who is told how a launch gets on."""

    def asking(self, pool: Pool) -> None:
        """A pool is about to be asked."""

    def refused(self, pool: Pool, refusal: Refusal) -> None:
        """It refused, at once or late."""

    def region_unready(self, region: str, reason: str) -> None:
        """A region is passed over."""

    def started(self, pool: Pool, machine: Instance) -> None:
        """A machine was made, and is pending."""

    def taking_down(self) -> None:
        """The launch failed or was interrupted, what it made is being deleted."""

    def deleted(self, resource: Resource) -> None:
        """AWS was asked to delete a resource."""


class Launch:
    """The launch of one experiment's machine."""

    def __init__(self, session: Session, name: str, experiment: Experiment, listener: Listener) -> None:
        self.session = session
        self.name = name
        self.experiment = experiment
        self.listener = listener
        self.shares = RegionShares(session, name, experiment)
        self._may_hold_something = False

    @cached_property
    def search(self) -> Search:
        """Where is asked, and in which order."""
        wanted, subnets = self.experiment, self.session.lab.network.subnets
        wishes = Wishes(self.regions, wanted.types, wanted.markets, wanted.zones or (), subnets)
        return Search(wishes, self._zones_offering)

    @property
    def regions(self) -> Sequence[str]:
        """The regions that come into question, in the order of preference."""
        return self.experiment.regions or self.session.lab.regions

    def run(self) -> Instance:
        """Return the description of a running machine. Raises LabError where none is to be had, with nothing left."""
        refuse_if_living(self.session, self.name)
        with self._taking_down_on_failure():
            for pool in self.search.round():
                if machine := self._try(pool):
                    return machine
            raise LabError(self._in_vain())

    def _try(self, pool: Pool) -> Instance | None:
        """Ask one pool; None where it refuses."""
        if not self._is_ready(pool):
            return None
        try:
            return self._machine_from(pool)
        except Refused as no:
            self._may_hold_something = False
            self.search.refused(pool, no.refusal)
            self.listener.refused(pool, no.refusal)
            if no.refusal.meaning is Meaning.STOP:
                reason = in_one_line(no.refusal.code, no.refusal.message)
                raise LabError(f"{pool.region}: {reason}") from no
        # While this region is still being asked, the others can be looked at.
        self.shares.look_at(self.regions)
        return None

    def _is_ready(self, pool: Pool) -> bool:
        """Have all at hand that a machine there needs; False where the region lacks something."""
        try:
            request_for(
                self.shares.plain(pool.region), pool
            )  # what AWS would refuse is refused before anything is made
            self.shares.ready(pool.region)
        except RegionUnready as lack:
            self.search.region_unready(pool.region, str(lack))
            self.listener.region_unready(pool.region, str(lack))
            return False
        return True

    def _machine_from(self, pool: Pool) -> Instance:
        request = request_for(self.shares.ready(pool.region), pool)
        self.listener.asking(pool)
        self._may_hold_something = True
        started = ask(self.session.cloud.ec2_asking_once(pool.region), request, token=new_id())[0]
        self.listener.started(pool, started)
        machine = wait_until_running(self.session.cloud.ec2(pool.region), started["InstanceId"])
        check_root(machine, request)
        return machine

    @contextmanager
    def _taking_down_on_failure(self) -> Iterator[None]:
        try:
            yield
        except BaseException as problem:  # Ctrl-C too: a machine that nobody knows of costs money
            if self._may_hold_something:
                self._take_down(problem)
            raise

    def _take_down(self, problem: BaseException) -> None:
        self.listener.taking_down()
        try:
            remove_everything(self.session, self.name, self.listener.deleted)
        except BaseException as failure:
            first, second = (str(error) or "interrupted" for error in (problem, failure))
            how = f"run `make teardown EXP={self.name}`"
            raise LabError(f"{first}; and what was made could not be taken down ({second}): {how}") from failure

    def _zones_offering(self, region: str) -> Mapping[str, Sequence[str]]:
        zones: dict[str, list[str]] = {}
        offers = self.session.cloud.ec2(region).get_paginator("describe_instance_type_offerings")
        wanted: Any = [{"Name": "instance-type", "Values": list(self.experiment.types)}]
        for page in offers.paginate(LocationType="availability-zone", Filters=wanted):
            for offer in page["InstanceTypeOfferings"]:
                zones.setdefault(offer["InstanceType"], []).append(offer["Location"])
        return {instance_type: sorted(offered) for instance_type, offered in zones.items()}

    def _in_vain(self) -> str:
        """Return why there is no machine, in one line."""
        reasons = "; ".join(dict.fromkeys(self.search.ruled_out.values()))
        if not self.search.refusals:
            return f"{self.name}: no region will do: {reasons}"
        return (
            f"{self.name}: no machine to be had: {len(self.search.refusals)} pools refused"
            f"{f' ({reasons})' if reasons else ''}; add types, markets or regions to "
            f"experiments/{self.name}.toml, or try again later"
        )


def refuse_if_living(session: Session, name: str) -> None:
    """Raise LabError, saying where, if an experiment owns anything; note in the registry what is gone by now.

    What the registry takes for living, or for possibly made, is looked up in AWS, which has the last word.
    """
    known = session.holdings(name)
    if not known.living and not known.unsettled:
        return
    regions = {r.region for r in known.living} | {str(intent.region) for intent in known.unsettled}
    if found := living(session, name, regions):
        shown = ", ".join(f"{r} {r.state}, since {r.since}".rstrip(" ,") for r in found)
        raise LabError(f"{name} already lives: {shown}; `make teardown EXP={name}` ends it")
    settled = [intent.id for intent in known.unsettled]
    session.recorder.note(**{GONE: [r.id for r in known.living], SETTLED: settled})


def check_root(machine: Instance, request: Mapping[str, Any]) -> None:
    """Refuse a machine whose root volume is not the one that was asked for. Raises LabError.

    A wrong root.device makes an empty extra volume, and leaves the root as the image has it: small and unencrypted.
    """
    named = request["BlockDeviceMappings"][0]["DeviceName"]
    if (device := machine.get("RootDeviceName", named)) != named:
        raise LabError(f'lab.toml: root.device: is {named}, the image has {device} (write root.device = "{device}")')
