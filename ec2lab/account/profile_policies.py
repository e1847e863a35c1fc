"""What an instance profile must allow for its experiments: to read their secrets, and to pull their images. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ec2lab.config.container import ecr_repository
from ec2lab.config.models import Experiment
from ec2lab.config.secrets import SECRETS_MANAGER, SSM, SecretSource

Actions = str | tuple[str, ...]
ACTIONS = {SSM: "ssm:GetParameter", SECRETS_MANAGER: "secretsmanager:GetSecretValue"}
LOGIN = "ecr:GetAuthorizationToken"
PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
"""https://docs.aws.amazon.com/AmazonECR/latest/userguide/repository-policy-examples.html"""


def profile_policies(
    experiments: Iterable[Experiment], regions: Sequence[str], partition: str, account: str
) -> dict[str, dict[str, Any]]:
    """Return the policy that each instance profile's role needs, limited to these secrets and repositories.

    An experiment that names no regions may run in any of `regions`.
    """
    found: dict[str, dict[Actions, set[str]]] = {}
    for experiment in experiments:
        for actions, arns in _allowed(experiment, experiment.regions or regions, partition, account):
            found.setdefault(experiment.instance_profile or "", {}).setdefault(actions, set()).update(arns)
    return {profile: _policy(allowed) for profile, allowed in sorted(found.items()) if profile}


def _allowed(
    experiment: Experiment, regions: Sequence[str], partition: str, account: str
) -> Iterator[tuple[Actions, list[str]]]:
    for source in experiment.secrets.values():
        if not source.is_from_launcher:
            yield ACTIONS[source.store], _arns(source, regions, partition, account)
    if experiment.container and (repository := ecr_repository(experiment.container)):
        owner, region, name = repository
        yield LOGIN, ["*"]
        yield PULL, [f"arn:{partition}:ecr:{region}:{owner}:repository/{name}"]


def _arns(source: SecretSource, regions: Iterable[str], partition: str, account: str) -> list[str]:
    if source.region:
        return [source.id]
    if source.store == SSM:
        return [f"arn:{partition}:ssm:{region}:{account}:parameter/{source.name.lstrip('/')}" for region in regions]
    # Secrets Manager puts a dash and six characters of its own behind a name
    # (https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_iam-policies.html).
    return [f"arn:{partition}:secretsmanager:{region}:{account}:secret:{source.name}-??????" for region in regions]


def _policy(allowed: Mapping[Actions, Iterable[str]]) -> dict[str, Any]:
    statements = [
        {"Effect": "Allow", "Action": actions if isinstance(actions, str) else list(actions), "Resource": sorted(arns)}
        for actions, arns in sorted(allowed.items(), key=lambda one: (one[0] == LOGIN, str(one[0])))
    ]
    return {"Version": "2012-10-17", "Statement": statements}
