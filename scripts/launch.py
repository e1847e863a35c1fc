"""Launch an experiment on new instances, in any region that has capacity."""

from __future__ import annotations

from typing import Annotated

from ec2lab.console import Console, run
from ec2lab.errors import UserError
from ec2lab.options import AsJson, BaseExperiment, Count, ExperimentName, Parameters, option, script

app = script(__doc__)
MinCount = Annotated[int, option("MIN_COUNT", "Fewest instances to accept. Default: COUNT.", min=0, max=1000)]
Fresh = Annotated[bool, option("FRESH", "Start fresh: do not restore the outputs of an interrupted run.")]


@app.command()
def launch(
    exp: ExperimentName = "",
    count: Count = 1,
    min_count: MinCount = 0,
    base: BaseExperiment = "",
    parameters: Parameters = "",
    fresh: Fresh = False,
    as_json: AsJson = False,
) -> None:
    """Launch EXP (experiments/EXP.toml) on a new instance, or on COUNT instances, and wait until they have booted.

    BASE=speech launches a variation of experiments/speech.toml under the name EXP. PARAMS="lr=0.1 seed=3" sets
    parameters.

    The launch tries one capacity pool (region, instance type, market) after another and, if all lack capacity,
    retries until the experiment's capacity_timeout. A launch that fails or is interrupted is rolled back. If it is
    killed, or the computer loses power, run it again: it resumes with the instances it already created.

    If AWS interrupted the last run of an experiment with outputs, the new instance has them back before the command
    starts, with RESUMED=1 in its environment. FRESH=1 starts fresh.

    Exit status: 1 if there is insufficient capacity, EXP is already live, the boot failed (on_boot_failure in the
    experiment decides whether the instances are kept), or nobody could log in to check within ssh.boot_timeout in
    lab.toml (they are kept).
    """
    from ec2lab.config.parameters import parse_parameters
    from ec2lab.launch.launcher import launch_experiment
    from ec2lab.launch.run_spec import definition
    from ec2lab.session import locked_session
    from ec2lab.watch.notification_destinations import notifying

    if min_count > count:
        raise UserError(f"MIN_COUNT: {min_count} is more than COUNT, which is {count}")
    selected = parse_parameters(parameters)
    with locked_session(exp, "launch") as session:
        defined = definition(session, exp, base, selected)
        if max(count, min_count) > 1 and defined.experiment.nodes > 1:
            raise UserError(f"COUNT: {exp} has nodes = {defined.experiment.nodes}, which sets the number; remove COUNT")
        with notifying(session, Console(as_json=as_json).emit) as emit:
            launch_experiment(session, exp, defined.experiment, emit, count, min_count or count, defined, fresh=fresh)


if __name__ == "__main__":
    run(app)
