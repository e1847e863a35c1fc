"""What an instance shows: a unique address, and its console.

The local cloud's instances do not run. A test may attach a real host to one: its address is then the host's, and its
console the text that the test provides. No file is read on request.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from local_cloud.lifecycle import backend
from local_cloud.request import Call
from local_cloud.responses import Answer, Problem
from local_cloud.scenario import Scenario

CONSOLE_BYTES = 64 * 1024
"""EC2 keeps this much console output."""
SELF_CONSOLE = "This instance of the local cloud does not run: it has no console.\n"
XEN = ("c3.", "c4.", "d2.", "f1.", "g2.", "g3.", "i2.", "i3.", "m3.", "m4.", "p2.", "p3.", "r3.", "r4.", "t2.", "x1.")
"""Types before Nitro, whose console output is available only some time after boot."""


def loopback_address(number: int) -> str:
    """Return a loopback address: moto's own would belong to others."""
    return f"127.{64 + number // 65536 % 64}.{number // 256 % 256}.{number % 256}"


@dataclass
class Hosts:
    """The addresses and consoles of instances."""

    _given: int = 0
    """How many addresses were assigned."""
    _consoles: dict[str, bytes] = field(default_factory=dict)

    def give_address(self, instance: Any) -> None:
        """Assign a public address to a new or restarted instance, if it gets one."""
        for interface in instance.nics.values():
            if interface.public_ip:
                self._given += 1
                interface.public_ip = loopback_address(self._given)

    def attach(self, region: str, identity: str, address: str, console: bytes) -> None:
        """Make an instance a real host."""
        instance = backend(region).get_instance(identity)
        for interface in instance.nics.values():
            interface.public_ip = address
        self._consoles[identity] = console

    def console(self, call: Call, scenario: Scenario, age: float) -> Answer:
        """Answer GetConsoleOutput for an instance of some seconds' age."""
        instance = backend(call.region).get_instance(call.params["InstanceId"])
        if call.params.get("Latest") == "true" and instance.instance_type.startswith(XEN):
            raise Problem(
                "UnsupportedOperation", "This instance type does not support retrieving the latest console logs."
            )
        text = self._consoles.get(instance.id, SELF_CONSOLE.encode())[-CONSOLE_BYTES:]
        output = base64.b64encode(text).decode() if age >= scenario.console_seconds else ""
        body = (
            '<GetConsoleOutputResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>local</requestId>'
            f"<instanceId>{escape(instance.id)}</instanceId><output>{output}</output></GetConsoleOutputResponse>"
        )
        return Answer(200, body.encode())
