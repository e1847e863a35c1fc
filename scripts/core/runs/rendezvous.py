"""What nodes that work together are told of each other, in the words of torchrun and Ray. Pure.

The first of them, in the order in which AWS made them, is everybody's meeting point.
"""

from __future__ import annotations

from collections.abc import Sequence

from scripts.core.hosts.hosts import in_order
from scripts.core.launch.asking import Instance

TORCH_PORT = 29500
"""torchrun's own (https://docs.pytorch.org/docs/stable/elastic/run.html)."""
RAY_PORT = 6379
"""That of `ray start --head` (https://docs.ray.io/en/latest/cluster/cli.html)."""


def host_file(machines: Sequence[Instance]) -> str:
    """Return the private address of each machine, a line each, in the order of their ranks."""
    return "".join(f"{machine['PrivateIpAddress']}\n" for machine in in_order(machines))


def environments_of(experiment: str, machines: Sequence[Instance]) -> dict[str, dict[str, str]]:
    """Return by id what each machine's command finds in its environment; nothing where it is alone.

    torchrun takes its options from variables of their names with PET_ before them, so that a plain `torchrun train.py`
    will do; RAY_ADDRESS is what `ray` and `ray.init()` look for.
    """
    nodes = in_order(machines)
    if len(nodes) == 1:
        return {nodes[0]["InstanceId"]: {}}
    addresses = [machine["PrivateIpAddress"] for machine in nodes]
    first = addresses[0]
    return {
        machine["InstanceId"]: {
            "NODES": str(len(nodes)),
            "NODE_RANK": str(rank),
            "NODE_ADDRESS": address,
            "NODE_ADDRESSES": " ".join(addresses),
            "MASTER_ADDR": first,
            "MASTER_PORT": str(TORCH_PORT),
            "PET_NNODES": str(len(nodes)),
            "PET_NODE_RANK": str(rank),
            "PET_RDZV_BACKEND": "c10d",
            "PET_RDZV_ENDPOINT": f"{first}:{TORCH_PORT}",
            "PET_RDZV_ID": experiment,
            "RAY_ADDRESS": f"{first}:{RAY_PORT}",
        }
        for rank, (machine, address) in enumerate(zip(nodes, addresses, strict=True))
    }
