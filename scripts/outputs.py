"""List the outputs of an experiment's runs in S3."""

from __future__ import annotations

from ec2lab.console import Console, run
from ec2lab.errors import UserError
from ec2lab.options import AnyExperiments, AsJson, Wide, script

app = script(__doc__)


@app.command()
def outputs(exp: AnyExperiments = "", wide: Wide = False, as_json: AsJson = False) -> None:
    """List the runs of EXP (or 'speech-*') that have outputs in S3: files, size, last change, state.

    Runs of instances that are gone are listed too. An ended run has the exit status of its command; an interrupted one
    has none, and no instance. WIDE=1 shows each run's address in S3. `make pull OUTPUTS=1` fetches them.
    """
    from fnmatch import fnmatchcase

    from ec2lab.events.runs import RunOutputs
    from ec2lab.hosts.ssh_config import SshConfig
    from ec2lab.runs.s3_outputs import list_outputs, runs_with_outputs
    from ec2lab.session import open_session
    from ec2lab.validators import is_pattern

    console = Console(as_json=as_json, wide=wide)
    with open_session("outputs") as session:
        records = session.records.history(None if is_pattern(exp) else exp)
        names = {record.experiment for record in records if record.experiment and fnmatchcase(record.experiment, exp)}
        if not names and exp != "*":
            session.expect_known(exp)
        ssh = SshConfig(session.directory)
        runs = runs_with_outputs(
            (record for record in records if record.experiment in names),
            {instance: host for name in names for instance, host in ssh.names(name).items()},
        )
        runs.sort(key=lambda one: one.experiment)
        found = list(list_outputs(session, runs, exp))
        console.emit_table([one for one in found if isinstance(one, RunOutputs)])
        without = sorted(names - {one.experiment for one in runs})
        console.hint(f"launched without outputs: {', '.join(without)}" if without else "")
        console.hint("" if names else "nothing was ever launched" if exp == "*" else f"{exp}: was never launched")
        for problem in found:
            if isinstance(problem, UserError):
                raise problem


if __name__ == "__main__":
    run(app)
