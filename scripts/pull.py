"""Copy files from the instances of an experiment to here, or its outputs from S3."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ec2lab.console import Console, run
from ec2lab.errors import UserError
from ec2lab.options import FILE, AsJson, Delete, HostName, OptionalExperiment, option, script
from ec2lab.validators import experiment_name

if TYPE_CHECKING:
    from ec2lab.progress import ProgressBars

app = script(__doc__)
Source = Annotated[str, option("SOURCE", "A path there; a relative one begins at home.")]
Outputs = Annotated[bool, option("OUTPUTS", "Fetch the outputs of a run from S3.")]
RunId = Annotated[str, option("RUN_ID", "The run: i-…, from `make outputs`. Default: the newest.")]
Dest = Annotated[str, option("DEST", "A path here.", metavar=FILE)]


@app.command()
def pull(
    exp: OptionalExperiment = "", host: HostName = "", source: Source = "", dest: Dest = "", outputs: Outputs = False,
    run_id: RunId = "", delete: Delete = False, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Copy SOURCE from the running instances of EXP, or from HOST (foo-2, or several), to DEST.

    With several instances, each gets a directory of its own: DEST/foo-1, DEST/foo-2. Files with the same size and
    modification time are skipped, an interrupted copy continues where it stopped, and a file has its name only when it
    is complete. Nothing that an instance sends is written outside of DEST. Nothing is deleted unless you set DELETE=1.

    OUTPUTS=1 fetches what EXP's newest run left in S3, or the run RUN_ID=i-…, whether its instances still exist or not.
    Without DEST it goes to outputs/EXP/RUN_ID. Files that are there in the same version are skipped.

    Exit status: that of the first instance that failed: 255 if ssh failed, or else 1.
    """
    from ec2lab.events.runs import FilesCopied
    from ec2lab.hosts.copying import pull as copy
    from ec2lab.hosts.named_hosts import hosts_to_call, record_calls
    from ec2lab.hosts.parallel import on_each
    from ec2lab.hosts.ssh import Host
    from ec2lab.progress import progress_bars
    from ec2lab.session import open_session

    console = Console(as_json=as_json)
    if outputs:
        if source:
            raise UserError("SOURCE: OUTPUTS=1 fetches all outputs of a run; leave SOURCE out")
        with progress_bars(console) as bars:
            _pull_outputs(console, bars, experiment_name(exp), host, run_id, dest, delete=delete)
        return
    if run_id:
        raise UserError("RUN_ID: selects a run with outputs; set OUTPUTS=1 too")
    if not source or not dest:
        raise UserError("SOURCE, DEST: what is copied, and where to? (SOURCE=/data/out DEST=./out, or OUTPUTS=1)")
    with open_session("pull") as session, progress_bars(console) as bars:
        hosts = hosts_to_call(session, exp, host)
        record_calls(session.recorder, hosts)

        def work(one: Host) -> int:
            place = dest if len(hosts) == 1 else f"{dest}/{one.name}/"
            copied = copy(one, source, place, lambda done, of: bars.show(one.name, done, of, ""), delete=delete)
            console.emit(FilesCopied(host=one.name, source=source, dest=place, **asdict(copied)))
            return 0

        on_each(session.over, hosts, work, lambda _: None)


def _pull_outputs(
    console: Console, bars: ProgressBars, exp: str, hosts: str, run_id: str, dest: str, *, delete: bool
) -> None:
    """Fetch one run after the other: each with several requests at once."""
    from ec2lab.events.runs import OutputsPulled
    from ec2lab.runs.s3_download import download
    from ec2lab.runs.s3_outputs import chosen, record_pull, runs_of
    from ec2lab.session import open_session

    with open_session("pull", exp) as session:
        runs = chosen(runs_of(session, exp), hosts, run_id)
        record_pull(session, runs)
        for one in runs:
            place = str(Path(dest, one.host if len(runs) > 1 else "")) if dest else f"outputs/{exp}/{one.id}"
            show = lambda done, of, name=one.host: bars.show(name, done, of, "")  # noqa: E731
            copied = download(one.objects_in(session), place, show, one.state_in(session), delete=delete)
            console.emit(OutputsPulled(host=one.host, run=one.id, source=one.uri, dest=place, **asdict(copied)))


if __name__ == "__main__":
    run(app)
