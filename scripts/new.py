"""Write a commented experiment file to start from."""

from __future__ import annotations

from ec2lab.console import Console, run
from ec2lab.options import AsJson, ExperimentName, script

app = script(__doc__)


@app.command()
def new(exp: ExperimentName = "", as_json: AsJson = False) -> None:
    """Write experiments/EXP.toml, unless it exists."""
    from pathlib import Path

    from ec2lab.config.lab_files import load_lab
    from ec2lab.config.models import Experiment
    from ec2lab.config.toml_files import write_new
    from ec2lab.events.lab import ExperimentWritten
    from ec2lab.templates import render

    load_lab(Path.cwd())
    path = Path("experiments") / f"{exp}.toml"
    write_new(path, render("experiment.toml.j2", name=exp), Experiment, shown_as=str(path))
    Console(as_json=as_json).emit(ExperimentWritten(experiment=exp, path=str(path)))


if __name__ == "__main__":
    run(app)
