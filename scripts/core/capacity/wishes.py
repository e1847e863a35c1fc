"""What an experiment would take, from its file and the lab's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scripts.core.capacity.capacity import Wishes
from scripts.core.errors import LabError
from scripts.core.lab.config import Experiment, Lab
from scripts.core.regions import region_of_zone


def wishes(lab: Lab, name: str, experiment: Experiment) -> Wishes:
    """Return where an experiment may run, in the order of preference. Raises LabError where its wishes exclude all."""
    regions, zones = experiment.regions or lab.regions, experiment.zones or []
    if strangers := [zone for zone in zones if region_of_zone(zone) not in regions]:
        raise LabError(
            f"experiments/{name}.toml: zones: {strangers[0]} is in none of its regions ({', '.join(regions)})"
        )
    subnets = subnets_of(lab, experiment)
    if zones and subnets:
        raise LabError(
            f"experiments/{name}.toml: zones: subnets are named too, and each is in one zone; leave zones out"
        )
    return Wishes(regions, experiment.types, experiment.markets, zones, subnets)


def subnets_of(lab: Lab, experiment: Experiment) -> Mapping[str, Sequence[str]]:
    """Return the subnets that an experiment is bound to, by region; empty where EC2 may choose."""
    return experiment.subnets if experiment.subnets is not None else lab.network.subnets
