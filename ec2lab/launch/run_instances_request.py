"""Builds the RunInstances request from the parts' fragments and a pool, and checks what AWS would reject."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ec2lab.aws.tags import checked, tag_specifications
from ec2lab.capacity_pools import Market, MarketType, Pool
from ec2lab.errors import UserError
from ec2lab.launch.part import LaunchFragment, merged
from ec2lab.launch.user_data import cloud_init, user_data
from ec2lab.registry.instance_timeline import market_of

IOPS = {"gp3": (3000, 80000), "io1": (100, 64000), "io2": (100, 256000)}
IOPS_PER_GIB = {"gp3": 500, "io1": 50, "io2": 1000}
GIB = {"gp3": (1, 65536), "gp2": (1, 16384), "io1": (4, 16384), "io2": (4, 65536), "st1": (125, 16384),
       "sc1": (125, 16384)}  # fmt: skip
THROUGHPUT = {"gp3": (125, 2000)}
GP3_IOPS, GP3_THROUGHPUT_SHARE = 3000, 0.25
"""MiB/s. The limits of the volume types
(https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EbsBlockDevice.html)."""


EC2_MARKETS = {"spot": MarketType.SPOT, "capacity-block": MarketType.CAPACITY_BLOCK}
"""By market, the MarketType of the request."""


def build_request(share: LaunchFragment, pool: Pool, most: int = 1, least: int = 1) -> dict[str, Any]:
    """Return the request to a pool for `least` to `most` instances. Raises UserError."""
    request = {
        **_drop_placement_group_if_reserved(merged(share.request, _place(pool), "RunInstances"), pool),
        "InstanceType": pool.instance_type,
        "MinCount": least,
        "MaxCount": most,
        "UserData": user_data(cloud_init(_document(share))),
        **_market(pool),
    }
    if pool.instance_type in share.efa_types:
        request = _with_efa(request)
    if share.tags:
        request["TagSpecifications"] = tag_specifications(checked(dict(share.tags)), "instance")
    check_block_devices(request.get("BlockDeviceMappings", []))
    return request


def pool_of(request: Mapping[str, Any], region: str) -> Pool:
    interface: Mapping[str, Any] = next(iter(request.get("NetworkInterfaces", ())), {})
    target = request.get("CapacityReservationSpecification", {}).get("CapacityReservationTarget", {})
    reservation = target.get("CapacityReservationId", "")
    bought = EC2_MARKETS.get(market_of(request), MarketType.RESERVATION if reservation else MarketType.ON_DEMAND)
    zone, subnet = request.get("Placement", {}).get("AvailabilityZone"), request.get("SubnetId")
    market, subnet = Market(bought, reservation), subnet or interface.get("SubnetId")
    return Pool(region, str(request.get("InstanceType", "")), market, zone, subnet)


def _document(share: LaunchFragment) -> Mapping[str, Any]:
    runcmd = answering_for_all(share.cloud_init.get("runcmd", []))
    return {**share.cloud_init, "runcmd": runcmd} if runcmd else share.cloud_init


def _place(pool: Pool) -> dict[str, Any]:
    if pool.subnet:
        return {"SubnetId": pool.subnet}
    return {"Placement": {"AvailabilityZone": pool.zone}} if pool.zone else {}


def _drop_placement_group_if_reserved(request: dict[str, Any], pool: Pool) -> dict[str, Any]:
    """Return a request without a placement group if its capacity is reserved.

    Instances use a reservation only in the reservation's own placement group, or in none if it has none. The instances
    of a Capacity Block are placed close together anyway
    (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/cr-groups.html,
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-capacity-blocks.html).
    """
    if not pool.market.reservation or "Placement" not in request:
        return request
    place = {key: value for key, value in request["Placement"].items() if key != "GroupName"}
    rest = {key: value for key, value in request.items() if key != "Placement"}
    return {**rest, "Placement": place} if place else rest


def _with_efa(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request whose only network interface is an EFA, with the subnet and the groups moved to it.

    Only one, even for types that have more: AWS gives an instance with several no public address
    (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceNetworkInterfaceSpecification.html).
    """
    moved = {"SecurityGroupIds": "Groups", "SubnetId": "SubnetId"}
    own = {name: request[key] for key, name in moved.items() if key in request}
    rest = {key: value for key, value in request.items() if key not in moved}
    interface = {"DeviceIndex": 0, "NetworkCardIndex": 0, "InterfaceType": "efa", "DeleteOnTermination": True, **own}
    return {**rest, "NetworkInterfaces": [interface]}


def _market(pool: Pool) -> dict[str, Any]:
    named = {"CapacityReservationId": pool.market.reservation}
    target = {"CapacityReservationSpecification": {"CapacityReservationTarget": named}}
    match pool.market.type:
        case MarketType.SPOT:
            one_time = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
            return {"InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": one_time}}
        case MarketType.RESERVATION:
            return target
        case MarketType.CAPACITY_BLOCK:
            return {"InstanceMarketOptions": {"MarketType": "capacity-block"}, **target}
    return {}


def check_block_devices(mappings: list[Mapping[str, Any]]) -> None:
    names = [mapping.get("DeviceName") for mapping in mappings]
    for name in names:
        if not name:
            raise UserError("launch parts: a block device mapping without its DeviceName")
        if names.count(name) > 1:
            raise UserError(f"volumes: {name} is used twice; is it the root device (root_volume.device in lab.toml)?")
    for mapping in mappings:
        volume = mapping.get("Ebs", {})
        kind, where = volume.get("VolumeType", "gp3"), f"volume {mapping['DeviceName']}"
        _within(where, "iops", volume.get("Iops"), kind, IOPS)
        _within(where, "throughput", volume.get("Throughput"), kind, THROUGHPUT)
        iops, size, throughput = volume.get("Iops"), volume.get("VolumeSize"), volume.get("Throughput")
        if throughput and throughput > (iops or GP3_IOPS) * GP3_THROUGHPUT_SHARE:
            raise UserError(f"{where}: throughput: gp3 allows 1 MiB/s for every 4 iops; request more iops")
        _within(where, "size_gib", size, kind, GIB)
        if size and iops and iops > max(size * IOPS_PER_GIB[kind], IOPS[kind][0]):
            raise UserError(f"{where}: iops = {iops}: {kind} gives {IOPS_PER_GIB[kind]} for each of its {size} GiB")
        if kind in ("io1", "io2") and iops is None:
            raise UserError(f"{where}: {kind} requires iops (try iops = 3000)")


def verify_root_device(instance: Mapping[str, Any], request: Mapping[str, Any]) -> None:
    """Raise UserError if an instance's root device is not the requested one.

    With a wrong device name, EC2 creates an additional empty volume, and the root volume is the image's: small and
    unencrypted.
    """
    named = request["BlockDeviceMappings"][0]["DeviceName"]
    if (device := instance.get("RootDeviceName", named)) != named:
        raise UserError(f'lab.toml: root_volume.device: is {named}, the image has {device} (try device = "{device}")')


def _within(where: str, key: str, value: int | None, kind: str, limits: Mapping[str, tuple[int, int]]) -> None:
    if value is None:
        return
    if kind not in limits:
        raise UserError(f"{where}: {key} can't be set for {kind} (only for {', '.join(limits)})")
    least, most = limits[kind]
    if not least <= value <= most:
        raise UserError(f"{where}: {key} = {value}: {kind} takes {least} to {most}")


Command = str | Sequence[object]  # a command of cloud-init's runcmd: a shell command, or a list of words


def answering_for_all(commands: Sequence[Command]) -> list[str]:
    """Return `runcmd` lines that run all commands, name each one that fails, and fail at the end if any did.

    cloud-init writes them into one shell script, whose exit status is that of its last command
    (https://docs.cloud-init.io/en/latest/reference/modules.html#runcmd).
    """
    return [*(_watched(command) for command in commands), "exit ${failed:-0}"] if commands else []


def _quoted(word: str) -> str:
    """Return a word in quotes, even where a shell needs none: it would parse an unquoted `else`."""
    return "'" + word.replace("'", "'\"'\"'") + "'"


def _watched(command: Command) -> str:
    run = f"{{ {command}\n}}" if isinstance(command, str) else " ".join(_quoted(str(word)) for word in command)
    named = command if isinstance(command, str) else shlex.join(str(word) for word in command)
    return f"{run} || {{ failed=1; echo {shlex.quote(f'ec2-lab: FAILED: {named}')}; }}"
