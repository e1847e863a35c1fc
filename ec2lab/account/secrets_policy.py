"""What an instance profile must allow so that instances can read their experiments' secrets. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ec2lab.config.models import Experiment
from ec2lab.config.secrets import SECRETS_MANAGER, SSM, SecretSource

ACTIONS = {SSM: "ssm:GetParameter", SECRETS_MANAGER: "secretsmanager:GetSecretValue"}
Read = tuple[str, SecretSource, Sequence[str]]
"""An instance profile, what is read by it, and the regions where that may happen."""


def read_on_instances(experiments: Iterable[Experiment], regions: Sequence[str]) -> list[Read]:
    """Return what instances read; those of an experiment that names no regions may run in any of `regions`."""
    return [
        (experiment.instance_profile, source, experiment.regions or regions)
        for experiment in experiments
        if experiment.instance_profile
        for source in experiment.secrets.values()
        if not source.is_from_launcher
    ]


def secrets_policies(wanted: Iterable[Read], partition: str, account: str) -> dict[str, dict[str, Any]]:
    """Return the policy that each instance profile's role needs, limited to these secrets."""
    found: dict[str, dict[str, set[str]]] = {}
    for profile, source, regions in wanted:
        arns = _arns(source, regions, partition, account)
        found.setdefault(profile, {}).setdefault(source.store, set()).update(arns)
    return {profile: _policy(by_store) for profile, by_store in sorted(found.items())}


def _arns(source: SecretSource, regions: Iterable[str], partition: str, account: str) -> list[str]:
    if source.region:
        return [source.id]
    if source.store == SSM:
        return [f"arn:{partition}:ssm:{region}:{account}:parameter/{source.name.lstrip('/')}" for region in regions]
    # Secrets Manager puts a dash and six characters of its own behind a name
    # (https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_iam-policies.html).
    return [f"arn:{partition}:secretsmanager:{region}:{account}:secret:{source.name}-??????" for region in regions]


def _policy(by_store: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    statements = [
        {"Effect": "Allow", "Action": ACTIONS[store], "Resource": sorted(arns)}
        for store, arns in sorted(by_store.items())
    ]
    return {"Version": "2012-10-17", "Statement": statements}
