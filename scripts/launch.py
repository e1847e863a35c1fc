"""Launch an experiment on a fresh machine, with its data mounted, wherever capacity can be found."""

from __future__ import annotations

from typing import Annotated

import typer

from ec2lab.console import Console, run
from ec2lab.errors import LabError
from ec2lab.options import AsJson, BaseExperiment, Count, ExperimentName, Parameters, script

app = script(__doc__)
MinCount = Annotated[
    int, typer.Option("--min-count", envvar="MIN_COUNT", min=0, max=1000, help="How few will do; COUNT if left out.")
]


@app.command()
def launch(
    exp: ExperimentName = "",
    count: Count = 1,
    min_count: MinCount = 0,
    base: BaseExperiment = "",
    parameters: Parameters = "",
    as_json: AsJson = False,
) -> None:
    """Launch EXP (experiments/EXP.toml) on a fresh machine, or on COUNT of them.

    BASE=speech launches a variation of experiments/speech.toml under the name EXP; PARAMS="lr=0.1 seed=3" chooses
    parameters. Asks pool after pool (region, type, market) until all run, in rounds for as long as the experiment's
    capacity_timeout. Exit 1 if they are not to be had, or if EXP already lives. Whatever was made is taken down again
    when the launch fails or is interrupted; one that was cut off (a kill, a power cut) is gone on with by the next.
    Then their set-up is seen to, for as long as ssh.boot_timeout in lab.toml says: exit 1 if it failed, or nobody could
    log in to look; they run on then.
    """
    from ec2lab.config.parameters import parse_parameters
    from ec2lab.launch.launcher import launch_experiment
    from ec2lab.launch.report import LaunchConsole
    from ec2lab.launch.run_spec import definition
    from ec2lab.session import acting_on

    if min_count > count:
        raise LabError(f"MIN_COUNT: {min_count} is more than COUNT, which is {count}")
    selected = parse_parameters(parameters)
    with acting_on(exp, "launch") as session:
        defined = definition(session, exp, base, selected)
        if max(count, min_count) > 1 and defined.experiment.nodes > 1:
            raise LabError(f"COUNT: {exp} has nodes = {defined.experiment.nodes}, which says how many; leave it out")
        report = LaunchConsole(Console(as_json=as_json), exp)
        launch_experiment(session, exp, defined.experiment, report, count, min_count or count, defined)


if __name__ == "__main__":
    run(app)
