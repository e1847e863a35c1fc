"""Copy files from here to all instances of an experiment."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from ec2lab.console import Console, run
from ec2lab.errors import UserError
from ec2lab.options import FILE, AsJson, Delete, HostName, OptionalExperiment, option, script

app = script(__doc__)
Source = Annotated[str, option("SOURCE", "A file or directory here.", metavar=FILE)]
Dest = Annotated[str, option("DEST", "Its path there; a relative one begins at home.")]


@app.command()
def push(
    exp: OptionalExperiment = "", host: HostName = "", source: Source = "", dest: Dest = "", delete: Delete = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Copy SOURCE to DEST on all running instances of EXP at once, or on HOST (foo-2, or several).

    A directory's contents go into DEST; a file becomes DEST, or goes into it if DEST is a directory or ends with "/".
    Files with the same size and modification time are skipped, an interrupted copy continues where it stopped, and a
    file has its name only when it is complete. Nothing is deleted unless you set DELETE=1.

    Exit status: that of the first instance that failed: 255 if ssh failed, or else 1.
    """
    from ec2lab.events.runs import FilesCopied
    from ec2lab.hosts.copying import push as copy
    from ec2lab.hosts.file_stream import Tree
    from ec2lab.hosts.named_hosts import hosts_to_call, record_calls
    from ec2lab.hosts.parallel import on_each
    from ec2lab.hosts.ssh import Host
    from ec2lab.progress import progress_bars
    from ec2lab.session import open_session

    console = Console(as_json=as_json)
    if not source or not dest:
        raise UserError("SOURCE, DEST: what is copied, and where to? (SOURCE=./code DEST=/data/code)")
    try:
        tree = Tree.read(source)
    except OSError as problem:
        raise UserError(f"SOURCE: {problem.filename or source}: {problem.strerror}") from problem
    with open_session("push") as session, progress_bars(console) as bars:
        hosts = hosts_to_call(session, exp, host)
        record_calls(session.recorder, hosts)

        def work(one: Host) -> int:
            copied = copy(one, tree, dest, lambda done, of: bars.show(one.name, done, of, ""), delete=delete)
            console.emit(FilesCopied(host=one.name, source=source, dest=dest, **asdict(copied)))
            return 0

        on_each(session.over, hosts, work, lambda _: None)


if __name__ == "__main__":
    run(app)
