"""A launch of several nodes, killed at any boundary: no group is made twice, none is left, nodes are all or none."""

import pytest

from tests.crash.killing import alive, gone, killed, registry_is_valid, run

pytestmark = pytest.mark.crash

SHARES = 4
EXPERIMENT = 'types = ["g5.xlarge"]\nregions = ["us-east-1"]\nnodes = 3\n'


def prepare(lab, cloud):
    cloud.reset()
    lab.registry.unlink(missing_ok=True)
    lab.write("experiments/nodes.toml", EXPERIMENT)


def told(lab, text):
    """Say whether the registry has a text in it; the last record may be torn."""
    return lab.registry.exists() and text in lab.registry.read_text()


@pytest.mark.parametrize("share", range(SHARES))
def test_a_launch_of_nodes_killed_anywhere_is_gone_on_with_or_torn_down(lab, cloud, share):
    prepare(lab, cloud)
    boundaries = killed(lab, "launch", 0, EXP="nodes")
    assert boundaries > 30
    for at in range(1 + share, boundaries + 1, SHARES):
        prepare(lab, cloud)
        assert killed(lab, "launch", at, EXP="nodes") is None
        if at % 2:
            if not told(lab, '"launched"'):  # else it was killed when all was done
                run(lab, "launch", EXP="nodes")
            there = {kind: len(found) for kind, found in alive(cloud).items()}
            assert (there["instance"], there["placement-group"], there["security-group"]) == (3, 1, 2), f"boundary {at}"
        if at % 2 or told(lab, "CreatePlacementGroup"):
            run(lab, "teardown", EXP="nodes")
            assert registry_is_valid(lab), f"boundary {at}"
        assert gone(cloud) <= 1, f"boundary {at}"
