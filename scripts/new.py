"""Write a commented experiment file to start from."""

from __future__ import annotations

from scripts.core.console import Console, run
from scripts.core.errors import LabError
from scripts.core.options import AsJson, ExperimentName, script

app = script(__doc__)


@app.command()
def new(exp: ExperimentName = "", as_json: AsJson = False) -> None:
    """Write experiments/EXP.toml, unless there is one."""
    import os
    from pathlib import Path

    from scripts.core.lab.config import load_lab
    from scripts.core.render import render
    from scripts.core.whole_file import drafted

    load_lab(Path.cwd())
    path = Path("experiments") / f"{exp}.toml"
    try:
        path.parent.mkdir(exist_ok=True)
        with drafted(path, render("experiment.toml.j2", name=exp).encode()) as draft:
            os.link(draft, path)  # whole, and never over another
    except FileExistsError as problem:
        raise LabError(f"{path}: exists already; edit it, or take another name") from problem
    except OSError as problem:
        raise LabError(f"{path}: can't be written: {problem.strerror}") from problem
    text = f"wrote {path}: edit it, then `make launch EXP={exp}`"
    Console(as_json=as_json).say(text, "written", path=str(path))


if __name__ == "__main__":
    run(app)
