"""A machine's ssh host keys, from its console: a channel that AWS authenticates, so no first login goes unchecked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from scripts.core.lab.public_key import public_key

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

BLOCK = re.compile(r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", re.DOTALL)
"""Between these lines cloud-init prints the keys
(https://docs.cloud-init.io/en/latest/reference/modules.html#keys-to-console)."""
KEY = re.compile(r"((?:ssh-|ecdsa-sha2-)[a-z0-9-]+) ([A-Za-z0-9+/=]+)")


def console_of(ec2: EC2Client, instance: str) -> str:
    """Return what a machine has printed on its console so far; without Nitro, only now and then."""
    try:
        output = ec2.get_console_output(InstanceId=instance, Latest=True).get("Output", "")
    except ClientError as refusal:
        if refusal.response["Error"]["Code"] not in ("UnsupportedOperation", "InvalidParameterCombination"):
            raise
        output = ec2.get_console_output(InstanceId=instance).get("Output", "")
    return output


def host_keys_in(console: str) -> list[str]:
    """Return the host keys in a console's text, "ssh-ed25519 AAAA…" each: those of the last boot that is whole in it.

    Other lines may come between them on a console, and what is no key is passed over.
    """
    blocks = BLOCK.findall(console)
    found = [f"{kind} {body}" for kind, body in KEY.findall(blocks[-1])] if blocks else []
    return [key for key in dict.fromkeys(found) if _is_key(key)]


def _is_key(text: str) -> bool:
    try:
        public_key(text)
    except ValueError:
        return False
    return True
