"""A lab in a directory of its own, worked as a user works it: files, make's environment, the registry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.printed_events import check_output
from tests.script_process import IS_AVAILABLE, ScriptProcess

REPOSITORY = Path(__file__).parents[1]
VARIABLES = (REPOSITORY / "Makefile").read_text().partition("VARIABLES := ")[2].partition("\n")[0].split()
"""What make hands to the scripts, and a test's own environment must not."""


@dataclass
class Ended:
    """How a script ended."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict]:
        """What it printed with JSON=1. Each event has the time of its report, which no test can expect."""
        events = [json.loads(line) for line in self.out.splitlines()]
        return [{key: value for key, value in event.items() if key != "time"} for event in events]

    @property
    def error(self) -> str:
        """The one line that it failed with."""
        lines = self.err.splitlines()
        assert len(lines) == 1, f"one line was to be said, not:\n{self.err}"
        return lines[0]


@dataclass
class LabDirectory:
    """A directory with a lab.toml that uses the test's local cloud."""

    path: Path
    waits: bool = True
    """Whether a script that is run to its end waits for real; else its pauses advance the local cloud's clock."""

    python = sys.executable

    @property
    def registry(self) -> Path:
        return self.path / "registry.json"

    @property
    def account(self) -> dict[str, str]:
        """How records name the account of the lab's local cloud."""
        return {"partition": "local", "account": (self.path / ".local-cloud" / "account").read_text().strip()}

    def use(self, cloud_directory: Path) -> None:
        """Let the lab's own local cloud be the one of a directory from now on: another account."""
        (self.path / ".local-cloud").unlink()
        (self.path / ".local-cloud").symlink_to(cloud_directory)

    def write(self, name: str, text: str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def environment(self, **variables: str) -> dict[str, str]:
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith("AWS_") and key not in VARIABLES
        }
        return {**inherited, "PYTHONPATH": str(REPOSITORY), "AWS_EC2_METADATA_DISABLED": "true", **variables}

    def start(self, script: str, **variables: str) -> subprocess.Popen | ScriptProcess:
        """Start a script as its make target does: by module, its arguments in the environment.

        It waits for real, so that the test can act meanwhile.
        """
        return self._started(script, variables, waits=True)

    def _started(self, script: str, variables: dict[str, str], *, waits: bool) -> subprocess.Popen | ScriptProcess:
        """Fork it from a process that has loaded everything, unless Python itself is to start another way."""
        module, environment = f"scripts.{script}", self.environment(**variables)
        as_usual = environment["PYTHONPATH"].endswith(str(REPOSITORY)) and "PYTHONUNBUFFERED" not in variables
        if IS_AVAILABLE and as_usual:
            return ScriptProcess(module, self.path, environment, waits=waits)
        return subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=self.path, env=environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run_file(self, name: str) -> Ended:
        """Run a script of the user's own, in the lab's directory."""
        forked = IS_AVAILABLE and ScriptProcess(name, self.path, self.environment(), waits=self.waits)
        process = forked or self.start_file(name)
        out, err = process.communicate()
        return Ended(process.returncode, out, err)

    def start_file(self, name: str) -> subprocess.Popen:
        """Start a script of the user's own, in the lab's directory."""
        return subprocess.Popen(
            [sys.executable, name], cwd=self.path, env=self.environment(), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, script: str, **variables: str) -> Ended:
        """Run a script to its end. With JSON=1, all that it says is in the schema of events."""
        process = self._started(script, variables, waits=self.waits)
        out, err = process.communicate(timeout=120)
        if variables.get("JSON") == "1":
            check_output(script.replace("_", "-"), out)
        return Ended(process.returncode, out, err)

    def at_terminal(self, script: str, columns: int = 80, **variables: str) -> Ended:
        """Run a script to its end at a terminal, where errors are among its output."""
        environment = self.environment(TERM="xterm", **variables)
        process = ScriptProcess(f"scripts.{script}", self.path, environment, waits=self.waits, columns=columns)
        out, err = process.communicate(timeout=120)
        return Ended(process.returncode, out, err)

    def launch(self, exp: str = "demo", **variables: str) -> Ended:
        return self.run("launch", EXP=exp, JSON="1", **variables)

    def teardown(self, exp: str = "demo", **variables: str) -> Ended:
        return self.run("teardown", EXP=exp, JSON="1", **variables)

    def status(self) -> list[dict]:
        """What lives, a thing each."""
        return [event for event in self.run("status", JSON="1").events if event["event"] == "resource"]

    def records(self) -> list[dict]:
        """What the registry holds, read as any program would: as one JSON document."""
        return json.loads(self.registry.read_text())
