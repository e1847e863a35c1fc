"""The path of a call: it is logged, takes its time, may fail on the wire, and is executed one at a time."""

from __future__ import annotations

import re
import select
import threading
import traceback
from dataclasses import dataclass, field
from random import Random
from typing import Any

from moto.core.exceptions import ServiceException

from local_cloud import clock, clock_skew
from local_cloud.direct_snapshots import DirectSnapshots
from local_cloud.ec2 import Ec2
from local_cloud.moto_backend import Wsgi, ask
from local_cloud.regions import check_open, to_bucket_region
from local_cloud.request import Call
from local_cloud.responses import Answer, ConnectionDropped, Problem, error, json_answer, load_balancer_503
from local_cloud.saved_state import SavedState
from local_cloud.scenario import Fault, Scenario
from local_cloud.seed import Seeder
from local_cloud.stub_services import EventHistory, stub_response, with_spot_prices
from local_cloud.tags import check_iam_tags
from local_cloud.throttle import Throttle

MAX_HANG = 60.0  # seconds after which a caller that does not give up is disconnected
STATE = ("scenario", "log", "ec2", "seeded", "direct_snapshots", "trail", "throttle", "chance")
"""The state of the layer between calls."""


@dataclass
class Pipeline:
    moto: Wsgi
    scenario: Scenario
    log: list[dict[str, Any]] = field(default_factory=list)  # every call on the wire
    lock: threading.Lock = field(default_factory=threading.Lock)  # moto is not thread-safe
    saved: dict[str, SavedState] = field(default_factory=dict)  # snapshots of the whole cloud, by id
    ec2: Ec2 = field(init=False)
    seeded: Seeder = field(init=False)
    direct_snapshots: DirectSnapshots = field(init=False)
    trail: EventHistory = field(init=False)

    def __post_init__(self) -> None:
        self.begin(self.scenario)

    def begin(self, scenario: Scenario) -> None:
        self.ec2 = Ec2(self._by_moto, scenario)
        self.seeded = Seeder()
        self.direct_snapshots = DirectSnapshots()
        self.trail = EventHistory()
        self.set_scenario(scenario)
        self.log = []
        self.saved.clear()

    def save(self) -> SavedState:
        state = {name: getattr(self, name) for name in STATE}
        return SavedState({**state, "moment": (clock.now(), clock.monotonic())}, [self])

    def restore(self, saved: SavedState) -> None:
        """Restore everything: what was due in a second is due in a second again."""
        state = saved.restored()
        clock.CLOCK.resume(*state.pop("moment"))
        vars(self).update(state)

    def set_scenario(self, scenario: Scenario) -> None:
        self.scenario = self.ec2.scenario = scenario
        self.throttle = Throttle(scenario.buckets)
        self.chance = Random(scenario.seed)  # noqa: S311 - a test's scenario is no secret
        self.ec2.visibility.chance = Random(scenario.seed)  # noqa: S311

    def answer(self, call: Call) -> Answer:
        """Answer one call. Raises ConnectionDropped where no response is to arrive."""
        entry, world = self._logged(call), self.ec2
        clock.sleep(self.scenario.latency_of(call.action, call.region))
        with self.lock:
            fault = self.scenario.fault_for(call.action, call.region, self.chance) or self._is_throttled(call)
        entry["fault"] = fault and (fault.kind or fault.code)
        answer = self._inject_fault(call, fault, world) if fault else self._in_time(call, world)
        entry |= {"status": answer.status, "code": answer.code}
        return answer

    def _is_throttled(self, call: Call) -> Fault | None:
        if self.throttle.takes(call.action, call.region):
            return None
        return Fault(code="RequestLimitExceeded", message="Request limit exceeded.")

    def _logged(self, call: Call) -> dict[str, Any]:
        entry: dict[str, Any] = {"time": clock.now().timestamp(), "key": call.key, "service": call.service}
        entry |= {"region": call.region, "action": call.action, "params": call.shown(), "status": None, "code": None}
        self.log.append(entry)
        return entry

    def _in_time(self, call: Call, world: Ec2) -> Answer:
        """Answer by the cloud's own clock, if the caller's does not differ too much."""
        skew = self.scenario.clock_skew
        if problem := clock_skew.refusal(call, skew):
            return clock_skew.ahead(error(problem, call.protocol), skew)
        return clock_skew.ahead(self._execute(call, world), skew)

    def _inject_fault(self, call: Call, fault: Fault, world: Ec2) -> Answer:
        match fault.kind:
            case "html-503":
                return load_balancer_503()
            case "reset-before":
                raise ConnectionDropped
            case "reset-after":
                self._execute(call, world)
                raise ConnectionDropped
            case "truncated":
                answer = self._execute(call, world)
                answer.truncated = True
                return answer
            case "torn":
                answer = self._execute(call, world)
                answer.body = answer.body[: len(answer.body) // 2]
                return answer
            case "hang-after":
                self._execute(call, world)
                _wait_for_the_caller_to_go(call)
                raise ConnectionDropped
        answer = error(Problem(fault.code or "InternalError", fault.message), call.protocol)
        answer.status = fault.status or answer.status
        return answer

    def _execute(self, call: Call, world: Ec2) -> Answer:
        with self.lock:
            if world is not self.ec2:
                raise ConnectionDropped  # it was in flight when the cloud was reset or restored
            self.ec2.instances.run_due_transitions(self.scenario)
            self.ec2.snapshots.run_due_transitions()
            try:
                check_open(call, self.scenario)
                self.seeded.have(call.region)
                return self._decided(call)
            except Problem as problem:
                return error(problem, call.protocol)
            except ServiceException as of_moto:  # the layer's own call to moto
                return error(Problem(of_moto.code, of_moto.message), call.protocol)
            except Exception:  # noqa: BLE001 - werkzeug would answer with a page
                traceback.print_exc()
                return error(Problem("InternalError", "An internal error has occurred"), call.protocol)

    def _decided(self, call: Call) -> Answer:
        if answer := stub_response(call, self.scenario):
            return answer
        if call.service == "iam":
            check_iam_tags(call)
        if elsewhere := to_bucket_region(call):
            return elsewhere
        if call.service in ("ebs", "iam", "dynamodb"):
            self.ec2.visibility.check(call)
        if call.service == "ebs":
            answer = self.direct_snapshots.answer(call)
            self.ec2.visibility.made(call, answer, self.scenario)
            return answer
        if (call.service, call.action) == ("cloudtrail", "LookupEvents"):
            return json_answer(self.trail.lookup(call))
        answer = self.ec2.answer(call) if call.service == "ec2" else self._by_moto(call)
        if call.service in ("iam", "dynamodb"):
            self.ec2.visibility.made(call, answer, self.scenario)
        self.trail.write(call, answer)
        return answer

    def _by_moto(self, call: Call) -> Answer:
        answer = ask(self.moto, call)
        if call.action == "DescribeSpotPriceHistory":
            answer.body = with_spot_prices(answer.body, call.region)
        elif call.action == "GetCallerIdentity":
            # CloudTrail names the caller by its key, so that is a user's name here.
            answer.body = re.sub(rb":sts:(:\d+:user)/moto", rb":iam:\1/" + call.key.encode(), answer.body)
        return answer


def _wait_for_the_caller_to_go(call: Call) -> None:
    connection = call.environ.get("werkzeug.socket")
    if connection is not None:
        select.select([connection], [], [], MAX_HANG)
