"""Environment variables for nodes that work together, for torchrun and Ray. Pure.

The first node in launch order is the rendezvous.
"""

from __future__ import annotations

from collections.abc import Sequence

from ec2lab.errors import UserError
from ec2lab.hosts.inventory import by_launch_order
from ec2lab.instance_state import Instance

TORCH_PORT = 29500  # torchrun's own (https://docs.pytorch.org/docs/stable/elastic/run.html)
PATIENCE = 900
"""Seconds that torchrun's nodes wait for each other; its default is one minute
(https://docs.pytorch.org/docs/stable/elastic/rendezvous.html)."""
RAY_PORT = 6379  # that of `ray start --head` (https://docs.ray.io/en/latest/cluster/cli.html)


def mpi_hostfile(instances: Sequence[Instance]) -> str:
    """Return the private address of each instance, a line each, by rank."""
    return "".join(f"{address_of(instance)}\n" for instance in by_launch_order(instances))


def address_of(instance: Instance) -> str:
    """Return an instance's private address, IPv6 in a subnet without IPv4. Raises UserError where it has none."""
    if found := instance.get("PrivateIpAddress") or instance.get("Ipv6Address"):
        return str(found)
    raise UserError(f"{instance['InstanceId']}: has no address by which other nodes could reach it")


def node_environments(experiment: str, instances: Sequence[Instance]) -> dict[str, dict[str, str]]:
    """Return the environment of each instance's command, by id; empty for a single instance.

    torchrun reads its options from variables with the prefix PET_, so that a plain `torchrun train.py` works; `ray` and
    `ray.init()` read RAY_ADDRESS. torchrun is told which node has its store, and each node's address: it would use
    /etc/hosts, where a host's name may lead to 127.0.1.1.
    """
    nodes = by_launch_order(instances)
    if len(nodes) == 1:
        return {nodes[0]["InstanceId"]: {}}
    addresses = [address_of(instance) for instance in nodes]
    first = addresses[0]
    in_url = f"[{first}]" if ":" in first else first
    return {
        instance["InstanceId"]: {
            "NODES": str(len(nodes)),
            "NODE_RANK": str(rank),
            "NODE_ADDRESS": address,
            "NODE_ADDRESSES": " ".join(addresses),
            "MASTER_ADDR": first,
            "MASTER_PORT": str(TORCH_PORT),
            "PET_NNODES": str(len(nodes)),
            "PET_NODE_RANK": str(rank),
            "PET_RDZV_BACKEND": "c10d",
            "PET_RDZV_ENDPOINT": f"{in_url}:{TORCH_PORT}",
            "PET_RDZV_ID": experiment,
            "PET_RDZV_CONF": f"is_host={int(rank == 0)},join_timeout={PATIENCE},read_timeout={PATIENCE}",
            "PET_LOCAL_ADDR": address,
            "RAY_ADDRESS": f"{in_url}:{RAY_PORT}",
        }
        for rank, (instance, address) in enumerate(zip(nodes, addresses, strict=True))
    }
