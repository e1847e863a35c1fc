"""Run a command on all instances of an experiment."""

from __future__ import annotations

from contextlib import suppress

from ec2lab.console import Console, run
from ec2lab.errors import UserError
from ec2lab.options import AsJson, HostName, OptionalExperiment, RemoteCommandText, Tty, script

app = script(__doc__)


@app.command()
def execute(
    exp: OptionalExperiment = "", host: HostName = "", cmd: RemoteCommandText = "", tty: Tty = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Run CMD on all running instances of EXP at once, or on HOST (foo-2, or several), and print its output live.

    Bash runs it in your home directory, as the member who logs in, after bash's login files. With several instances,
    each line begins with the name of its instance. Standard input is empty; TTY=1 runs it on a terminal instead, on one
    instance. Ctrl-C ends it everywhere. That a command was run is recorded, but not which.

    Exit status: the command's own; with several instances, the first that is not 0; 255 if ssh failed.
    """
    from ec2lab.events.runs import RemoteCommandExited
    from ec2lab.hosts.named_hosts import hosts_to_call, record_calls
    from ec2lab.hosts.parallel import HostOutcome, on_each
    from ec2lab.runs.logs import NobodyReads
    from ec2lab.runs.remote_command import RemoteCommand, become_on_terminal
    from ec2lab.session import open_session

    console = Console(as_json=as_json)
    if not cmd.strip():
        raise UserError("CMD: is empty (try CMD='nvidia-smi')")
    if tty and as_json:
        raise UserError("TTY: can't be combined with JSON=1, which prints lines")

    def heard(ended: HostOutcome) -> None:
        console.emit(RemoteCommandExited(host=ended.host, exit_code=ended.exit_code, reason=ended.reason))

    with open_session("exec") as session:
        hosts = hosts_to_call(session, exp, host)
        if tty and len(hosts) > 1:
            raise UserError(f"TTY: is for one instance; add HOST={hosts[0].host.name}")
        record_calls(session.recorder, hosts)
        if not tty:
            column = max(len(one.host.name) for one in hosts) if len(hosts) > 1 else 0
            with suppress(NobodyReads):
                on_each(session.over, hosts, RemoteCommand(cmd, console, column).run, heard)
            return
        connected = hosts[0].connected()
    become_on_terminal(connected, cmd)


if __name__ == "__main__":
    run(app)
