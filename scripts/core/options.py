"""The options that scripts share: each is an environment variable too, so that make hands it over untouched."""

from __future__ import annotations

from typing import Annotated

import typer

from scripts.core.names import experiment_name

ExperimentName = Annotated[
    str, typer.Option("--exp", envvar="EXP", callback=experiment_name, help="The experiment: experiments/EXP.toml.")
]
Count = Annotated[int, typer.Option("--count", envvar="COUNT", min=1, max=1000, help="How many machines.")]
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
