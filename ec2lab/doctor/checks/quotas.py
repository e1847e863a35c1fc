"""The account's vCPU quotas against what the experiments ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from math import prod

from ec2lab.account.region_facts import cpus, in_use, quota_values
from ec2lab.capacity_pools import Pool
from ec2lab.config.models import Experiment
from ec2lab.doctor.check import Check, Diagnosis, Finding, Look, Requirement, Severity
from ec2lab.doctor.context import DoctorContext
from ec2lab.doctor.runner import answers
from ec2lab.launch.quotas import quota_of

ASK = "AWS's console, Service Quotas, EC2, {quota!r}, in that region: ask for {wanted} or more, days ahead"

SUFFICIENT = Diagnosis("quotas-sufficient", Severity.OK, "enough for each of {subjects}")
QUOTA_TOO_LOW = Diagnosis(
    "quota-too-low", Severity.WARNING,
    "{experiment} on {type}: {quota!r} is {value} vCPUs in {subjects}, {wanted} are wanted", ASK,
)  # fmt: skip
QUOTA_INSUFFICIENT_EVERYWHERE = Diagnosis(
    "quota-insufficient", Severity.WRONG, "no quota of {subjects} lets {experiment} have its {instances} x {types}",
    "AWS's console, Service Quotas, EC2: ask for {wanted} vCPUs of the types' family; or other types or regions",
)  # fmt: skip
IN_USE = Diagnosis(
    "quota-in-use", Severity.WARNING,
    "{experiment} on {type}: of {value} vCPUs of {quota!r} in {subjects} {used} are in use, {wanted} are wanted",
    "wait for others' instances or end some: `make status`, `make audit`",
)  # fmt: skip
SWEEP = Diagnosis(
    "quota-below-sweep", Severity.WARNING,
    "{experiment}: {quota!r} in {subjects} lets {at_once} of its {combinations} combinations run at once", ASK,
)  # fmt: skip
QUOTA_UNREADABLE = Diagnosis(
    "quotas-unreadable", Severity.WARNING, "the quotas of {subjects} can't be read: {reason}",
    "docs/iam-policy.json has what reading them takes; what else it is, the line says",
)  # fmt: skip


class Quotas(Check):
    """Types, markets and numbers of instances of each experiment, in each region."""

    name = "quotas"
    order = 62
    needs = Requirement.AWS

    def looks(self, lab: DoctorContext) -> Iterator[Look]:
        """Ask all regions, then compare."""
        for region in lab.regions:
            for fact in (quota_values, cpus, in_use):
                lab.begin(fact, region)
        yield partial(self.look, lab)

    def look(self, lab: DoctorContext) -> Iterator[Finding]:
        """Compare each experiment with each region's quotas."""
        lab.require_aws()
        told, untold = answers({region: lab.begin(quota_values, region) for region in lab.regions})
        values = {region: known for region, (known, _) in told.items()}
        sizes, untold_sizes = answers({region: lab.begin(cpus, region) for region in lab.regions})
        used, untold_used = answers({region: lab.begin(in_use, region) for region in lab.regions})
        yield from (*untold, *untold_sizes, *untold_used)
        yield from (QUOTA_UNREADABLE.of(region, reason=why) for region, (known, why) in told.items() if not known)
        readable = [region for region in lab.regions if values.get(region) and region in sizes]
        for name, experiment in lab.experiments.items():
            places = [region for region in lab.regions_of(name) if region in readable]
            pools = [Pool(r, t, m) for r in places for t in experiment.instance_types for m in experiment.markets]
            found = [one for pool in pools for one in _of_pool(name, experiment, pool, values, sizes, used)]
            if pools and sum(one.diagnosis is QUOTA_TOO_LOW for one in found) == len(pools):
                wanted = max(int(dict(one.values)["wanted"]) for one in found)
                yield QUOTA_INSUFFICIENT_EVERYWHERE.of(
                    *places, experiment=name, instances=experiment.nodes, types=" or ".join(experiment.instance_types),
                    wanted=wanted,
                )  # fmt: skip
            else:
                yield from found or ([SUFFICIENT.of(name)] if pools else [])


def _of_pool(
    name: str, experiment: Experiment, pool: Pool, values: Mapping[str, Mapping[str, float]],
    sizes: Mapping[str, Mapping[str, int]], used: Mapping[str, Mapping[str, float]],
) -> Iterator[Finding]:  # fmt: skip
    """Compare what an experiment wants of one pool with the quota that it counts against."""
    quota = quota_of(pool.instance_type, pool.market.type, values[pool.region])
    each = sizes[pool.region].get(pool.instance_type, 0) * experiment.nodes
    if quota is None or not each:
        return
    named, value = quota
    taken = used.get(pool.region, {}).get(named, 0)
    combinations = prod(len(several) for several in experiment.matrix.values())
    told = {"experiment": name, "quota": named, "value": f"{value:.0f}"}
    if each > value:
        yield QUOTA_TOO_LOW.of(pool.region, **told, type=pool.instance_type, wanted=each)
    elif each > value - taken:
        yield IN_USE.of(pool.region, **told, type=pool.instance_type, wanted=each, used=f"{taken:.0f}")
    elif each * combinations > value:
        at_once = int(value // each)
        yield SWEEP.of(pool.region, **told, at_once=at_once, combinations=combinations, wanted=each * combinations)
