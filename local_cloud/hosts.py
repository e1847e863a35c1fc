"""What an instance shows: a unique address, and its console.

The local cloud's instances do not run. Where this computer has an sshd, a stand-in answers ssh at the address
(local_cloud/ssh_stand_in.py), with the host key that the console shows. A test may attach a real host to an instance:
its address is then the host's, and its console the text that the test provides. No file is read on request.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from moto.ec2.models import ec2_backends

from local_cloud.lifecycle import ENDED, backend, instances_in
from local_cloud.request import ACCOUNT, Call
from local_cloud.responses import Answer, Problem, xml_answer
from local_cloud.scenario import Scenario
from local_cloud.ssh_stand_in import sshd

CONSOLE_BYTES = 64 * 1024  # EC2 keeps this much console output
SELF_CONSOLE = "This instance of the local cloud does not run: it has no console.\n"
STAND_IN_CONSOLE = """\
This instance of the local cloud does not run: a stand-in on this computer answers ssh.
-----BEGIN SSH HOST KEY KEYS-----
{key}
-----END SSH HOST KEY KEYS-----
"""
XEN = ("c3.", "c4.", "d2.", "f1.", "g2.", "g3.", "i2.", "i3.", "m3.", "m4.", "p2.", "p3.", "r3.", "r4.", "t2.", "x1.")
"""Types before Nitro, whose console output is available only some time after boot."""


def loopback_address(number: int) -> str:
    """Return a loopback address: moto's own would belong to others."""
    return f"127.{64 + number // 65536 % 64}.{number // 256 % 256}.{number % 256}"


def key_pair() -> tuple[str, str]:
    """Return a new private key, and its public half in one line, as OpenSSH writes them."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return private.decode(), key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


@dataclass
class Hosts:
    _given: int = 0  # how many addresses were assigned
    _consoles: dict[str, bytes] = field(default_factory=dict)
    _keys: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Host keys of stand-ins, created when they are first asked for."""

    def give_address(self, instance: Any) -> None:
        """Assign a public address to a new or restarted instance, if it gets one."""
        for interface in instance.nics.values():
            if interface.public_ip:
                self._given += 1
                interface.public_ip = loopback_address(self._given)

    def attach(self, region: str, identity: str, address: str, console: bytes) -> None:
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
        own = self._stand_in_console(instance.id) if scenario.stand_ins and sshd() else SELF_CONSOLE
        text = self._consoles.get(instance.id, own.encode())[-CONSOLE_BYTES:]
        output = base64.b64encode(text).decode() if age >= scenario.console_seconds else ""
        return xml_answer(call.action, f"<instanceId>{instance.id}</instanceId><output>{output}</output>")

    def _stand_in_console(self, identity: str) -> str:
        return STAND_IN_CONSOLE.format(key=self._key(identity)[1])

    def _key(self, identity: str) -> tuple[str, str]:
        if identity not in self._keys:
            self._keys[identity] = key_pair()
        return self._keys[identity]

    def stand_in(self, address: str) -> dict[str, Any]:
        """Return what the stand-in of the instance with an address needs. Raises LookupError."""
        instances = [instance for region in ec2_backends[ACCOUNT] for instance in instances_in(region)]
        for instance in instances:
            if any(interface.public_ip == address for interface in instance.nics.values()):
                alive = [one.id for one in instances if one.state not in ENDED]
                key, _ = self._key(instance.id)
                return {"instance": instance.id, "state": instance.state, "host_key": key, "instances": alive}
        raise LookupError(f"{address}: no instance has this address")
