"""A launch of several nodes, killed at any boundary: no group is made twice, none is left, nodes are all or none."""

import pytest

from tests.crash.killing import EVEN, HIDDEN, ODD, alive, gone, has_recorded, killed_anywhere, registry_is_valid, run

pytestmark = pytest.mark.crash

EXPERIMENT = 'instance_types = ["g5.xlarge"]\nregions = ["us-east-1"]\nnodes = 3\n'


def prepare(lab, cloud):
    cloud.scenario(invisible=HIDDEN)
    lab.write("experiments/nodes.toml", EXPERIMENT)


def test_a_launch_of_nodes_killed_anywhere_is_resumed(lab, cloud):
    prepare(lab, cloud)
    for boundary in killed_anywhere(lab, cloud, "launch", boundaries=ODD, at_least=30, EXP="nodes"):
        if not has_recorded(lab, '"launched"'):  # else it was killed when all was done
            run(lab, "launch", EXP="nodes")
        there = {kind: len(found) for kind, found in alive(cloud).items()}
        assert (there["instance"], there["placement-group"], there["security-group"]) == (3, 1, 2), boundary
        run(lab, "teardown", EXP="nodes")
        assert registry_is_valid(lab), boundary
        assert gone(cloud) <= 1, boundary


def test_a_launch_of_nodes_killed_anywhere_is_torn_down(lab, cloud):
    prepare(lab, cloud)
    for boundary in killed_anywhere(lab, cloud, "launch", boundaries=EVEN, at_least=30, EXP="nodes"):
        if has_recorded(lab, "CreatePlacementGroup"):
            run(lab, "teardown", EXP="nodes")
            assert registry_is_valid(lab), boundary
        assert gone(cloud) <= 1, boundary
