"""The options that scripts share: each is an environment variable too, so that make hands it over untouched."""

from __future__ import annotations

from typing import Annotated

import typer

from ec2lab.validators import (
    dataset_name,
    experiment_name,
    experiment_or_glob,
    leaving_member,
    member_name,
    one_experiment,
    optional_experiment,
    volume_id,
)

ExperimentName = Annotated[
    str, typer.Option("--exp", envvar="EXP", callback=experiment_name, help="The experiment: experiments/EXP.toml.")
]
Experiments = Annotated[
    str,
    typer.Option("--exp", envvar="EXP", callback=experiment_or_glob, help="The experiment, or several: 'speech-*'."),
]
OptionalExperiment = Annotated[str, typer.Option("--exp", envvar="EXP", help="The experiment whose machine is meant.")]
OneExperiment = Annotated[
    str, typer.Option("--exp", envvar="EXP", callback=one_experiment, help="This experiment alone; all if left out.")
]
MountPoint = Annotated[str, typer.Option("--mount", envvar="MOUNT", help="Where it is mounted: /data.")]
VolumeId = Annotated[str, typer.Option("--volume", envvar="VOLUME", callback=volume_id, help="The volume: vol-….")]
DatasetName = Annotated[str, typer.Option("--dataset", envvar="DATASET", callback=dataset_name, help="The dataset.")]
BaseExperiment = Annotated[
    str, typer.Option("--base", envvar="BASE", callback=optional_experiment, help="Of whose file it is a variation.")
]
Parameters = Annotated[str, typer.Option("--params", envvar="PARAMS", help='Parameters: "lr=0.1 seed=3".')]
Version = Annotated[str, typer.Option("--version", envvar="VERSION", help="Its version; the newest if left out.")]
Regions = Annotated[str, typer.Option("--regions", envvar="REGIONS", help="Regions, separated by spaces.")]
HostName = Annotated[
    str, typer.Option("--host", envvar="HOST", help="An experiment, a machine of one, or an address; or several.")
]
Of = Annotated[str, typer.Option("--owner", envvar="OWNER", help="Whose: user@host, or everyone; yours if left out.")]
Count = Annotated[int, typer.Option("--count", envvar="COUNT", min=1, max=1000, help="How many machines.")]
Confirm = Annotated[bool, typer.Option("--yes", envvar="YES", help="Do it, after it was shown.")]
Check = Annotated[bool, typer.Option("--dry-run", envvar="DRY_RUN", help="Show what would change, and change nothing.")]
Purge = Annotated[bool, typer.Option("--purge", envvar="PURGE", help="Delete accounts and homes, not only lock them.")]
Adopt = Annotated[
    bool, typer.Option("--adopt", envvar="ADOPT", help="Take over accounts of members that ec2-lab did not make.")
]
MemberName = Annotated[
    str, typer.Option("--name", envvar="NAME", callback=member_name, help="The member's login name: alice.")
]
LeavingMember = Annotated[
    str, typer.Option("--name", envvar="NAME", callback=leaving_member, help="The member's login name: alice.")
]
Raw = Annotated[bool, typer.Option("--raw", envvar="RAW", help="Print the log with all that a terminal obeys.")]
Force = Annotated[
    bool, typer.Option("--force", envvar="FORCE", help="Overwrite a file that this command did not write.")
]
AsJson = Annotated[bool, typer.Option("--json", envvar="JSON", help="Print JSON, one object a line, for programs.")]


def script(help_text: str | None) -> typer.Typer:
    """Return a typer application without rich's help and tracebacks, which would double each script's start-up."""
    return typer.Typer(
        help=help_text,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
