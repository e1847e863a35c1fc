"""Nodes: a placement group, and a security group that allows all traffic between them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ec2lab.aws.errors import ignoring
from ec2lab.aws.tags import EXPERIMENT
from ec2lab.console import warn
from ec2lab.errors import UserError
from ec2lab.launch.part import LaunchContext, LaunchFragment, LaunchPart, Prerequisite
from ec2lab.launch.search import allowed_subnets
from ec2lab.polling import wait_until
from ec2lab.registry.record import new_id
from ec2lab.resources.idempotency import find_or_create

POLL, PATIENCE = (0.2, 5.0), 120  # interval and timeout, in seconds, for a new placement group


class Nodes(LaunchPart):
    """The groups of an experiment with several nodes, in each region that it tries. A teardown deletes them."""

    name = "nodes"
    order = 45
    """After the lab's own security group: an instance is in both."""

    def share(self, site: LaunchContext) -> LaunchFragment:
        if site.experiment.nodes == 1:
            return LaunchFragment()
        placement, security = _existing(site, "placement-group"), _existing(site, "security-group")
        share = LaunchFragment(efa_types=_efa_types(site))
        if placement:
            share += _placed(placement["GroupName"])
        else:
            share += _prepared(f"a cluster placement group in {site.region}", partial(_make_placement, site))
        if security and _allows_internal_traffic(security):
            share += _secured(security["GroupId"])
        else:
            share += _prepared(f"a security group of its own in {site.region}", partial(_make_security, site))
        return share


def _prepared(what: str, make: Any) -> LaunchFragment:
    return LaunchFragment(prerequisites=(Prerequisite(what, make),))


def _placed(name: str) -> LaunchFragment:
    return LaunchFragment(request={"Placement": {"GroupName": name}})


def _secured(group: str) -> LaunchFragment:
    return LaunchFragment(request={"SecurityGroupIds": [group]})


def _existing(site: LaunchContext, resource_type: str) -> Mapping[str, Any] | None:
    """Return the experiment's group of a resource type: one that this registry created."""
    ours = site.session.records.ownership(site.session.records.state(site.name))
    wanted = [{"Name": f"tag:{EXPERIMENT}", "Values": [site.name]}]
    known = site.session.resource_types[resource_type]
    for found in known.find(site.session.cloud, site.region, wanted):
        if ours.proves(known, found, site.name) and not known.is_deleted(found):
            return found
    return None


def _make_placement(site: LaunchContext) -> LaunchFragment:
    ec2 = site.session.cloud.ec2_no_retry(site.region)

    def make() -> Mapping[str, Any]:
        return ec2.create_placement_group(GroupName=_unique_name(site), Strategy="cluster")["PlacementGroup"]

    attempt = ("CreatePlacementGroup", site.region, {EXPERIMENT: site.name})
    found, _ = find_or_create(site.session, attempt, partial(_existing, site, "placement-group"), make, lambda _: None)
    _wait_until_available(site, found["GroupName"])
    return _placed(found["GroupName"])


def _wait_until_available(site: LaunchContext, name: str) -> None:
    wanted = [{"Name": "group-name", "Values": [name]}, {"Name": "state", "Values": ["available"]}]
    resource_type, cloud = site.session.resource_types["placement-group"], site.session.cloud
    if not wait_until(lambda: list(resource_type.find(cloud, site.region, wanted)), site.session.pause, POLL, PATIENCE):
        raise UserError(f"{site.region}: {name}: the placement group is not usable after {PATIENCE} s")


def _make_security(site: LaunchContext) -> LaunchFragment:
    ec2 = site.session.cloud.ec2_no_retry(site.region)

    def make() -> Mapping[str, Any]:
        said = f"what the nodes of {site.name} say to each other"
        return ec2.create_security_group(GroupName=_unique_name(site), Description=said, **_network(site))

    attempt = ("CreateSecurityGroup", site.region, {EXPERIMENT: site.name})
    found, _ = find_or_create(site.session, attempt, partial(_existing, site, "security-group"), make, lambda _: None)
    group = found["GroupId"]
    ec2 = site.session.cloud.ec2(site.region)
    ec2.get_waiter("security_group_exists").wait(GroupIds=[group], WaiterConfig={"Delay": 2, "MaxAttempts": 15})
    # EFA traffic bypasses the operating system and is not IP, so a rule for all addresses does not allow it
    # (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-start.html#efa-start-security).
    itself: Any = [{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}]
    for authorize in (ec2.authorize_security_group_ingress, ec2.authorize_security_group_egress):
        with ignoring("InvalidPermission.Duplicate"):
            authorize(GroupId=group, IpPermissions=itself)
    return _secured(group)


def _unique_name(site: LaunchContext) -> str:
    """Return a unique name, so that no other group, existing or being deleted, can be confused with it."""
    return f"ec2-lab-{site.session.lab.name}-{site.name}-{new_id()[:8]}"


def _network(site: LaunchContext) -> dict[str, Any]:
    """Return the group's VPC as a parameter, unless it is the default one."""
    subnets = allowed_subnets(site.session.lab, site.experiment).get(site.region)
    if not subnets:
        return {}
    found = site.session.cloud.ec2(site.region).describe_subnets(SubnetIds=[subnets[0]])["Subnets"]
    return {"VpcId": found[0]["VpcId"]}


def _allows_internal_traffic(group: Mapping[str, Any]) -> bool:
    return all(
        any(
            rule["IpProtocol"] == "-1" and group["GroupId"] in {pair["GroupId"] for pair in rule["UserIdGroupPairs"]}
            for rule in group.get(direction, ())
        )
        for direction in ("IpPermissions", "IpPermissionsEgress")
    )


def _efa_types(site: LaunchContext) -> frozenset[str]:
    """Return which of the experiment's types support an Elastic Fabric Adapter as their first network interface.

    The first interface must be on card 0, which on some types supports ordinary traffic only (p6-b300). Their adapters
    would be on other cards, and AWS gives an instance with several interfaces no public address.
    """
    wanted: Any = [
        {"Name": "instance-type", "Values": list(site.experiment.instance_types)},
        {"Name": "network-info.efa-supported", "Values": ["true"]},
    ]
    pages = site.session.cloud.ec2(site.region).get_paginator("describe_instance_types").paginate(Filters=wanted)
    takes = {
        found["InstanceType"]: takes_efa_first(found["NetworkInfo"])
        for page in pages
        for found in page["InstanceTypes"]
    }
    for instance_type in sorted(one for one, first in takes.items() if not first):
        warn(
            f"{instance_type} in {site.region}: its first network card does not support EFA, so it is launched without"
        )
    return frozenset(one for one, first in takes.items() if first)


def takes_efa_first(network: Mapping[str, Any]) -> bool:
    """Say whether a type's card 0 supports an EFA; unless AWS lists that, one adapter per card implies it."""
    cards = network.get("NetworkCards", ())
    first: Mapping[str, Any] = next((card for card in cards if card["NetworkCardIndex"] == 0), {})
    if "InterfaceTypes" in first:
        return "efa" in first["InterfaceTypes"]
    return int(network.get("EfaInfo", {}).get("MaximumEfaInterfaces", 1)) >= len(cards)
