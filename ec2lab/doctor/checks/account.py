"""Checks of the AWS account: credentials, regions, quotas, and the lab's tags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from math import prod

from ec2lab import clock
from ec2lab.capacity_pools import Pool
from ec2lab.config.models import Experiment
from ec2lab.doctor.check import Check, Requirement
from ec2lab.doctor.context import DoctorContext
from ec2lab.doctor.regions import (
    CLOSED,
    cpus,
    in_use,
    known_types,
    malformed_tags,
    missing_images,
    network_problems,
    offered,
    opt_in_states,
    quota_values,
    types_of,
)
from ec2lab.doctor.runner import collect
from ec2lab.findings import Finding, error, ok, warning
from ec2lab.launch.quotas import quota_of
from ec2lab.validators import did_you_mean

SOON = timedelta(hours=1)
ELSE = "`aws sts get-caller-identity` with the same profile fails too; `aws configure list` shows their source"

CALLER = ok("identity", "{arn} in account {account}")
IDENTITY_UNKNOWN = error("identity-unknown", "{reason}", "{remedy}")
NOT_REACHED = error("aws-unreachable", "{reason}", "check your network connection; HTTPS_PROXY sets a proxy")
ROOT_USER = warning(
    "root-user", "these are the root user's credentials, which no policy can limit",
    "create a role or user with docs/iam-policy.json, and delete the root user's access keys",
)  # fmt: skip
CREDENTIALS_EXPIRE_SOON = warning(
    "credentials-expire-soon", "the credentials expire in {minutes} minutes", "run `aws sso login` before a long launch"
)


class Credentials(Check):
    """Whether there are credentials that AWS accepts, whose, and until when."""

    name = "credentials"
    order = 40
    needs = Requirement.ANSWER

    def run(self, lab: DoctorContext) -> Iterator[Finding]:
        caller = lab.caller()
        if caller.problem:
            if caller.unreached:
                yield NOT_REACHED.of(reason=caller.problem)
            else:
                otherwise = "" if lab.lab.cloud == "local" else ELSE
                yield IDENTITY_UNKNOWN.of(reason=caller.problem, remedy=caller.remedy or otherwise)
            return
        yield CALLER.of(arn=caller.arn, account=caller.account)
        if caller.is_root:
            yield ROOT_USER.of()
        ends = lab.opened.cloud.credentials_expiry()
        if ends and ends - clock.now() < SOON:
            yield CREDENTIALS_EXPIRE_SOON.of(minutes=max(0, round((ends - clock.now()).total_seconds() / 60)))


REGION_OK = ok("regions-ok", "{subjects}: enabled, with network, image and instance types")
NO_REGION = error(
    "no-such-region", "{region} is not an AWS region{hint}", "correct regions in lab.toml or in the experiment"
)
NOT_OPTED_IN = error(
    "not-opted-in", "the account has not opted in to {subjects}",
    "enable it under Account, AWS Regions in AWS's console, or remove it from regions in lab.toml",
)  # fmt: skip
NO_NETWORK = error(
    "no-network", "{subjects}: {lack}", "`aws ec2 create-default-vpc`, or set [network.subnets] in lab.toml"
)
NO_IMAGE = warning(
    "image-missing", "{subjects}: no image {lack}; launches skip it",
    "set another `image` in lab.toml or in the experiment",
)  # fmt: skip
NO_IMAGE_ANYWHERE = error(
    "image-nowhere", "{subjects}: no image {lack}", "set another `image` in lab.toml or in the experiment"
)
TYPE_NOT_OFFERED = warning(
    "type-not-offered", "{type} of {experiment} is not offered in {subjects}",
    "nothing, if other regions offer it; else change the types or regions in experiments/{experiment}.toml",
)  # fmt: skip
NO_TYPE_ANYWHERE = error(
    "type-nowhere", "none of the types of {experiment} is offered in {subjects}",
    "change the types or regions in experiments/{experiment}.toml",
)  # fmt: skip


class Regions(Check):
    """Each region of the lab and of its experiments."""

    name = "regions"
    order = 60
    needs = Requirement.AWS
    facts = (network_problems, missing_images, offered)

    def run(self, lab: DoctorContext) -> Iterator[Finding]:
        found = [*_enabled(lab), *_networks(lab), *_images(lab), *_types(lab)]
        yield from found
        bad = {subject for one in found for subject in one.subjects}
        if good := [region for region in lab.regions if region not in bad]:
            yield REGION_OK.of(*good)


def _enabled(lab: DoctorContext) -> Iterator[Finding]:
    lab.require_aws()
    states = lab.begin(opt_in_states).result()
    for region in lab.regions:
        if region not in states:
            # Its name is the subject, so that it does not count as usable.
            yield Finding(NO_REGION, (region,), (("region", region), ("hint", did_you_mean(region, states))))
        elif states[region] == CLOSED:
            yield NOT_OPTED_IN.of(region)


def _networks(lab: DoctorContext) -> Iterator[Finding]:
    facts, failures = collect(lab.begin_everywhere(network_problems))
    yield from failures
    yield from (NO_NETWORK.of(region, lack=lack) for region, lack in facts.items() if lack)


def _images(lab: DoctorContext) -> Iterator[Finding]:
    facts, failures = collect(lab.begin_everywhere(missing_images))
    yield from failures
    for lack in dict.fromkeys(lack for lacks in facts.values() for lack in lacks):
        lacking = [region for region, lacks in facts.items() if lack in lacks]
        yield (NO_IMAGE_ANYWHERE if len(lacking) == len(facts) else NO_IMAGE).of(*lacking, lack=lack)


def _types(lab: DoctorContext) -> Iterable[Finding]:
    facts, failures = collect(lab.begin_everywhere(offered))
    yield from failures
    types, unknown_gpus = collect({name: lab.begin(types_of, name) for name in lab.experiments})
    yield from unknown_gpus
    for name in types:
        seen = [region for region in lab.regions_of(name) if region in facts]
        if seen and not any(one in facts[region] for region in seen for one in types[name]):
            yield NO_TYPE_ANYWHERE.of(*seen, experiment=name)
            continue
        for region in seen:
            for one in types[name]:
                if one not in facts[region]:
                    yield TYPE_NOT_OFFERED.of(region, type=one, experiment=name)


ASK = "AWS's console, Service Quotas, EC2, {quota!r}, in that region: request {wanted} or more, days ahead"

SUFFICIENT = ok("quotas-sufficient", "sufficient for {subjects}")
QUOTA_TOO_LOW = warning(
    "quota-too-low", "{experiment} on {type}: {quota!r} is {value} vCPUs in {subjects}, {wanted} are needed", ASK
)
QUOTA_INSUFFICIENT_EVERYWHERE = error(
    "quota-insufficient", "no quota in {subjects} suffices for {experiment}: {instances} x {types}",
    "AWS's console, Service Quotas, EC2: request {wanted} vCPUs of the types' family; or use other types or regions",
)  # fmt: skip
IN_USE = warning(
    "quota-in-use",
    "{experiment} on {type}: {used} of {value} vCPUs of {quota!r} in {subjects} are in use, {wanted} are needed",
    "wait for other instances to end, or tear some down: `make status`, `make audit`",
)  # fmt: skip
SWEEP = warning(
    "quota-below-sweep",
    "{experiment}: {quota!r} in {subjects} allows {at_once} of its {combinations} combinations at a time", ASK,
)  # fmt: skip
QUOTA_UNREADABLE = warning(
    "quotas-unreadable", "the quotas of {subjects} can't be read: {reason}",
    "docs/iam-policy.json has the permissions; for any other reason, see the message",
)  # fmt: skip


class Quotas(Check):
    """Types, markets and numbers of instances of each experiment, in each region."""

    name = "quotas"
    order = 62
    needs = Requirement.AWS
    facts = (quota_values, cpus, in_use)

    def run(self, lab: DoctorContext) -> Iterator[Finding]:
        lab.require_aws()
        facts, failures = collect(lab.begin_everywhere(quota_values))
        values = {region: known for region, (known, _) in facts.items()}
        sizes, failed_sizes = collect(lab.begin_everywhere(cpus))
        used, failed_used = collect(lab.begin_everywhere(in_use))
        yield from (*failures, *failed_sizes, *failed_used)
        yield from (QUOTA_UNREADABLE.of(region, reason=why) for region, (known, why) in facts.items() if not known)
        readable = [region for region in lab.regions if values.get(region) and region in sizes]
        for name, experiment in lab.experiments.items():
            places = [region for region in lab.regions_of(name) if region in readable]
            pools = [Pool(r, t, m) for r in places for t in known_types(lab, name) for m in experiment.markets]
            found = [one for pool in pools for one in _of_pool(name, experiment, pool, values, sizes, used)]
            if pools and sum(one.diagnosis is QUOTA_TOO_LOW for one in found) == len(pools):
                wanted = max(int(dict(one.values)["wanted"]) for one in found)
                yield QUOTA_INSUFFICIENT_EVERYWHERE.of(
                    *places, experiment=name, instances=experiment.nodes, types=" or ".join(known_types(lab, name)),
                    wanted=wanted,
                )  # fmt: skip
            else:
                yield from found or ([SUFFICIENT.of(name)] if pools else [])


def _of_pool(
    name: str, experiment: Experiment, pool: Pool, values: Mapping[str, Mapping[str, float]],
    sizes: Mapping[str, Mapping[str, int]], used: Mapping[str, Mapping[str, float]],
) -> Iterator[Finding]:  # fmt: skip
    quota = quota_of(pool.instance_type, pool.market.type, values[pool.region])
    each = sizes[pool.region].get(pool.instance_type, 0) * experiment.nodes
    if quota is None or not each:
        return
    named, value = quota
    taken = used.get(pool.region, {}).get(named, 0)
    combinations = prod(len(several) for several in experiment.matrix.values())
    facts = {"experiment": name, "quota": named, "value": f"{value:.0f}"}
    if each > value:
        yield QUOTA_TOO_LOW.of(pool.region, **facts, type=pool.instance_type, wanted=each)
    elif each > value - taken:
        yield IN_USE.of(pool.region, **facts, type=pool.instance_type, wanted=each, used=f"{taken:.0f}")
    elif each * combinations > value:
        at_once = int(value // each)
        yield SWEEP.of(pool.region, **facts, at_once=at_once, combinations=combinations, wanted=each * combinations)


WELL_FORMED = ok("tags-well-formed", "{subjects}: all tags of the lab are valid")
MALFORMED = warning(
    "tag-malformed", "{resource} in {subjects}: its tag {tag}; an unreadable one counts as absent",
    "correct or delete it: `aws ec2 delete-tags --region {region} --resources {resource} --tags Key={key}`",
)  # fmt: skip


class Tags(Check):
    """Those of instances, volumes and snapshots."""

    name = "tags"
    order = 66
    needs = Requirement.AWS
    facts = (malformed_tags,)

    def run(self, lab: DoctorContext) -> Iterator[Finding]:
        facts, failures = collect(lab.begin_everywhere(malformed_tags))
        yield from failures
        for region, things in facts.items():
            for thing, tags in things.items():
                for tag in tags:
                    yield MALFORMED.of(region, region=region, resource=thing, tag=tag, key=tag.key)
            if not things:
                yield WELL_FORMED.of(region)
