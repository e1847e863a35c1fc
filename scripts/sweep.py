"""Launch every combination of an experiment's matrix, each on its own instance."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ec2lab.console import Console, run, warn
from ec2lab.errors import UserError
from ec2lab.options import AsJson, Confirm, ExperimentName, Parameters, option, script

if TYPE_CHECKING:
    from ec2lab.config.models import Experiment
    from ec2lab.config.parameters import Variation
    from ec2lab.sweeps.sweep import TrialResult

app = script(__doc__)
RetryFailed = Annotated[bool, option("RETRY_FAILED", "Relaunch the trials whose command failed, too.")]
Again = Annotated[bool, option("AGAIN", "Launch all trials again that are not live.")]


@app.command()
def sweep(
    exp: ExperimentName = "",
    parameters: Parameters = "",
    failed: RetryFailed = False,
    again: Again = False,
    yes: Confirm = False,
    as_json: AsJson = False,
) -> None:
    """Launch an instance for each combination of the matrix in experiments/EXP.toml: EXP-lr0_1-seed3 and so on.

    All trials are launched in parallel, as fast as AWS accepts the requests. Run it again to launch those that
    failed or were not reached; trials that were launched are left alone. PARAMS="seed=3" fixes a parameter.
    RETRY_FAILED=1 also relaunches the trials whose command failed, and AGAIN=1 all that are no longer live, for example
    after a fix in the code. More than 100 instances require YES=1.

    Exit status: 1 if a launch failed.
    """
    from dataclasses import replace

    from ec2lab import clock
    from ec2lab.config.parameters import parse_parameters, variations
    from ec2lab.launch.launcher import nobody_can_log_in
    from ec2lab.launch.run_spec import RunSpec, with_gpu_types
    from ec2lab.registry.history import History
    from ec2lab.runs.code_archive import packed
    from ec2lab.runs.launcher_secrets import launcher_secrets
    from ec2lab.session import open_session
    from ec2lab.sweeps.console import SweepConsole
    from ec2lab.sweeps.sweep import Sweep, launched_before, pending_trials, require_confirmation

    fixed = parse_parameters(parameters)
    with open_session("sweep") as session:
        written = with_matrix(session.directory, exp)
        spec = with_gpu_types(session, RunSpec(written, exp))
        experiment = spec.experiment
        everything = variations(exp, experiment.matrix, fixed)
        records = session.registry.histories({one.name for one in everything})
        history = History(session.records.of_this_account(records))
        wanted = pending_trials(everything, history, failed=failed, again=again)
        require_confirmation(session, exp, experiment, len(wanted) * experiment.nodes, given=yes)
        launcher_secrets(exp, experiment)
        pack = packed(session.directory, experiment.code) if experiment.code else None
        for remark in pack.remarks if pack else ():
            warn(remark)
        console = Console(as_json=as_json)
        console.hint(session.cloud.banner)
        report_start(console, exp, experiment, wanted, launched_before(everything, wanted, history))
        console.hint(nobody_can_log_in(session.directory) if wanted else "")
        next_sweep = command(exp, parameters, RETRY_FAILED=failed, AGAIN=again)
        report, began = SweepConsole(console), clock.monotonic()
        sweeping = Sweep(session, replace(spec, pack=pack), report.emit, next_sweep, history, failed)
        try:
            with report.live_display():
                outcomes = sweeping.run(wanted)
        except KeyboardInterrupt:
            ends = f"make teardown EXP='{exp}-*'"
            console.hint(f"running instances keep running; `{next_sweep}` launches the rest, `{ends}` deletes them")
            raise
        report_end(console, exp, parameters, clock.monotonic() - began, outcomes)


def report_start(
    console: Console, exp: str, experiment: Experiment, wanted: Sequence[Variation], before: Sequence[TrialResult]
) -> None:
    from ec2lab.events.runs import SweepStarted

    started = SweepStarted(
        experiment=exp, instance_types=list(experiment.instance_types), markets=[str(m) for m in experiment.markets],
        trials=[one.name for one in wanted], launched_before=len(before),
    )  # fmt: skip
    console.emit(started, *(result.event() for result in before))


def report_end(console: Console, exp: str, parameters: str, seconds: float, outcomes: Sequence[TrialResult]) -> None:
    """Report what became of a sweep, and what to do next. Raises UserError if a launch failed."""
    from collections import Counter

    from ec2lab.events.runs import SweepComplete
    from ec2lab.sweeps.sweep import State

    counts = Counter(outcome.state.value for outcome in outcomes)
    console.emit(SweepComplete(experiment=exp, seconds=round(seconds, 3), outcomes=dict(counts)))
    if counts[State.FAILED]:
        console.hint(f"  next    {command(exp, parameters)} launches those that failed")
    if not outcomes or counts[State.RUNS_ALREADY]:
        console.hint(f"  again   {command(exp, parameters, AGAIN=True)} launches all of them again, after a teardown")
    console.hint(f"  end     make teardown EXP='{exp}-*'")
    if lost := [outcome for outcome in outcomes if outcome.state is State.FAILED]:
        raise UserError(f"{exp}: {len(lost)} of {len(outcomes)} failed, the first: {lost[0].why}")


def command(exp: str, parameters: str, **flags: bool) -> str:
    """Return the command that sweeps on, as one types it."""
    chosen = [f"PARAMS={shlex.quote(parameters)}"] if parameters else []
    return " ".join(["make sweep", f"EXP={exp}", *chosen, *(f"{name}=1" for name, given in flags.items() if given)])


def with_matrix(directory: Path, exp: str) -> Mapping[str, Any]:
    """Return an experiment as written, once it is checked. Raises UserError if it has no matrix."""
    from ec2lab.config.lab_files import written_experiment
    from ec2lab.config.models import Experiment
    from ec2lab.config.toml_files import checked

    written = written_experiment(directory, exp)
    if not checked(written, Experiment, shown_as=f"experiments/{exp}.toml").matrix:
        raise UserError(f"experiments/{exp}.toml: has no [matrix] to sweep (try matrix = {{ seed = [1, 2, 3] }})")
    return written


if __name__ == "__main__":
    run(app)
