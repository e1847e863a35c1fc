"""Options shared by scripts. Each is an environment variable as well, so that make passes it on unchanged."""

from __future__ import annotations

import os
import re
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from ec2lab.errors import UsageError
from ec2lab.validators import (
    any_experiments,
    experiment_name,
    experiment_or_glob,
    leaving_member,
    member_name,
    new_version,
    one_experiment,
    optional_name,
    volume_id,
)


def option(variable: str, help_text: str, **more: Any) -> Any:
    """Return the option of an environment variable: DRY_RUN is --dry-run as well."""
    return typer.Option(f"--{variable.lower().replace('_', '-')}", envvar=variable, help=help_text, **more)


FILE = "FILE"  # the metavar of what may be a path: the shell completes it with files
ExperimentName = Annotated[str, option("EXP", "The experiment: experiments/EXP.toml.", callback=experiment_name)]
Experiments = Annotated[str, option("EXP", "The experiment, or several: 'speech-*'.", callback=experiment_or_glob)]
OptionalExperiment = Annotated[str, option("EXP", "The experiment.")]
AnyExperiments = Annotated[str, option("EXP", "Only this one, or 'speech-*'. Default: all.", callback=any_experiments)]
OneExperiment = Annotated[str, option("EXP", "Only this experiment. Default: all.", callback=one_experiment)]
MountPoint = Annotated[str, option("MOUNT", "Mount point: /data.")]
VolumeId = Annotated[str, option("VOLUME", "The volume: vol-….", callback=volume_id)]
DatasetName = Annotated[str, option("DATASET", "The dataset.", callback=optional_name("DATASET"))]
BaseExperiment = Annotated[
    str, option("BASE", "Launch a variation of this experiment.", callback=optional_name("BASE"))
]
Parameters = Annotated[str, option("PARAMS", 'Parameters: "lr=0.1 seed=3".')]
NewVersion = Annotated[str, option("VERSION", "Name of the version. Default: the next number.", callback=new_version)]
Version = Annotated[str, option("VERSION", "Version. Default: the newest.")]
Regions = Annotated[str, option("REGIONS", "Regions, separated by spaces.")]
HostName = Annotated[str, option("HOST", "Experiment, instance (foo-2) or address; or several.")]
RemoteCommandText = Annotated[str, option("CMD", "The command, for bash: 'nvidia-smi | head'. Quoted as one word.")]
Tty = Annotated[bool, option("TTY", "Run it on a terminal, on one instance.")]
Delete = Annotated[bool, option("DELETE", "Delete what the source directory does not have.")]
Of = Annotated[str, option("OWNER", "Whose: user@host, or everyone. Default: yours.")]
Count = Annotated[int, option("COUNT", "Number of instances.", min=1, max=1000)]
Confirm = Annotated[bool, option("YES", "Confirm the changes that are shown.")]
Check = Annotated[bool, option("DRY_RUN", "Show the changes, but do not make them.")]
Purge = Annotated[bool, option("PURGE", "Delete accounts and home directories instead of locking them.")]
Adopt = Annotated[bool, option("ADOPT", "Take over existing accounts that ec2-lab did not create.")]
MemberName = Annotated[str, option("NAME", "The member's login name: alice.", callback=member_name)]
LeavingMember = Annotated[str, option("NAME", "The member's login name: alice.", callback=leaving_member)]
Raw = Annotated[bool, option("RAW", "Print the log unfiltered, escape sequences included.")]
Force = Annotated[bool, option("FORCE", "Overwrite even a file that this command did not write.")]
Wide = Annotated[bool, option("WIDE", "Show all columns, a line for each row, on a terminal too.")]
AsJson = Annotated[bool, option("JSON", "Print one JSON object per line.")]


class Command(TyperCommand):
    """A command that names wrong values by their make variables: COUNT: .abc. is not a whole number."""

    def make_context(self, *args: Any, **more: Any) -> Any:
        taken = {str(param.envvar) for param in self.params if getattr(param, "envvar", None)}
        if unknown := [variable for variable in _given_to_make() if variable not in {*taken, *OF_EVERY_TARGET}]:
            # Ignored, one may have been meant to limit what is deleted: make teardown EXP=foo HOST=foo-2.
            goal, takes = os.environ["GOALS"], ", ".join(sorted(taken))
            raise UsageError(f"make {goal} takes no {', '.join(unknown)}; it takes {takes}")
        try:
            return super().make_context(*args, **more)
        except typer.BadParameter as problem:
            raise UsageError(_in_words(problem)) from problem


OF_EVERY_TARGET = ("DEBUG", "REGISTRY", "MEMBER", "JSON", "WIDE", "PYTHON")


def _given_to_make() -> list[str]:
    """Return the variables on make's command line, where it has one goal; a plugin's script may take any."""
    # Taken away, or the programs that this one starts, such as the local cloud, would have to take them as well.
    goal, (_, _, given) = os.environ.get("GOALS", ""), os.environ.pop("MAKEFLAGS", "").partition("-- ")
    if len(goal.split()) != 1 or goal == "script":
        return []
    words = re.findall(r"(?:\\.|[^\s\\])+", given, re.DOTALL)  # make puts a backslash before a blank in a value
    return [word.partition("=")[0].rstrip(":?+") for word in words if re.match(r"[A-Z_]+[:?+]?=", word)]


def _in_words(problem: typer.BadParameter) -> str:
    variable = str(getattr(problem.param, "envvar", None) or "")
    value, said = os.environ.get(variable, ""), problem.message
    if not value:
        return said
    if bound := re.search(r"(greater|less) than or equal to (\d+)", said):
        return f"{variable}: {value} is {'less' if bound[1] == 'greater' else 'more'} than {bound[2]}"
    if "valid integer" in said:
        return f"{variable}: {value!r} is not a whole number (try {variable}=1)"
    if "valid number" in said or "valid float" in said:
        return f"{variable}: {value!r} is not a number (try {variable}=1)"
    if "valid boolean" in said:
        return f"{variable}: {value!r} is neither yes nor no ({variable}=1 is yes; leave it out for no)"
    return f"{variable}: {value!r}: {said}"


class Script(typer.Typer):
    """A typer application whose commands report wrong values in one line."""

    def command(self, name: str | None = None, **more: Any) -> Any:
        return super().command(name, **{"cls": Command, **more})


def script(help_text: str | None) -> typer.Typer:
    """Return a typer application without rich's help and tracebacks, which would double the start-up time."""
    return Script(
        help=help_text,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
