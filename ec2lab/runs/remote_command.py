"""Run the user's command on instances: on all in parallel, or on one with a terminal.

No shell parses the command before bash does, and it is in no argument of a process. It travels on ssh's standard input
as a literal of a Python program (hosts/protocol.py); ssh's command line contains only `/bin/sh`.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass

from ec2lab.console import Console
from ec2lab.errors import UserError
from ec2lab.events.runs import RemoteOutput
from ec2lab.hosts.call_failures import Failed
from ec2lab.hosts.program_packer import program
from ec2lab.hosts.ssh import Host
from ec2lab.hosts.ssh_options import terminal_command
from ec2lab.runs.logs import LogLines, NobodyReads

STREAMS = {"out": "stdout", "err": "stderr"}


@dataclass
class RemoteCommand:
    """A command whose output is printed line by line, prefixed with the host's name if there are several hosts."""

    command: str
    console: Console
    column: int = 0  # width of the prefix; 0 for a single host

    def run(self, host: Host) -> int:
        """Run it and return its exit status. Raises Unreachable, Failed, and NobodyReads."""
        lines = {kind: LogLines() for kind in STREAMS}

        def heard(kind: str, content: bytes) -> None:
            self._print(host, kind, lines[kind].taken(content))

        try:
            return host.run_streamed(program("run-command.py"), self.command, heard=heard)
        finally:
            for kind, rest in lines.items():
                self._print(host, kind, rest.rest())

    def _print(self, host: Host, kind: str, lines: list[str]) -> None:
        if lines and not self.console.has_reader:
            raise NobodyReads
        if self.console.as_json:
            self.console.emit(*(RemoteOutput(host=host.name, stream=STREAMS[kind], text=line) for line in lines))
        before = f"{host.name:<{self.column}} | " if self.column else ""
        self.console.log(lines, before, to_stderr=kind == "err")


def become_on_terminal(host: Host, command: str) -> None:
    """Replace this process with an ssh that runs a command on a remote terminal. Raises UserError.

    The terminal occupies standard input, so the command is first written to a private directory, which is deleted when
    it runs, or after a minute.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError("TTY: there is no terminal here; without TTY=1 the output comes as lines")
    place = host.run_program(program("stage-command.py"), command).strip()
    if not re.fullmatch(r"/[\w./-]{1,200}/run", place, re.ASCII):
        raise Failed(f"{host.name}: reports that the command is at {place[:60]!r}")
    arguments = terminal_command(host.config, host.name, "/bin/sh", place)
    os.execvp(arguments[0], arguments)
