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
    dataset_name,
    experiment_name,
    experiment_or_glob,
    leaving_member,
    member_name,
    new_version,
    one_experiment,
    optional_experiment,
    volume_id,
)

FILE = "FILE"
"""The metavar of what may be a path: the shell completes it with files."""
ExperimentName = Annotated[
    str, typer.Option("--exp", envvar="EXP", callback=experiment_name, help="The experiment: experiments/EXP.toml.")
]
Experiments = Annotated[
    str,
    typer.Option("--exp", envvar="EXP", callback=experiment_or_glob, help="The experiment, or several: 'speech-*'."),
]
OptionalExperiment = Annotated[str, typer.Option("--exp", envvar="EXP", help="The experiment.")]
AnyExperiments = Annotated[
    str,
    typer.Option("--exp", envvar="EXP", callback=any_experiments, help="Only this one, or 'speech-*'. Default: all."),
]
OneExperiment = Annotated[
    str, typer.Option("--exp", envvar="EXP", callback=one_experiment, help="Only this experiment. Default: all.")
]
MountPoint = Annotated[str, typer.Option("--mount", envvar="MOUNT", help="Mount point: /data.")]
VolumeId = Annotated[str, typer.Option("--volume", envvar="VOLUME", callback=volume_id, help="The volume: vol-….")]
DatasetName = Annotated[str, typer.Option("--dataset", envvar="DATASET", callback=dataset_name, help="The dataset.")]
BaseExperiment = Annotated[
    str,
    typer.Option("--base", envvar="BASE", callback=optional_experiment, help="Launch a variation of this experiment."),
]
Parameters = Annotated[str, typer.Option("--params", envvar="PARAMS", help='Parameters: "lr=0.1 seed=3".')]
NewVersion = Annotated[
    str,
    typer.Option(
        "--version", envvar="VERSION", callback=new_version, help="Name of the version. Default: the next number."
    ),
]
Version = Annotated[str, typer.Option("--version", envvar="VERSION", help="Version. Default: the newest.")]
Regions = Annotated[str, typer.Option("--regions", envvar="REGIONS", help="Regions, separated by spaces.")]
HostName = Annotated[
    str, typer.Option("--host", envvar="HOST", help="Experiment, instance (foo-2) or address; or several.")
]
RemoteCommandText = Annotated[
    str, typer.Option("--cmd", envvar="CMD", help="The command, for bash: 'nvidia-smi | head'. Quoted as one word.")
]
Tty = Annotated[bool, typer.Option("--tty", envvar="TTY", help="Run it on a terminal, on one instance.")]
Delete = Annotated[
    bool, typer.Option("--delete", envvar="DELETE", help="Delete what the source directory does not have.")
]
Of = Annotated[str, typer.Option("--owner", envvar="OWNER", help="Whose: user@host, or everyone. Default: yours.")]
Count = Annotated[int, typer.Option("--count", envvar="COUNT", min=1, max=1000, help="Number of instances.")]
Confirm = Annotated[bool, typer.Option("--yes", envvar="YES", help="Confirm the changes that are shown.")]
Check = Annotated[bool, typer.Option("--dry-run", envvar="DRY_RUN", help="Show the changes, but do not make them.")]
Purge = Annotated[
    bool, typer.Option("--purge", envvar="PURGE", help="Delete accounts and home directories instead of locking them.")
]
Adopt = Annotated[
    bool, typer.Option("--adopt", envvar="ADOPT", help="Take over existing accounts that ec2-lab did not create.")
]
MemberName = Annotated[
    str, typer.Option("--name", envvar="NAME", callback=member_name, help="The member's login name: alice.")
]
LeavingMember = Annotated[
    str, typer.Option("--name", envvar="NAME", callback=leaving_member, help="The member's login name: alice.")
]
Raw = Annotated[bool, typer.Option("--raw", envvar="RAW", help="Print the log unfiltered, escape sequences included.")]
Force = Annotated[
    bool, typer.Option("--force", envvar="FORCE", help="Overwrite even a file that this command did not write.")
]
Wide = Annotated[
    bool, typer.Option("--wide", envvar="WIDE", help="Show all columns, a line for each row, on a terminal too.")
]
AsJson = Annotated[bool, typer.Option("--json", envvar="JSON", help="Print one JSON object per line.")]


class Command(TyperCommand):
    """A command that names wrong values by their make variables: COUNT: .abc. is not a whole number."""

    def make_context(self, *args: Any, **more: Any) -> Any:
        """Parse the options and their environment variables. Raises UsageError."""
        try:
            return super().make_context(*args, **more)
        except typer.BadParameter as problem:
            raise UsageError(_in_words(problem)) from problem


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
        """Register a command."""
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
