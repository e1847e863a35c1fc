"""The lab's own tags: what somebody wrote into one by hand may be nothing that the lab can read."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ec2lab.account.region_facts import malformed_tags
from ec2lab.doctor.check import Check, Diagnosis, Finding, Look, Requirement, Severity
from ec2lab.doctor.context import DoctorContext
from ec2lab.doctor.runner import answers

WELL_FORMED = Diagnosis("tags-well-formed", Severity.OK, "{subjects}: every tag of the lab's can be read")
MALFORMED = Diagnosis(
    "tag-malformed", Severity.WARNING,
    "{thing} in {subjects}: its tag {tag}; where it can't be read, it counts as absent",
    "set it right, or delete it: `aws ec2 delete-tags --region {region} --resources {thing} --tags Key={key}`",
)  # fmt: skip


class Tags(Check):
    """Those of the things that the lab's tags say most of: instances, volumes, snapshots."""

    name = "tags"
    order = 66
    needs = Requirement.AWS

    def looks(self, lab: DoctorContext) -> Iterator[Look]:
        """Ask all regions at once."""
        for region in lab.regions:
            lab.begin(malformed_tags, region)
        yield partial(self.look, lab)

    def look(self, lab: DoctorContext) -> Iterator[Finding]:
        """Name each tag that has another value than the lab writes."""
        told, untold = answers({region: lab.begin(malformed_tags, region) for region in lab.regions})
        yield from untold
        for region, things in told.items():
            for thing, tags in things.items():
                for tag in tags:
                    yield MALFORMED.of(region, region=region, thing=thing, tag=tag, key=tag.key)
            if not things:
                yield WELL_FORMED.of(region)
