"""What an experiment would take, from its file and the lab's."""

from __future__ import annotations

from scripts.core.capacity import Wishes
from scripts.core.config import Experiment, Lab
from scripts.core.errors import LabError


def wishes(lab: Lab, name: str, experiment: Experiment) -> Wishes:
    """Return where an experiment may run, in the order of preference. Raises LabError where its wishes exclude all."""
    regions, zones = experiment.regions or lab.regions, experiment.zones or []
    if strangers := [zone for zone in zones if zone[:-1] not in regions]:
        raise LabError(
            f"experiments/{name}.toml: zones: {strangers[0]} is in none of its regions ({', '.join(regions)})"
        )
    if zones and lab.network.subnets:
        raise LabError(
            f"experiments/{name}.toml: zones: lab.toml names subnets, and a subnet is in one zone; leave zones out"
        )
    return Wishes(regions, experiment.types, experiment.markets, zones, lab.network.subnets)
