"""Launch every combination of an experiment's matrix, each on its own instance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ec2lab.console import Console, run, warn
from ec2lab.errors import UserError
from ec2lab.options import AsJson, Confirm, ExperimentName, Parameters, script

if TYPE_CHECKING:
    from ec2lab.config.models import Experiment

app = script(__doc__)
Failed = Annotated[
    bool, typer.Option("--retry-failed", envvar="RETRY_FAILED", help="Relaunch the trials whose command failed.")
]


@app.command()
def sweep(
    exp: ExperimentName = "",
    parameters: Parameters = "",
    failed: Failed = False,
    yes: Confirm = False,
    as_json: AsJson = False,
) -> None:
    """Launch an instance for each combination of the matrix in experiments/EXP.toml: EXP-lr0_1-seed3 and so on.

    All trials are launched in parallel, as fast as AWS accepts the requests. Run it again to launch those that
    failed or were not reached; trials that were launched are left alone. PARAMS="seed=3" fixes a parameter.
    RETRY_FAILED=1 relaunches the trials whose command failed. More than 100 instances require YES=1.

    Exit status: 1 if a launch failed.
    """
    from collections import Counter

    from ec2lab import clock
    from ec2lab.config.parameters import parse_parameters, variations
    from ec2lab.events.runs import SweepComplete, SweepStarted
    from ec2lab.launch.launcher import nobody_can_log_in
    from ec2lab.runs.code_archive import packed
    from ec2lab.session import open_session
    from ec2lab.sweeps.report import SweepConsole
    from ec2lab.sweeps.sweep import State, Sweep, pending_trials, require_confirmation

    fixed = parse_parameters(parameters)
    with open_session("sweep") as session:
        written, experiment = with_matrix(session.directory, exp)
        everything = variations(exp, experiment.matrix, fixed)
        before = session.of_this_account(session.registry.histories({one.name for one in everything}))
        wanted = pending_trials(everything, before, failed=failed)
        require_confirmation(session, exp, experiment, len(wanted) * experiment.nodes, given=yes)
        pack = packed(session.directory, experiment.code) if experiment.code else None
        for remark in pack.remarks if pack else ():
            warn(remark)
        console = Console(as_json=as_json)
        console.hint(session.cloud.banner)
        console.emit(
            SweepStarted(
                experiment=exp, instance_types=list(experiment.instance_types),
                markets=[str(m) for m in experiment.markets], trials=[one.name for one in wanted],
                launched_before=len(everything) - len(wanted),
            )
        )  # fmt: skip
        console.hint(nobody_can_log_in(session))
        report = SweepConsole(console)
        began = clock.monotonic()
        try:
            with report.live_display():
                outcomes = Sweep(session, exp, written, report.emit, pack, again=failed).run(wanted)
        except KeyboardInterrupt:
            goes_on, ends = f"make sweep EXP={exp}", f"make teardown EXP='{exp}-*'"
            console.hint(f"what runs goes on running; `{goes_on}` launches the rest, `{ends}` ends it")
            raise
        counts = Counter(outcome.state.value for outcome in outcomes)
        console.emit(SweepComplete(experiment=exp, seconds=round(clock.monotonic() - began, 3), outcomes=dict(counts)))
        if counts[State.FAILED]:
            console.hint(f"  next    make sweep EXP={exp} launches those that failed")
        if not outcomes:
            console.hint(f'  again   make launch EXP=NAME BASE={exp} PARAMS="…" launches one that was taken down')
        console.hint(f"  end     make teardown EXP='{exp}-*'")
        if lost := [outcome for outcome in outcomes if outcome.state is State.FAILED]:
            raise UserError(f"{exp}: {len(lost)} of {len(outcomes)} failed, the first: {lost[0].why}")


def with_matrix(directory: Path, exp: str) -> tuple[Mapping[str, Any], Experiment]:
    """Return an experiment as written, and as a checked model. Raises UserError if it has no matrix."""
    from ec2lab.config.lab_files import written_experiment
    from ec2lab.config.models import Experiment
    from ec2lab.config.toml_files import checked

    written = written_experiment(directory, exp)
    experiment = checked(written, Experiment, shown_as=f"experiments/{exp}.toml")
    if not experiment.matrix:
        raise UserError(f"experiments/{exp}.toml: has no [matrix] to sweep (try matrix = {{ seed = [1, 2, 3] }})")
    return written, experiment


if __name__ == "__main__":
    run(app)
