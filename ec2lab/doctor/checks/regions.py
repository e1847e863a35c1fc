"""What the lab's regions have for its experiments: that they are open, networks, images, machine types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from ec2lab.account.region_facts import images_lacking, networks_lacking, offered
from ec2lab.doctor.check import Check, Diagnosis, Finding, Level, Look, Needs
from ec2lab.doctor.context import CheckedLab
from ec2lab.doctor.enabled_regions import CLOSED, opt_in_states
from ec2lab.doctor.runner import answers
from ec2lab.names import closest

USABLE = Diagnosis("regions-usable", Level.OK, "{subjects}: open, with a network, the image and the machine types")
NO_REGION = Diagnosis(
    "no-such-region", Level.WRONG, "{region} is no region of AWS{hint}",
    "correct regions in lab.toml or in the experiment",
)  # fmt: skip
NOT_OPTED_IN = Diagnosis(
    "not-opted-in", Level.WRONG, "the account has not opted in to {subjects}",
    "enable it under Account, AWS Regions in AWS's console, or take it out of regions in lab.toml",
)  # fmt: skip
NO_NETWORK = Diagnosis(
    "no-network", Level.WRONG, "{subjects}: {lack}",
    "`aws ec2 create-default-vpc`, or name subnets in lab.toml: [network.subnets]",
)  # fmt: skip
NO_IMAGE = Diagnosis(
    "no-image", Level.WARNING, "{subjects}: no image {lack}, so no machine is asked for there",
    "`image` in lab.toml or in the experiment names another",
)  # fmt: skip
NO_IMAGE_ANYWHERE = Diagnosis(
    "no-image-anywhere", Level.WRONG, "{subjects}: no image {lack}",
    "`image` in lab.toml or in the experiment names another",
)  # fmt: skip
TYPE_NOT_OFFERED = Diagnosis(
    "type-not-offered", Level.WARNING, "{type} of {experiment} is not offered in {subjects}",
    "nothing, if the other regions do; else other types or regions in experiments/{experiment}.toml",
)  # fmt: skip
NO_TYPE_ANYWHERE = Diagnosis(
    "no-type-anywhere", Level.WRONG, "none of the types of {experiment} is offered in {subjects}",
    "other types or regions in experiments/{experiment}.toml",
)  # fmt: skip


class Regions(Check):
    """Each region of the lab and of its experiments."""

    name = "regions"
    order = 60
    needs = Needs.AWS

    def looks(self, lab: CheckedLab) -> Iterator[Look]:
        """Ask for all facts of all regions, then compare."""
        for region in lab.regions:
            for fact in (networks_lacking, images_lacking, offered):
                lab.begin(fact, region)
        yield partial(self.look, lab)

    def look(self, lab: CheckedLab) -> Iterator[Finding]:
        """Say what each lacks; in one line those that lack nothing."""
        found = [*_open(lab), *_networks(lab), *_images(lab), *_types(lab)]
        yield from found
        bad = {subject for one in found for subject in one.subjects}
        if good := [region for region in lab.regions if region not in bad]:
            yield USABLE.of(*good)


def _open(lab: CheckedLab) -> Iterator[Finding]:
    lab.expect_aws()
    states = lab.begin(opt_in_states).result()
    for region in lab.regions:
        if region not in states:
            # Its name is the subject, so that it does not count as usable.
            yield Finding(NO_REGION, (region,), (("region", region), ("hint", closest(region, states))))
        elif states[region] == CLOSED:
            yield NOT_OPTED_IN.of(region)


def _networks(lab: CheckedLab) -> Iterator[Finding]:
    told, untold = answers({region: lab.begin(networks_lacking, region) for region in lab.regions})
    yield from untold
    yield from (NO_NETWORK.of(region, lack=lack) for region, lack in told.items() if lack)


def _images(lab: CheckedLab) -> Iterator[Finding]:
    told, untold = answers({region: lab.begin(images_lacking, region) for region in lab.regions})
    yield from untold
    for lack in dict.fromkeys(lack for lacks in told.values() for lack in lacks):
        lacking = [region for region, lacks in told.items() if lack in lacks]
        yield (NO_IMAGE_ANYWHERE if len(lacking) == len(told) else NO_IMAGE).of(*lacking, lack=lack)


def _types(lab: CheckedLab) -> Iterable[Finding]:
    told, untold = answers({region: lab.begin(offered, region) for region in lab.regions})
    yield from untold
    for name, experiment in lab.experiments.items():
        seen = [region for region in lab.regions_of(name) if region in told]
        if seen and not any(one in told[region] for region in seen for one in experiment.types):
            yield NO_TYPE_ANYWHERE.of(*seen, experiment=name)
            continue
        for region in seen:
            for one in experiment.types:
                if one not in told[region]:
                    yield TYPE_NOT_OFFERED.of(region, type=one, experiment=name)
