"""Network interfaces of a RunInstances request, which moto does not validate.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
"""

from __future__ import annotations

import re

from moto.ec2.models.instance_types import INSTANCE_TYPES

from local_cloud.lifecycle import backend
from local_cloud.request import Call
from local_cloud.responses import Problem

INSTANCE_LEVEL = {"SecurityGroupId": "security groups", "SecurityGroup": "security groups", "SubnetId": "subnet ID"}


def check_interfaces(call: Call) -> None:
    interfaces = call.numbered("NetworkInterface")
    for prefix, named in INSTANCE_LEVEL.items() if interfaces else ():
        if call.params.get(prefix) or call.values(prefix):
            raise Problem(
                "InvalidParameterCombination",
                f"Network interfaces and an instance-level {named} may not be specified on the same request",
            )
    if len(interfaces) > 1 and any(one.get("AssociatePublicIpAddress") == "true" for one in interfaces):
        raise Problem(
            "InvalidParameterCombination",
            "The associatePublicIPAddress parameter cannot be specified when launching with multiple network "
            "interfaces.",
        )
    wanted = call.params.get("InstanceType", "")
    if any(one.get("InterfaceType") == "efa" for one in interfaces):
        described = INSTANCE_TYPES.get(wanted, {})
        if not described.get("NetworkInfo", {}).get("EfaSupported"):
            raise Problem("Unsupported", f"The instance type '{wanted}' does not support EFA interfaces.")
        cards = {str(card["NetworkCardIndex"]): card for card in described["NetworkInfo"]["NetworkCards"]}
        for one in interfaces:
            card, kind = one.get("NetworkCardIndex", "0"), one.get("InterfaceType", "interface")
            if kind not in cards.get(card, {}).get("InterfaceTypes", [kind]):
                raise Problem(
                    "Unsupported", f"Network card {card} of '{wanted}' does not support interfaces of type '{kind}'."
                )


def to_instance_level(call: Call) -> None:
    """Turn a single interface into the instance's own, which moto handles better."""
    interfaces = call.numbered("NetworkInterface")
    if len(interfaces) != 1 or "NetworkInterfaceId" in interfaces[0]:
        return
    for name in [name for name in call.params if name.startswith("NetworkInterface.")]:
        del call.params[name]
    call.params |= {
        name: value
        for name, value in interfaces[0].items()
        if name == "SubnetId" or name.startswith("SecurityGroupId.")
    }


def with_owners(body: bytes, region: str) -> bytes:
    """Return a description with the owners of public addresses as EC2 has them: of one that came with an instance it is
    amazon, of an elastic one the account
    (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceNetworkInterfaceAssociation.html).
    """  # noqa: D205
    elastic = {address.public_ip.encode() for address in backend(region).addresses}

    def owned(found: re.Match[bytes]) -> bytes:
        if any(b"<publicIp>" + address + b"<" in found[0] for address in elastic):
            return found[0]
        return re.sub(rb"<ipOwnerId>[^<]*<", b"<ipOwnerId>amazon<", found[0])

    return re.sub(rb"<association>.*?</association>", owned, body, flags=re.DOTALL)
