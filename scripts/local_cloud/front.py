"""The layer in front of moto: each call passes through it, in the order in which EC2 itself would decide."""

from __future__ import annotations

import select
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from scripts.local_cloud import images, machines, validation
from scripts.local_cloud.answers import Answer, Disconnected, Problem, error, error_page
from scripts.local_cloud.call import Call
from scripts.local_cloud.client_tokens import ClientTokens
from scripts.local_cloud.machines import Machines
from scripts.local_cloud.placement import Placed, Wanted, place
from scripts.local_cloud.stand_ins import stand_in, with_spot_prices
from scripts.local_cloud.weather import Fault, Weather

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]
LONGEST_HANG = 60.0


@dataclass
class Front:
    """The local cloud's state beside moto's, and the way of a call through it."""

    moto: Wsgi
    weather: Weather
    machines: Machines = field(default_factory=Machines)
    tokens: ClientTokens = field(default_factory=ClientTokens)
    log: list[dict[str, Any]] = field(default_factory=list)
    """Every call on the wire."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    """moto is not made for many threads."""

    def answer(self, call: Call) -> Answer:
        """Answer one call. Raises Disconnected where no answer is to arrive."""
        entry = self._logged(call)
        time.sleep(self.weather.latency_in(call.region))
        with self.lock:
            fault = self.weather.fault_for(call.action, call.region)
        entry["fault"] = fault and (fault.kind or fault.code)
        answer = self._faulty(call, fault) if fault else self._carried_out(call)
        entry |= {"status": answer.status, "code": answer.code}
        return answer

    def _logged(self, call: Call) -> dict[str, Any]:
        entry: dict[str, Any] = {"time": time.time(), "key": call.key, "service": call.service, "region": call.region}
        entry |= {"action": call.action, "params": call.shown(), "status": None, "code": None}
        self.log.append(entry)
        return entry

    def _faulty(self, call: Call, fault: Fault) -> Answer:
        match fault.kind:
            case "html-503":
                return error_page()
            case "reset-before":
                raise Disconnected
            case "reset-after":
                self._carried_out(call)
                raise Disconnected
            case "truncated":
                answer = self._carried_out(call)
                answer.truncated = True
                return answer
            case "hang-after":
                self._carried_out(call)
                _wait_for_the_caller_to_go(call)
                raise Disconnected
        return error(Problem(fault.code or "InternalError", fault.message))

    def _carried_out(self, call: Call) -> Answer:
        with self.lock:
            self.machines.keep_appointments()
            try:
                if answer := stand_in(call, self.weather.quotas):
                    return answer
                return self._by_ec2(call) if call.service == "ec2" else self._by_moto(call)
            except Problem as problem:
                return error(problem)

    def _by_ec2(self, call: Call) -> Answer:
        asked = {key: value for key, value in call.params.items() if key != "ClientToken"}
        if call.action == "RunInstances":
            images.resolve(call)
        validation.check(call)
        if call.params.get("DryRun") == "true" and call.changes_something():
            raise Problem("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
        if earlier := self.tokens.earlier_answer(call, asked):
            return self._again(call, earlier)
        if call.action == "RunInstances":
            answer = self._run_instances(call)
        elif call.action in ("DescribeInstances", "DescribeVolumes", "TerminateInstances"):
            with self.machines.unseen_hidden(call.region):
                answer = self._other(call)
        else:
            answer = self._other(call)
        if answer.code is None:
            self.tokens.remember(call, asked, answer)
        return answer

    def _again(self, call: Call, earlier: Answer) -> Answer:
        """Answer a repeated request as the first time, unless its machine is dead by now."""
        for identity in machines.ids_in(earlier.body) if call.action == "RunInstances" else ():
            if machines.backend(call.region).get_instance(identity).state == "terminated":
                raise Problem(
                    "IdempotentInstanceTerminated", "The request token was used by an instance that is terminated."
                )
        return Answer(earlier.status, earlier.body)

    def _run_instances(self, call: Call) -> Answer:
        placed = self._placed(call)
        if "SubnetId" not in call.params:
            call.params["Placement.AvailabilityZone"] = placed.zone
        call.params |= {"MinCount": str(placed.count), "MaxCount": str(placed.count)}
        answer = self._by_moto(call)
        if answer.code is None:
            self.machines.started(call, machines.ids_in(answer.body), placed, self.weather)
            answer.body = machines.without_block_devices(answer.body)
        return answer

    def _placed(self, call: Call) -> Placed:
        params = call.params
        subnet = params.get("SubnetId")
        zone = machines.backend(call.region).get_subnet(subnet).availability_zone if subnet else None
        wanted = Wanted(
            call.region,
            params["InstanceType"],
            params.get("InstanceMarketOptions.MarketType", "on-demand"),
            zone or params.get("Placement.AvailabilityZone"),
            int(params.get("MinCount", "1")),
            int(params.get("MaxCount", "1")),
        )
        offered = validation.offered_zones(call.region, wanted.instance_type)
        return place(wanted, offered, self.weather, self.machines.alive_under)

    def _other(self, call: Call) -> Answer:
        # moto ends a machine at once; where it is to shut down for a while, the layer ends it and moto only answers.
        if call.action == "TerminateInstances":
            return self._terminated(call)
        if call.action == "DeleteKeyPair" and (identity := call.params.get("KeyPairId")):
            # moto deletes by name alone, and says yes to anything.
            pairs = machines.backend(call.region).key_pairs.values()
            call.params["KeyName"] = next((pair.key_name for pair in pairs if pair.id == identity), identity)
        answer = self._by_moto(call)
        if call.action == "DescribeSpotPriceHistory":
            answer.body = with_spot_prices(answer.body)
        return answer

    def _terminated(self, call: Call) -> Answer:
        known = machines.backend(call.region)
        unknown = [i for i in call.values("InstanceId") if known.get_instance_by_id(i) is None]
        if unknown:
            what = f"ID '{unknown[0]}' does" if len(unknown) == 1 else f"IDs '{', '.join(unknown)}' do"
            raise Problem("InvalidInstanceID.NotFound", f"The instance {what} not exist")
        before = {identity: known.get_instance_by_id(identity).state for identity in call.values("InstanceId")}
        self.machines.terminate(call, self.weather)
        return _terminating({i: (was, known.get_instance_by_id(i).state) for i, was in before.items()})

    def _by_moto(self, call: Call) -> Answer:
        caught: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
            caught["status"], caught["type"] = (
                int(status.split(maxsplit=1)[0]),
                dict(headers).get("Content-Type", "text/xml"),
            )

        body = b"".join(self.moto(call.rewritten(), start_response))
        answer = Answer(caught["status"], body, caught["type"])
        answer.body = body.replace(b"<requestId>request-id<", f"<requestId>{answer.request_id}<".encode())
        answer.code = _code_in(answer)
        return answer


def _code_in(answer: Answer) -> str | None:
    if answer.status < 400:  # noqa: PLR2004
        return None
    _, _, rest = answer.body.partition(b"<Code>")
    return rest.partition(b"</Code>")[0].decode() or str(answer.status)


def _terminating(states: dict[str, tuple[str, str]]) -> Answer:
    items = "".join(
        f"<item><instanceId>{identity}</instanceId>"
        f"<currentState><code>{machines.CODES[now]}</code><name>{now}</name></currentState>"
        f"<previousState><code>{machines.CODES[was]}</code><name>{was}</name></previousState></item>"
        for identity, (was, now) in states.items()
    )
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<TerminateInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
        f"<requestId>{uuid.uuid4()}</requestId><instancesSet>{items}</instancesSet></TerminateInstancesResponse>"
    )
    return Answer(200, body.encode())


def _wait_for_the_caller_to_go(call: Call) -> None:
    connection = call.environ.get("werkzeug.socket")
    if connection is not None:
        select.select([connection], [], [], LONGEST_HANG)
