"""A script killed at a boundary of its work, and what is there afterwards."""

import json

from tests.lab_directory import REPOSITORY

KINDS = (
    "instance", "volume", "snapshot", "placement-group", "security-group", "key-pair", "address", "network-interface",
)  # fmt: skip
GONE = {kind: [] for kind in KINDS if kind != "security-group"}
"""What is left after a teardown, beside the lab's own groups."""
PLUGIN = "plugins/kill.py"


def arm(lab):
    """Let the lab's scripts be killed."""
    lab.write(PLUGIN, (REPOSITORY / "tests/crash/plugin.py").read_text())


def killed(lab, script, at, **variables):
    """Run a script that is killed at a boundary; return how many boundaries it passed, if it lived to the end."""
    arm(lab)
    counted = lab.path / "counted"
    counted.unlink(missing_ok=True)
    process = lab.start(script, KILL_AT=str(at), KILL_COUNT=str(counted), **variables)
    _, err = process.communicate(timeout=120)
    assert process.returncode in (0, -9), err
    return int(counted.read_text()) if counted.exists() else None


def run(lab, script, **variables):
    """Run a script that nobody kills."""
    (lab.path / PLUGIN).unlink(missing_ok=True)
    ended = lab.run(script, **variables)
    assert ended.code == 0, f"{script}: {ended.err}"
    return ended


def alive(cloud):
    """What there is in all regions, by kind; data sets that the cloud began with are not the commands' doing."""
    found = {kind: [] for kind in KINDS}
    for thing in cloud.inventory():
        ours = "lab:record" in thing["tags"] or thing["kind"] != "snapshot"
        if ours and thing["state"] != "terminated":
            found[thing["kind"]].append(thing["id"])
    return found


def gone(cloud, **more):
    """Whether nothing is left in any region but one group of the lab's in each that was used, and `more`."""
    found = alive(cloud)
    groups = found.pop("security-group")
    assert found == {**GONE, **more}, found
    return len(groups)


def registry_is_valid(lab):
    """Whether the registry is one JSON document."""
    return not lab.registry.exists() or isinstance(json.loads(lab.registry.read_text()), list)
