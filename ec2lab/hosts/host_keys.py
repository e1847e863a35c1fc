"""An instance's ssh host keys, from its console: a channel that AWS authenticates, so the first login is verified."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from ec2lab.config.public_key import fingerprint, public_key
from ec2lab.events import Log
from ec2lab.hosts.ssh import Host
from ec2lab.hosts.ssh_config import SshConfig, SshTarget
from ec2lab.polling import wait_until
from ec2lab.session import Session

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

BLOCK = re.compile(r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", re.DOTALL)
"""cloud-init prints the keys between these lines
(https://docs.cloud-init.io/en/latest/reference/modules.html#keys-to-console)."""
KEY = re.compile(r"((?:ssh-|ecdsa-sha2-)[a-z0-9-]+) ([A-Za-z0-9+/=]+)")


def console_output(ec2: EC2Client, instance: str) -> str:
    """Return an instance's console output so far; without Nitro it is updated only now and then."""
    try:
        output = ec2.get_console_output(InstanceId=instance, Latest=True).get("Output", "")
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("UnsupportedOperation", "InvalidParameterCombination"):
            raise
        output = ec2.get_console_output(InstanceId=instance).get("Output", "")
    return output


def parse_host_keys(console: str) -> list[str]:
    """Return the host keys, "ssh-ed25519 AAAA…" each, of the last complete boot; other lines may be interleaved."""
    blocks = BLOCK.findall(console)
    found = [f"{kind} {body}" for kind, body in KEY.findall(blocks[-1])] if blocks else []
    return [key for key in dict.fromkeys(found) if _is_key(key)]


def _is_key(text: str) -> bool:
    try:
        public_key(text)
    except ValueError:
        return False
    return True


POLL = 1.0, 10.0
TRUSTED = "trusted-on-first-use"
"""The annotation with a host key that was trusted without having been seen on the console."""


@dataclass(frozen=True)
class Pinning:
    session: Session
    experiment: str
    reach: SshTarget
    say: Log

    @property
    def files(self) -> SshConfig:
        return SshConfig(self.session.directory)

    @property
    def keys(self) -> list[str]:
        return self.files.pinned(self.experiment, self.reach.instance)

    def pin_from_console(self, seconds: float) -> Host:
        """Return the host, its key pinned as the console shows it within so many seconds; else it is to be trusted."""
        if not self.keys:
            if seconds:
                self.say(f"{self.reach.name}: reading its host key from its console")
            # Without keys the file is created all the same, for ssh to write the first one into.
            self.files.pin(self.experiment, self.reach.instance, self._on_console(seconds))
        trusting = not self.keys
        if trusting:
            self.say(
                f"{self.reach.name}: no host key on its console{self._end}; the first that it presents will be trusted"
            )
        return Host(
            self.reach.name, self.files.config, trust_on_first_use=trusting, timeout=self.session.lab.ssh.login_timeout
        )

    def record_tofu_key(self, host: Host) -> Host:
        """Report and record a key that was trusted on first use; return the host, which must show it from now on."""
        if host.trust_on_first_use:
            prints = [fingerprint(key) for key in self.keys]
            self.say(f"{self.reach.name}: trusted on first use: {', '.join(prints)}")
            self.session.recorder.annotate(**{TRUSTED: {"instance": self.reach.instance, "fingerprints": prints}})
        return replace(host, trust_on_first_use=False)

    @property
    def _end(self) -> str:
        lines = [line.strip() for line in self._console().splitlines() if line.strip()]
        return f" (which ends: {lines[-1][-100:]})" if lines else ""

    def _console(self) -> str:
        return console_output(self.session.cloud.ec2(self.reach.region), self.reach.instance)

    def _on_console(self, seconds: float) -> list[str]:
        return wait_until(lambda: parse_host_keys(self._console()), self.session.pause, POLL, seconds)
