"""One-time setup of an account and its regions: checked as a whole, and created."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from ec2lab.account.lab_topic import LabTopic
from ec2lab.account.log_bucket_role import LogBucketRole
from ec2lab.account.region_setup import RegionSetup, Step, region_setup
from ec2lab.aws.tags import SHARED
from ec2lab.config.models import Experiment
from ec2lab.errors import UserError
from ec2lab.events import Emit
from ec2lab.events.account import Created
from ec2lab.launch.parts.notifications import topic_of
from ec2lab.registry.state import DISCOVERED, ResourceState, as_annotation
from ec2lab.resource import GLOBAL, Resource
from ec2lab.resources.live_in_aws import proven
from ec2lab.session import Session

DENIED = ("AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation")


class IamPermissionDenied(UserError):
    """The caller may not do that in IAM; somebody else can."""


@dataclass
class AccountSetup:
    """The state of the account by region; IAM comes last, without a region."""

    session: Session
    experiments: Sequence[Experiment] = ()  # what the lab launches
    regions: list[RegionSetup] = field(default_factory=list)
    denied: str = ""  # why IAM may not be read

    @property
    def delivery(self) -> LogBucketRole | None:
        """What log uploads and notifications need, if lab.toml names a bucket or a topic."""
        bucket, topic = self.session.lab.logs.artifact_uri, topic_of(self.session)
        restores = any(experiment.outputs for experiment in self.experiments)
        return LogBucketRole(self.session, bucket, topic, restores) if bucket or topic else None

    @property
    def topic(self) -> LabTopic | None:
        """What e-mail needs, if lab.toml names addresses."""
        return LabTopic(self.session) if self.session.lab.notify.email else None

    def inspect(self, names: Sequence[str]) -> None:
        """Check regions in parallel, and IAM; a region that cannot be checked counts as missing.

        Problems common to all, such as expired credentials, are raised. Raises UserError, ClientError.
        """
        responses = self.session.queries.run(
            {(name, "setup"): partial(region_setup, self.session, name) for name in names}
        )
        silent = responses.unseen
        inspected = {region: setup for (region, _), setup in responses.found.items()}
        if not inspected and len(set(silent.values())) == 1:
            raise next(iter(responses.failures.values()))
        self.regions = [inspected.get(name) or RegionSetup(name, missing=[silent[name]]) for name in names]
        if self.delivery:
            self.regions.append(self._iam(self.delivery))

    @property
    def lacking(self) -> list[tuple[str, Step]]:
        return [(region.region, step) for region in self.regions for step in region.lacking]

    @property
    def missing(self) -> list[str]:
        return [f"{region.region}: {what}" for region in self.regions for what in region.missing]

    def make(self, emit: Emit) -> None:
        """Create what is missing. Raises IamPermissionDenied, ClientError."""
        delivery = self.delivery
        for region, step in self.lacking:
            if region == GLOBAL and delivery:
                with _iam_errors():
                    step.make()
            else:
                step.make()
            emit(Created(region=region, what=step.what))
        if delivery and any(region == GLOBAL for region, _ in self.lacking):
            delivery.settle()
        self._take_in()

    def _iam(self, delivery: LogBucketRole) -> RegionSetup:
        found = RegionSetup(GLOBAL)
        try:
            with _iam_errors():
                found.lacking = [*(self.topic.lacking() if self.topic else ()), *delivery.lacking()]
        except IamPermissionDenied as problem:
            self.denied = str(problem)
        if not found.lacking and not self.denied:
            uses = {"logs to": delivery.bucket, "messages to": delivery.topic}
            told = " and ".join(f"{what} {where}" for what, where in uses.items() if where)
            found.there.append(f"the instance profile {delivery.profile}, for {told}")
        return found

    def _take_in(self) -> None:
        """Record resources that this registry's own calls created and whose response was lost."""
        known = self.session.records.state()
        live = {resource.id for resource in known.live}
        new = [resource for resource in self._shared(known) if resource.id not in live]
        if new:
            self.session.recorder.annotate(**{DISCOVERED: [as_annotation(resource) for resource in new]})

    def _shared(self, known: ResourceState) -> list[Resource]:
        """Return what this registry created for the whole lab, as AWS shows it."""
        session, names = self.session, [region.region for region in self.regions if not region.missing]
        wanted: Any = [{"Name": f"tag:{SHARED}", "Values": [session.lab.name]}]
        asked = [
            (resource_type, place, session.threads.submit(resource_type.whole, session.cloud, place, wanted))
            for resource_type in session.resource_types.values()
            if resource_type.name in known.resource_types
            for place in resource_type.places(names)
        ]
        return proven(session, asked, known)


@contextmanager
def _iam_errors() -> Iterator[None]:
    """Do something in IAM. Raises IamPermissionDenied where that needs somebody else."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] not in DENIED:
            raise
        raise IamPermissionDenied(
            f"{error.operation_name}: IAM denies it; ask an administrator, or somebody with "
            "docs/iam-policy-setup.json, to run `make setup-aws YES=1`, or the commands above"
        ) from error
