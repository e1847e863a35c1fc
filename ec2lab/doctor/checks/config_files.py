"""The lab's own files, and its plugins."""

from __future__ import annotations

from collections.abc import Iterator

from ec2lab.doctor.check import Check, Diagnosis, Finding, Severity
from ec2lab.doctor.context import DoctorContext

CONFIG_VALID = Diagnosis("config-valid", Severity.OK, "lab.toml, {experiments} in experiments/, {members} in members/")
CONFIG_INVALID = Diagnosis(
    "config-invalid",
    Severity.WRONG,
    "{complaint}",
    "fix that line; `make new EXP=…` writes a file with every key explained",
)
NO_EXPERIMENT = Diagnosis(
    "no-experiment", Severity.WARNING, "experiments/ is empty", "`make new EXP=…` writes the first"
)
NO_MEMBER = Diagnosis(
    "no-member", Severity.WARNING, "members/ is empty: nobody can log in to an instance",
    "`make user-add NAME=… KEY=~/.ssh/id_ed25519.pub` adds you",
)  # fmt: skip
PLUGIN_LOAD_FAILED = Diagnosis(
    "plugin-broken", Severity.WRONG, "{reason}", "fix it or move it away; here the built-in ones were used alone"
)


class Files(Check):
    """lab.toml, every experiment, every member: all that is wrong, not only the first."""

    name = "config-files"
    order = 10

    def look(self, lab: DoctorContext) -> Iterator[Finding]:
        """Say what each file is refused for."""
        files = lab.files
        for refused in files.refused.values():
            yield from (CONFIG_INVALID.of(complaint=complaint) for complaint in refused)
        if lab.plugin_trouble:
            yield PLUGIN_LOAD_FAILED.of(reason=lab.plugin_trouble)
        if not files.experiments and not any(name.startswith("experiments/") for name in files.refused):
            yield NO_EXPERIMENT.of()
        if not files.members and not any(name.startswith("members/") for name in files.refused):
            yield NO_MEMBER.of()
        if not files.refused:
            yield CONFIG_VALID.of(experiments=len(files.experiments), members=len(files.members))
