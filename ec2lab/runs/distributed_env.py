"""What nodes that work together are told of each other, in the words of torchrun and Ray. Pure.

The first of them, in the order in which AWS made them, is everybody's meeting point.
"""

from __future__ import annotations

from collections.abc import Sequence

from ec2lab.errors import UserError
from ec2lab.hosts.inventory import by_launch_order
from ec2lab.instance_state import Instance

TORCH_PORT = 29500
"""torchrun's own (https://docs.pytorch.org/docs/stable/elastic/run.html)."""
PATIENCE = 900
"""Seconds that torchrun's nodes wait for each other; by itself it gives a node one minute to come before the others
(https://docs.pytorch.org/docs/stable/elastic/rendezvous.html)."""
RAY_PORT = 6379
"""That of `ray start --head` (https://docs.ray.io/en/latest/cluster/cli.html)."""


def mpi_hostfile(instances: Sequence[Instance]) -> str:
    """Return the private address of each instance, a line each, in the order of their ranks."""
    return "".join(f"{address_of(instance)}\n" for instance in by_launch_order(instances))


def address_of(instance: Instance) -> str:
    """Return an instance's private address; in a subnet without IPv4 its IPv6 one. Raises UserError where it has
    none.
    """  # noqa: D205
    if found := instance.get("PrivateIpAddress") or instance.get("Ipv6Address"):
        return str(found)
    raise UserError(f"{instance['InstanceId']}: has no address by which other nodes could reach it")


def node_environments(experiment: str, instances: Sequence[Instance]) -> dict[str, dict[str, str]]:
    """Return by id what each instance's command finds in its environment; nothing where it is alone.

    torchrun takes its options from variables of their names with PET_ before them, so that a plain `torchrun train.py`
    will do; RAY_ADDRESS is what `ray` and `ray.init()` look for. torchrun is told which node has its store, and by
    what address each is known: it would ask /etc/hosts, where the name of a host may lead to 127.0.1.1.
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
