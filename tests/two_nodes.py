"""Two nodes and a network between them: namespaces, each with cloud-init's /etc/hosts and a bridge of docker's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

HOSTS = "127.0.0.1 localhost\n127.0.1.1 {name}.ec2.internal {name}\n"
"""As `manage_etc_hosts: true` has it (https://docs.cloud-init.io/en/latest/reference/modules.html#update-etc-hosts)."""
BEGIN = 'hostname "$1" && mount --bind "$2" /etc/hosts && echo ready && exec sleep infinity'
ADDRESSES = ("10.99.0.1", "10.99.0.2")
ADDRESSES_6 = ("fd99::1", "fd99::2")


class Node:
    """A node: what runs on it has its network, its name, and its /etc/hosts."""

    def __init__(self, number: int, directory: Path) -> None:
        """Start it."""
        self.number, self.name, self.address = number, f"node-{number}", ADDRESSES[number]
        directory.mkdir(parents=True, exist_ok=True)
        hosts = directory / f"{self.name}.hosts"
        hosts.write_text(HOSTS.format(name=self.name))
        unshare = ["unshare", "--net", "--mount", "--uts", "--fork", "--kill-child"]
        self.process = subprocess.Popen(
            [*unshare, "sh", "-c", BEGIN, "sh", self.name, hosts], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        if self.process.stdout.readline() != b"ready\n":
            pytest.skip("this root can make no network namespaces: run the tests with SYS_ADMIN and NET_ADMIN")
        self.first = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0]
        self.enter = ["nsenter", f"--target={self.first}", "--net", "--mount", "--uts"]

    def run(self, *command: str) -> subprocess.CompletedProcess:
        """Run a command there."""
        done = subprocess.run([*self.enter, *command], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


def two_nodes(directory: Path) -> list[Node]:
    """Start two nodes, and connect them."""
    nodes = [Node(number, directory) for number in range(2)]
    peer = ["peer", "name", "ens5", "netns", nodes[1].first]
    subprocess.run(["ip", "link", "add", "ens5", "netns", nodes[0].first, "type", "veth", *peer], check=True)
    for node, address_6 in zip(nodes, ADDRESSES_6, strict=True):
        node.run("ip", "link", "add", "docker0", "type", "bridge")
        for interface, address in (("docker0", "172.17.0.1/16"), ("ens5", f"{node.address}/24")):
            node.run("ip", "address", "add", address, "dev", interface)
        node.run("ip", "address", "add", f"{address_6}/64", "dev", "ens5", "nodad")
        for interface in ("lo", "docker0", "ens5"):
            node.run("ip", "link", "set", interface, "up")
    return nodes
