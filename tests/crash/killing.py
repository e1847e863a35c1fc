"""A script killed at a boundary of its work, and what is there afterwards."""

import json
import shutil
import signal
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.full import FULL
from tests.lab_directory import REPOSITORY, LabDirectory
from tests.local_cloud_client import LocalCloud

HIDDEN = (0.0, 0.5)
"""Seconds for which AWS neither shows nor knows what was just created: each resource draws its own times, so that they
come in any order."""
KINDS = (
    "instance", "volume", "snapshot", "placement-group", "security-group", "key-pair", "address", "network-interface",
)  # fmt: skip
DELETED = {kind: [] for kind in KINDS if kind != "security-group"}
"""What is left after a teardown, beside the lab's own groups."""
PLUGIN, PLUGIN_SOURCE = "plugins/kill.py", REPOSITORY / "tests/crash/plugin.py"


@dataclass(frozen=True)
class World:
    """The lab's files and its cloud at one moment."""

    name: str
    lab: LabDirectory = field(repr=False)
    cloud: LocalCloud = field(repr=False)
    kept: Path = field(repr=False)
    """A directory with `lab`, the files, and `snapshot`, the cloud's snapshot."""

    @classmethod
    def as_it_is(cls, lab, cloud):
        """Keep the world as it is now."""
        kept = Path(tempfile.mkdtemp(dir=lab.path.parent))
        shutil.copytree(lab.path, kept / "lab", symlinks=True)
        (kept / "snapshot").write_text(cloud.snapshot())
        return cls("now", lab, cloud, kept)

    def restore(self):
        """Let it be again as it was."""
        shutil.rmtree(self.lab.path)
        shutil.copytree(self.kept / "lab", self.lab.path, symlinks=True)
        self.cloud.restore((self.kept / "snapshot").read_text())


def worlds_at_boundaries(lab, cloud, script, **variables):
    """Run a script once, to its end; return the worlds that a kill would have left at the boundaries of its work."""
    kept = Path(tempfile.mkdtemp(dir=lab.path.parent))
    lab.write(PLUGIN, PLUGIN_SOURCE.read_text())
    succeeded(script, lab.run(script, KEEP_IN=str(kept), **variables))
    return [World(f"boundary {each.name}", lab, cloud, each) for each in sorted(kept.iterdir())]


ODD, EVEN = (slice(None), slice(None)) if FULL else (slice(0, None, 2), slice(1, None, 2))
"""Where a killed command can be followed by either of two, each boundary has one of them; with FULL=1 it has both."""


def killed_anywhere(lab, cloud, script, *, boundaries=slice(None), at_least=10, **variables):
    """Restore what a kill of a script leaves at each boundary of its work, one after the other; yield its name."""
    worlds = worlds_at_boundaries(lab, cloud, script, **variables)
    print(f"boundaries of {script}: {len(worlds)}")
    assert len(worlds) > at_least
    for world in worlds[boundaries]:
        world.restore()
        yield world.name


def killed(lab, script, at, **variables):
    """Run a script that is killed at a boundary; say whether it came there."""
    lab.write(PLUGIN, PLUGIN_SOURCE.read_text())
    process = lab.start(script, KILL_AT=str(at), **variables)
    _, err = process.communicate(timeout=120)
    assert process.returncode in (0, -signal.SIGKILL), err
    return process.returncode != 0


def run(lab, script, **variables):
    """Run a script that nobody kills."""
    (lab.path / PLUGIN).unlink(missing_ok=True)
    return succeeded(script, lab.run(script, **variables))


def succeeded(script, ended):
    """Expect a script to have done what it was to do."""
    assert ended.code == 0, f"{script}: {ended.err}"
    return ended


def has_recorded(lab, text):
    """Say whether the registry has a text in it; its last record may be torn."""
    return lab.registry.exists() and text in lab.registry.read_text()


def alive(cloud):
    """What there is in all regions, by kind; datasets that the cloud began with are not the commands' doing."""
    found = {kind: [] for kind in KINDS}
    for thing in cloud.inventory():
        ours = "lab:request-id" in thing["tags"] or thing["kind"] != "snapshot"
        if ours and thing["state"] != "terminated":
            found[thing["kind"]].append(thing["id"])
    return found


def gone(cloud, **more):
    """Whether nothing is left in any region but one group of the lab's in each that was used, and `more`."""
    found = alive(cloud)
    groups = found.pop("security-group")
    assert found == {**DELETED, **more}, found
    return len(groups)


def registry_is_valid(lab):
    """Whether the registry is one JSON document."""
    return not lab.registry.exists() or isinstance(json.loads(lab.registry.read_text()), list)
