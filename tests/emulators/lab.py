"""A lab that uses an emulator as it would use AWS: by the endpoint and the credentials in its environment."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.emulators.emulator import CREDENTIALS, Running
from tests.lab_directory import Ended, LabDirectory


@dataclass
class EmulatedLab(LabDirectory):
    """A lab directory; its scripts' pauses pass at once, by a clock of the lab's own."""

    endpoints: dict[str, str] = field(default_factory=dict)

    def environment(self, **variables: str) -> dict[str, str]:
        return super().environment(**{**CREDENTIALS, **self.endpoints, "PATH": "/usr/bin:/bin", **variables})

    def serve(self, running: Running, service: str = "") -> None:
        """Send calls, or those of one service, to an emulator."""
        self.endpoints[f"AWS_ENDPOINT_URL{f'_{service.upper()}' if service else ''}"] = running.url

    def well(self, script: str, **variables: str) -> Ended:
        """Run a script, which is to end well."""
        ended = self.run(script, **variables)
        assert ended.code == 0, f"{script}: {ended.err}\n{ended.out}"
        return ended

    def said(self, script: str, event: str, **variables: str) -> list[dict]:
        """Run a script, which is to end well, and return what it says of one kind."""
        return [one for one in self.well(script, JSON="1", **variables).events if one["event"] == event]
