"""Copy files from the instances of an experiment to here."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from ec2lab.console import Console, run
from ec2lab.errors import UserError
from ec2lab.options import FILE, AsJson, Delete, HostName, OptionalExperiment, script

app = script(__doc__)
Source = Annotated[str, typer.Option("--source", envvar="SOURCE", help="A path there; a relative one begins at home.")]
Dest = Annotated[str, typer.Option("--dest", envvar="DEST", metavar=FILE, help="A path here.")]


@app.command()
def pull(
    exp: OptionalExperiment = "", host: HostName = "", source: Source = "", dest: Dest = "", delete: Delete = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Copy SOURCE from the running instances of EXP, or from HOST (foo-2, or several), to DEST.

    With several instances, each gets a directory of its own: DEST/foo-1, DEST/foo-2. Files with the same size and
    modification time are skipped, an interrupted copy continues where it stopped, and a file has its name only when it
    is complete. Nothing that an instance sends is written outside of DEST. Nothing is deleted unless you set DELETE=1.

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
    if not source or not dest:
        raise UserError("SOURCE, DEST: what is copied, and where to? (SOURCE=/data/out DEST=./out)")
    with open_session("pull") as session, progress_bars(console) as bars:
        hosts = hosts_to_call(session, exp, host)
        record_calls(session.recorder, hosts)

        def work(one: Host) -> int:
            place = dest if len(hosts) == 1 else f"{dest}/{one.name}/"
            copied = copy(one, source, place, lambda done, of: bars.show(one.name, done, of, ""), delete=delete)
            console.emit(FilesCopied(host=one.name, source=source, dest=place, **asdict(copied)))
            return 0

        on_each(session.over, hosts, work, lambda _: None)


if __name__ == "__main__":
    run(app)
