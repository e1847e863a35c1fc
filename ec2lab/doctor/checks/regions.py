"""What the lab's regions have for its experiments: that they are open, networks, images, instance types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from ec2lab.account.region_facts import missing_images, network_problems, offered
from ec2lab.doctor.check import Check, Diagnosis, Finding, Look, Requirement, Severity
from ec2lab.doctor.context import DoctorContext
from ec2lab.doctor.enabled_regions import CLOSED, opt_in_states
from ec2lab.doctor.runner import answers
from ec2lab.validators import did_you_mean

REGION_OK = Diagnosis("regions-ok", Severity.OK, "{subjects}: open, with a network, the image and the instance types")
NO_REGION = Diagnosis(
    "no-such-region", Severity.WRONG, "{region} is no region of AWS{hint}",
    "correct regions in lab.toml or in the experiment",
)  # fmt: skip
NOT_OPTED_IN = Diagnosis(
    "not-opted-in", Severity.WRONG, "the account has not opted in to {subjects}",
    "enable it under Account, AWS Regions in AWS's console, or take it out of regions in lab.toml",
)  # fmt: skip
NO_NETWORK = Diagnosis(
    "no-network", Severity.WRONG, "{subjects}: {lack}",
    "`aws ec2 create-default-vpc`, or name subnets in lab.toml: [network.subnets]",
)  # fmt: skip
NO_IMAGE = Diagnosis(
    "image-missing", Severity.WARNING, "{subjects}: no image {lack}, so no instance is asked for there",
    "`image` in lab.toml or in the experiment names another",
)  # fmt: skip
NO_IMAGE_ANYWHERE = Diagnosis(
    "image-nowhere", Severity.WRONG, "{subjects}: no image {lack}",
    "`image` in lab.toml or in the experiment names another",
)  # fmt: skip
TYPE_NOT_OFFERED = Diagnosis(
    "type-not-offered", Severity.WARNING, "{type} of {experiment} is not offered in {subjects}",
    "nothing, if the other regions do; else other types or regions in experiments/{experiment}.toml",
)  # fmt: skip
NO_TYPE_ANYWHERE = Diagnosis(
    "type-nowhere", Severity.WRONG, "none of the types of {experiment} is offered in {subjects}",
    "other types or regions in experiments/{experiment}.toml",
)  # fmt: skip


class Regions(Check):
    """Each region of the lab and of its experiments."""

    name = "regions"
    order = 60
    needs = Requirement.AWS

    def looks(self, lab: DoctorContext) -> Iterator[Look]:
        """Ask for all facts of all regions, then compare."""
        for region in lab.regions:
            for fact in (network_problems, missing_images, offered):
                lab.begin(fact, region)
        yield partial(self.look, lab)

    def look(self, lab: DoctorContext) -> Iterator[Finding]:
        """Say what each lacks; in one line those that lack nothing."""
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
    told, untold = answers({region: lab.begin(network_problems, region) for region in lab.regions})
    yield from untold
    yield from (NO_NETWORK.of(region, lack=lack) for region, lack in told.items() if lack)


def _images(lab: DoctorContext) -> Iterator[Finding]:
    told, untold = answers({region: lab.begin(missing_images, region) for region in lab.regions})
    yield from untold
    for lack in dict.fromkeys(lack for lacks in told.values() for lack in lacks):
        lacking = [region for region, lacks in told.items() if lack in lacks]
        yield (NO_IMAGE_ANYWHERE if len(lacking) == len(told) else NO_IMAGE).of(*lacking, lack=lack)


def _types(lab: DoctorContext) -> Iterable[Finding]:
    told, untold = answers({region: lab.begin(offered, region) for region in lab.regions})
    yield from untold
    for name, experiment in lab.experiments.items():
        seen = [region for region in lab.regions_of(name) if region in told]
        if seen and not any(one in told[region] for region in seen for one in experiment.instance_types):
            yield NO_TYPE_ANYWHERE.of(*seen, experiment=name)
            continue
        for region in seen:
            for one in experiment.instance_types:
                if one not in told[region]:
                    yield TYPE_NOT_OFFERED.of(region, type=one, experiment=name)
