"""Where an experiment's instances upload the files of its outputs directory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ec2lab.config.models import Experiment


def outputs_uri(artifact_uri: str, experiment: str, origin: str) -> str:
    """Return the address that file names are added to. `origin` is the instance that began the run."""
    return f"{artifact_uri.rstrip('/')}/{experiment}/{origin}/outputs/"


def origin_in(uri: str) -> str:
    """Return the origin that such an address has."""
    return uri.rstrip("/").split("/")[-2]


def outputs_uris(
    name: str, experiment: Experiment, instances: Iterable[str], origins: Mapping[str, str]
) -> dict[str, str]:
    """Return the address of each instance; of none if the experiment has no outputs.

    `origins` has the origin of instances that continue another's run.
    """
    if not experiment.outputs or not experiment.artifact_uri:
        return {}
    return {one: outputs_uri(experiment.artifact_uri, name, origins.get(one, one)) for one in instances}
