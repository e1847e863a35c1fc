"""A lab in a directory of its own, on a local cloud of its own, for as long as something is measured."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.turns import seconds_of
from ec2lab.aws.local_server import ensure_running, stop
from tests.lab_directory import LabDirectory
from tests.local_cloud_client import LocalCloud


@dataclass(frozen=True)
class LocalLab:
    """A directory with lab.toml and experiments, and the cloud that it works on."""

    lab: LabDirectory
    cloud: LocalCloud

    def seconds(self, script: str, **variables: str) -> float:
        """Run a script; return its seconds as a whole process."""
        command = [sys.executable, "-m", f"scripts.{script}"]
        return seconds_of(command, self.lab.path, self.lab.environment(**variables))


@contextmanager
def local_lab(files: Mapping[str, str]) -> Iterator[LocalLab]:
    """Make a lab with these files, and a cloud in calm scenario; both are gone at the end."""
    with tempfile.TemporaryDirectory() as temporary:
        lab = LabDirectory(Path(temporary))
        for name, text in files.items():
            lab.write(name, text)
        directory = lab.path / ".local-cloud"
        try:
            cloud = LocalCloud(ensure_running(directory))
            cloud.reset()  # it begins in the demo's scenario
            yield LocalLab(lab, cloud)
        finally:
            stop(directory)
