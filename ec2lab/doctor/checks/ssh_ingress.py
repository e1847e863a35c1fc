"""The address of this computer against what the lab's security groups admit: the usual reason why ssh hangs."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from functools import partial
from typing import Literal

from ec2lab.account.region_facts import caller_address, shared_groups
from ec2lab.doctor.check import Check, Diagnosis, Finding, Look, Requirement, Severity
from ec2lab.doctor.context import DoctorContext
from ec2lab.doctor.runner import answers
from ec2lab.doctor.sample_resources import sample_resource_ids
from ec2lab.launch.parts.network import allow_current_ip, ssh_cidrs
from ec2lab.session import Session

ADMITTED = Diagnosis("address-allowed", Severity.OK, "ssh from {address} is admitted in {subjects}")
NO_GROUP_YET = Diagnosis("no-group-yet", Severity.OK, "{subjects}: no security group yet, the first launch makes it")
NOT_ADMITTED = Diagnosis(
    "address-not-allowed", Severity.WRONG, "ssh from {address} is not admitted by {group} in {subjects}: it hangs",
    "the next launch in that region admits it; for instances that run, `make doctor FIX=1` does",
)  # fmt: skip
ADMITTED_ON_NEXT_LAUNCH = Diagnosis(
    "address-allowed-on-next-launch", Severity.OK,
    "no instance of the lab runs in {subjects}; the next launch there admits ssh from {address}",
)  # fmt: skip
NOT_IN_LIST = Diagnosis(
    "address-not-in-list", Severity.WARNING, "this computer's {address} is in no network of ssh_allowed_cidrs in "
                                             "lab.toml",
    "go through the network that is (a VPN), or add it to ssh_allowed_cidrs, and `make doctor FIX=1` for "
    "instances that run",
)  # fmt: skip


class Address(Check):
    """Each region's group of the lab."""

    name = "ssh-ingress"
    order = 63
    needs = Requirement.AWS

    def looks(self, lab: DoctorContext) -> Iterator[Look]:
        """Ask for the address and for the groups, then compare."""
        lab.begin(caller_address)
        for region in lab.regions:
            lab.begin(shared_groups, region)
            lab.begin(sample_resource_ids, region)
        yield partial(self.look, lab)

    def look(self, lab: DoctorContext) -> Iterator[Finding]:
        """Say where this computer may come in."""
        address = lab.begin(caller_address).result()
        ssh_allowed_cidrs = lab.lab.network.ssh_allowed_cidrs
        if not contains_address(ssh_allowed_cidrs, address):
            yield NOT_IN_LIST.of(address=bare(address))
            return
        told, untold = answers({region: lab.begin(shared_groups, region) for region in lab.regions})
        yield from untold
        for region, groups in told.items():
            if not groups:
                yield NO_GROUP_YET.of(region)
            for group in groups:
                if contains_address(list(ssh_cidrs(group)), address):
                    yield ADMITTED.of(region, address=bare(address))
                elif "instance" in lab.begin(sample_resource_ids, region).result():
                    yield NOT_ADMITTED.of(region, address=bare(address), group=group["GroupId"])
                else:
                    yield ADMITTED_ON_NEXT_LAUNCH.of(region, address=bare(address))

    def fix(self, session: Session, finding: Finding) -> Iterator[str]:
        """Admit this computer's address as a launch would."""
        if finding.diagnosis is NOT_ADMITTED:
            for region in finding.subjects:
                yield from (f"ssh is admitted from {added}, {region}" for added in allow_current_ip(session, region))


def contains_address(networks: Literal["auto"] | list[str], address: str) -> bool:
    """Say whether one of some networks holds an address; `auto` is the address itself."""
    if networks == "auto":
        return True
    own = ipaddress.ip_network(address)
    return any(
        own.version == there.version and own.subnet_of(there)  # type: ignore[arg-type]  # of one version
        for there in map(ipaddress.ip_network, networks)
    )


def bare(network: str) -> str:
    """Return the address of a network of one."""
    return network.partition("/")[0]
