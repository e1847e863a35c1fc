"""Permissions: by dry runs where a call has one, else by IAM's policy simulator, else unknown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from functools import partial

from ec2lab.aws.authorization import DryRuns, decoded, dry_runs
from ec2lab.aws.error_codes import ApiError
from ec2lab.aws.region_queries import NoResponse
from ec2lab.capacity_pools import SPOT, Pool
from ec2lab.doctor.check import Check, Probe, Requirement
from ec2lab.doctor.context import DoctorContext
from ec2lab.doctor.dry_runs import READS, Answer, DryRunResult, Trials
from ec2lab.doctor.policy_simulation import (
    Verdicts,
    actions,
    for_data,
    principal_arn,
    registry_id,
    simulated,
    statements,
    together,
)
from ec2lab.doctor.regions import known_types, require_enabled, sample_resource_ids, zone_in
from ec2lab.errors import UserError
from ec2lab.findings import Finding, error, ok, warning
from ec2lab.launch.part import LaunchContext, launch_parts, total
from ec2lab.launch.run_instances_request import build_request

POLICY = "docs/iam-policy.json has the permissions that the lab's role or user needs"
RUN = "RunInstances"

ALLOWED = ok("allowed", "{count} actions are allowed, by a dry run or by IAM's policy simulator")
DENIED = error("permission-denied", "{action} is not allowed in {subjects}: {why}", POLICY)
CARRIED_OUT = error(
    "dry-run-carried-out", "{subjects}: a dry run of {action} was carried out; no more are made",
    "the endpoint is not EC2, or a proxy drops DryRun: check AWS_ENDPOINT_URL and the proxy; {undo}",
)  # fmt: skip
LAUNCH_REJECTED = warning(
    "launch-refused", "a dry run of a launch of {experiment} in {subjects} is rejected: {why}",
    "`make plan EXP={experiment}` shows the request",
)  # fmt: skip
DATA_DENIED = warning(
    "dataset-permission-denied", "you may not create or copy datasets: {subjects}",
    "docs/iam-policy-data.json has the permissions; ignore this if others do it",
)  # fmt: skip
SIMULATED_DENIAL = warning(
    "permission-denied-by-simulation", "not allowed, according to IAM's policy simulator: {subjects}",
    f"{POLICY}; ignore this if a narrower policy intends it",
)  # fmt: skip
OPTIONAL_DENIED = warning(
    "optional-permission-denied", "optional permissions are missing, and some output is reduced: {subjects}", POLICY
)
PERMISSION_UNKNOWN = warning(
    "permission-unknown", "unknown whether these are allowed: {subjects}",
    "allow iam:SimulatePrincipalPolicy, or check again while an instance of the lab is running",
)  # fmt: skip

OPTIONAL_ACTIONS = ("cloudtrail:", "pricing:", "servicequotas:", "sns:", "sts:")
"""The lab works without these, but shows less."""
ALWAYS_ALLOWED = ("iam:SimulatePrincipalPolicy", "iam:GetRole")  # needed only by this check


class Permissions(Check):
    """Every call in the policies of docs/ that this lab may make, in each region."""

    name = "permissions"
    order = 50
    needs = Requirement.AWS

    def probes(self, lab: DoctorContext) -> Iterator[Probe]:
        """Check each EC2 call in each region on its own; all others at once."""
        trials = Trials(lab.opened.cloud, lab.opened.queries.run_one)
        for region in lab.regions:
            lab.begin(are_dry, region)
            lab.begin(sample_resource_ids, region)
            lab.begin(zone_in, region)
        # First in the queue, as simulations on all threads wait for it.
        lab.begin(registry_id)
        lab.begin(principal_arn)
        asked = [lab.begin(simulated, statement) for statement in statements()]
        for region in lab.regions:
            yield partial(self._are_dry, lab, region)
            for action in actions("ec2"):
                yield partial(self._dry_run, lab, trials, region, action, asked)
        yield partial(self._others, lab, asked)

    def run(self, lab: DoctorContext) -> Iterable[Finding]:
        return ()

    def _are_dry(self, lab: DoctorContext, region: str) -> Iterator[Finding]:
        require_enabled(lab, region)
        if lab.begin(are_dry, region).result() is DryRuns.CARRIED_OUT:
            yield CARRIED_OUT.of(region, action="a harmless call", undo="nothing was changed")

    def _dry_run(
        self, lab: DoctorContext, trials: Trials, region: str, action: str, asked: list[Future[Verdicts]]
    ) -> Iterator[Finding]:
        require_enabled(lab, region)
        operation = action.partition(":")[2]
        if lab.begin(are_dry, region).result() is not DryRuns.DRY:
            yield _simulated_finding(action, together(asked))
        elif operation == RUN:
            yield from self._launch(lab, trials, region)
        else:
            own = {**lab.begin(sample_resource_ids, region).result(), **lab.begin(zone_in, region).result()}
            result = trials.tried(region, operation, own)
            yield _clear_finding(lab, region, action, result) or _simulated_finding(action, together(asked))

    def _launch(self, lab: DoctorContext, trials: Trials, region: str) -> Iterator[Finding]:
        """Try the request of the first experiment that would be launched in a region."""
        name = next((name for name in lab.experiments if region in lab.regions_of(name)), None)
        if name is None:
            return
        experiment = lab.experiments[name]
        if not (types := known_types(lab, name)):
            return
        site = LaunchContext(lab.opened, name, experiment, region)
        try:
            share = lab.opened.queries.run_one(lambda: total(part.share(site) for part in launch_parts(lab.plugins)))
            subnets = lab.subnets_in(region)
            pool = Pool(region, types[0], experiment.markets[0], subnet=subnets[0] if subnets else None)
            request = build_request(share, pool, experiment.nodes, experiment.nodes)
        except NoResponse as silent:
            raise NoResponse(f"{region}: {silent}") from silent
        except UserError:
            return  # other checks report what the region or the experiment lacks
        result = trials.dry_run_request(region, RUN, request)
        if found := _clear_finding(lab, region, f"ec2:{RUN}", result):
            yield found
        elif result.answer is Answer.UNCLEAR:
            yield LAUNCH_REJECTED.of(region, experiment=name, why=f"{result.code}: {result.message}")

    def _others(self, lab: DoctorContext, asked: list[Future[Verdicts]]) -> Iterator[Finding]:
        said = together(asked)
        for action in sorted(said):
            if not action.startswith("ec2:") and action not in ALWAYS_ALLOWED and _uses_action(lab, action):
                allowed = said[action]
                if allowed is None and action in READS:
                    said[action] = lab.opened.queries.run_one(partial(READS[action], lab))
                yield _simulated_finding(action, said)


def are_dry(lab: DoctorContext, region: str) -> DryRuns:
    require_enabled(lab, region)
    return dry_runs(lab.opened.cloud.ec2(region))


def _clear_finding(lab: DoctorContext, region: str, action: str, result: DryRunResult) -> Finding | None:
    match result.answer:
        case Answer.ALLOWED:
            return ALLOWED.of(action)
        case Answer.CARRIED_OUT:
            return CARRIED_OUT.of(region, action=action, undo=_undo(region, result))
        case Answer.DENIED if action in for_data():
            return DATA_DENIED.of(action)
        case Answer.DENIED:
            why = decoded(lab.opened.cloud, region, ApiError(result.code, result.message))
            return DENIED.of(region, action=action, why=why)
    return None


def _undo(region: str, result: DryRunResult) -> str:
    if not result.made:
        return "see what it did in CloudTrail"
    ids = " ".join(result.made)
    return f"`aws ec2 terminate-instances --region {region} --instance-ids {ids}` deletes what it created"


def _simulated_finding(action: str, said: Mapping[str, bool | None]) -> Finding:
    if said.get(action):
        return ALLOWED.of(action)
    if said.get(action) is None:
        return PERMISSION_UNKNOWN.of(action)
    if action in for_data():
        return DATA_DENIED.of(action)
    return (OPTIONAL_DENIED if action.startswith(OPTIONAL_ACTIONS) else SIMULATED_DENIAL).of(action)


def _uses_action(lab: DoctorContext, action: str) -> bool:
    """Say whether a lab with these files ever makes a call."""
    experiments = lab.experiments.values()
    match action.partition(":")[0]:
        case "dynamodb":
            return bool(lab.table)
        case "s3":
            return any(one.artifact_uri for one in experiments)
        case "kms":
            return bool(lab.lab.kms_keys)
        case "iam":
            return _comes_to_ask_of_iam(lab, action)
    return True


def _comes_to_ask_of_iam(lab: DoctorContext, action: str) -> bool:
    experiments = lab.experiments.values()
    if action == "iam:PassRole":
        return any(one.instance_profile for one in experiments) or bool(lab.lab.dataset_builder.instance_profile)
    if action == "iam:CreateServiceLinkedRole":
        return any(SPOT in one.markets for one in experiments)
    return bool(lab.lab.logs.artifact_uri)
