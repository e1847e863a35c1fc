"""The lab's security group in a region: ssh from the configured networks, nothing else."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from ec2lab import clock
from ec2lab.aws.errors import RegionUnavailable, ignoring
from ec2lab.aws.tags import SHARED, from_aws, tag_specifications
from ec2lab.launch.part import LaunchContext, LaunchFragment, LaunchPart, Prerequisite
from ec2lab.launch.search import allowed_subnets
from ec2lab.polling import wait_until
from ec2lab.registry.base import Registry
from ec2lab.registry.ownership import Marks
from ec2lab.registry.record import Record, parse_time, person
from ec2lab.resources.reconcile import note_shown
from ec2lab.session import Session

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

FULL = "RulesPerSecurityGroupLimitExceeded"
POLL = 0.2, 5.0

VPC = "lab:vpc"  # the tag with the network of a group: a VPC's id, or `default`

Rules = dict[str, str]  # networks from which ssh is allowed -> the description of the rule


class LabNetwork(LaunchPart):
    """One security group per region, created on first use and tagged as the lab's."""

    name = "network"
    order = 40
    once_per_region = True

    def share(self, site: LaunchContext) -> LaunchFragment:
        vpc = _vpc(site)
        group = _group(site, vpc)
        wanted = _wanted(site.session)
        if group is None:
            make = partial(_make, site, vpc, wanted)
            return LaunchFragment(
                prerequisites=(Prerequisite(f"a security group in {site.region}, ssh from {_from(wanted)}", make),)
            )
        missing, surplus = difference(
            ssh_cidrs(group), wanted, only_mine=site.session.lab.network.ssh_allowed_cidrs == "auto"
        )
        if missing or surplus:
            fix = partial(_update_rules, site.session, site.region, group["GroupId"], missing, surplus)
            return LaunchFragment(
                prerequisites=(Prerequisite(f"the security group's rule: ssh from {_from(wanted)}", fix),)
            )
        return _share(group["GroupId"])


def allow_current_ip(session: Session, region: str) -> list[str]:
    """Allow ssh from the configured networks in all of the lab's groups in a region; return what was added."""
    filters: Any = [{"Name": f"tag:{SHARED}", "Values": [session.lab.name]}]
    added = []
    for group in _made_by_a_lab(session.cloud.ec2(region).describe_security_groups(Filters=filters)["SecurityGroups"]):
        missing, _ = difference(ssh_cidrs(group), _wanted(session), only_mine=True)
        _update_rules(session, region, group["GroupId"], missing, {})
        added += [f"{network} in {group['GroupId']}" for network in missing]
    return added


def _share(group: str) -> LaunchFragment:
    return LaunchFragment(request={"SecurityGroupIds": [group]})


def _from(rules: Rules) -> str:
    return ", ".join(rules)


def _wanted(session: Session) -> Rules:
    ssh_allowed_cidrs = session.lab.network.ssh_allowed_cidrs
    if ssh_allowed_cidrs != "auto":
        return dict.fromkeys(
            (str(ipaddress.ip_network(n)) for n in ssh_allowed_cidrs), "ec2-lab: ssh_allowed_cidrs of lab.toml"
        )
    return {session.cloud.caller_address(): mine()}


def mine() -> str:
    return description_of(person())


def ssh_cidrs(group: Mapping[str, Any]) -> Rules:
    rules: Rules = {}
    for permission in group["IpPermissions"]:
        if permission["IpProtocol"] == "tcp" and permission["FromPort"] == permission["ToPort"] == 22:  # noqa: PLR2004
            rules |= {r["CidrIp"]: r.get("Description", "") for r in permission.get("IpRanges", ())}
            rules |= {r["CidrIpv6"]: r.get("Description", "") for r in permission.get("Ipv6Ranges", ())}
    return rules


def difference(present: Rules, wanted: Rules, *, only_mine: bool) -> tuple[Rules, Rules]:
    """Return the rules to add and to remove; with `only_mine`, other users' addresses stay."""
    missing = {network: text for network, text in wanted.items() if network not in present}
    surplus = {
        network: text
        for network, text in present.items()
        if network not in wanted and (not only_mine or text in wanted.values())
    }
    return missing, surplus


def _vpc(site: LaunchContext) -> str:
    """Return the id of the VPC of the region's subnets, or `default`. Raises RegionUnavailable."""
    subnets = allowed_subnets(site.session.lab, site.experiment)
    if not subnets:
        return "default"
    if site.region not in subnets:
        raise RegionUnavailable(f"subnets: none is set for {site.region}")
    try:
        found = site.session.cloud.ec2(site.region).describe_subnets(SubnetIds=list(subnets[site.region]))["Subnets"]
    except ClientError as error:
        if not error.response["Error"]["Code"].startswith("InvalidSubnet"):
            raise
        message = error.response["Error"]["Message"]
        raise RegionUnavailable(f"subnets: {site.region}: {message}") from error
    vpcs = {subnet["VpcId"] for subnet in found}
    if len(vpcs) != 1:
        raise RegionUnavailable(f"subnets: {site.region}: all subnets must be in one VPC, not {sorted(vpcs)}")
    return vpcs.pop()


def _group(site: LaunchContext, vpc: str) -> Any:
    """Return the region's group, by its tags and by its name, which is unique in a VPC."""
    wanted = {f"tag:{SHARED}": site.session.lab.name, f"tag:{VPC}": vpc, "group-name": _name(site, vpc)}
    filters: Any = [{"Name": key, "Values": [value]} for key, value in wanted.items()]
    found = site.session.cloud.ec2(site.region).describe_security_groups(Filters=filters)["SecurityGroups"]
    return next(iter(_made_by_a_lab(found)), None)


def _made_by_a_lab(groups: Iterable[Any]) -> list[Any]:
    return [group for group in groups if Marks.read(from_aws(group.get("Tags")))]


def _shown(site: LaunchContext, vpc: str) -> Any:
    """Return the region's existing group once AWS shows it; None after a timeout."""
    return wait_until(lambda: _group(site, vpc), site.session.pause, POLL, site.session.cloud.consistency_seconds)


def _name(site: LaunchContext, vpc: str) -> str:
    # A group's name is that of its VPC, and the default VPC may later be configured by its id.
    return f"ec2-lab-{site.session.lab.name}" + ("" if vpc == "default" else f"-{vpc}")


def _make(site: LaunchContext, vpc: str, wanted: Rules) -> LaunchFragment:
    ec2 = site.session.cloud.ec2(site.region)
    name = _name(site, vpc)
    tags = {"Name": name, SHARED: site.session.lab.name, VPC: vpc}
    in_vpc: Any = {} if vpc == "default" else {"VpcId": vpc}
    try:
        group = ec2.create_security_group(
            GroupName=name,
            Description=f"ssh to the instances of ec2-lab {site.session.lab.name}",
            TagSpecifications=tag_specifications(tags, "security-group"),  # type: ignore[arg-type]
            **in_vpc,
        )["GroupId"]
    except ClientError as error:
        # Another launch created it in the meantime.
        if _code(error) != "InvalidGroup.Duplicate" or not (found := _shown(site, vpc)):
            raise
        # Or this one did, and the response was lost.
        note_shown(site.session, "security-group", found, site.region)
        group = found["GroupId"]
    # A new group is not known everywhere at once; wait before RunInstances uses it.
    ec2.get_waiter("security_group_exists").wait(GroupIds=[group], WaiterConfig={"Delay": 2, "MaxAttempts": 15})
    return _update_rules(site.session, site.region, group, wanted, {})


def _update_rules(session: Session, region: str, group: str, missing: Rules, surplus: Rules) -> LaunchFragment:
    """Add and remove rules one by one: others may do the same, and a rejected rule fails its whole call."""
    ec2 = session.cloud.ec2(region)
    for network, text in missing.items():
        with ignoring("InvalidPermission.Duplicate"):
            _admit(session, ec2, group, _ssh(network, text))
    for network, text in surplus.items():
        with ignoring("InvalidPermission.NotFound"):
            ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[_ssh(network, text)])
    return _share(group)


def _admit(session: Session, ec2: EC2Client, group: str, rule: Any) -> None:
    """Add a rule. If the group is full, replace the rule of a host that is no longer used."""
    while True:
        try:
            ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
        except ClientError as error:
            if _code(error) != FULL or not _make_room(session.registry, ec2, group):
                raise
        else:
            return


def _make_room(registry: Registry, ec2: EC2Client, group: str) -> bool:
    """Remove the oldest rule that nobody uses; return False if there is none."""
    rules = ssh_cidrs(ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0])
    for network in stale(rules, registry.records())[:1]:
        with ignoring("InvalidPermission.NotFound"):
            ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[_ssh(network, rules[network])])
        return True
    return False


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])


def _ssh(network: str, text: str) -> Any:
    permission: dict[str, Any] = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
    if ipaddress.ip_network(network).version == 4:  # noqa: PLR2004
        return permission | {"IpRanges": [{"CidrIp": network, "Description": text}]}
    return permission | {"Ipv6Ranges": [{"CidrIpv6": network, "Description": text}]}


SILENT = timedelta(days=1)
"""A host without calls for this long counts as gone. If it returns, its next launch adds it again."""
OURS = "ec2-lab: "
TAKEN = r"[^A-Za-z0-9 ._:/()#,@\[\]+=&;{}!$*-]"
"""Characters that AWS does not accept in a rule's description
(https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html)."""


def description_of(who: str) -> str:
    return re.sub(TAKEN, "_", f"{OURS}{who}")[:255]


def stale(rules: Mapping[str, str], records: Iterable[Record]) -> list[str]:
    """Return the networks whose rules are no longer used, those without calls for longest first."""
    heard: dict[str, datetime] = {}
    for record in records:
        who = description_of(str(record.actor).rpartition(":")[0])
        heard[who] = max(parse_time(record.time), heard.get(who, parse_time(record.time)))
    mine, never = description_of(person()), datetime.min.replace(tzinfo=clock.now().tzinfo)
    own = mine.partition("@")[0] + "@"
    found = [
        (heard.get(text, never), network)
        for network, text in rules.items()
        if text != mine and (text in heard or text.startswith(own)) and clock.now() - heard.get(text, never) > SILENT
    ]
    return [network for _, network in sorted(found)]
