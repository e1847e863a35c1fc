"""How a program of ours begins on a host, whatever the login shell and its start-up files are.

The login shell is given one plain word to run, `/bin/sh`, which no shell takes for anything else; all the rest comes on
standard input. The first line there says with a marker that sh runs, then waits for `go`: nothing that a start-up file
could have read or printed in place of ours has been sent by then, and the line may be sent again.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from ec2lab.hosts.program_packer import program

SHELL = "/bin/sh"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Before whatever the start-up files put first: a python3 of conda's may be anything."""
FREE, MISSING = 0, 127
"""How `sudo -n true` ends where sudo wants no password, and where there is no sudo (a shell's own exit status)."""
BEGIN = "import sys;exec(sys.stdin.buffer.read(int(sys.argv.pop(1))))"
LINE = (
    "{{ set +e +u; m={first}; m=${{m}}{second}; c=0; PATH={path}:$PATH; export PATH; "
    'test {root} = no || test "$(id -u)" = 0 || {{ command sudo -n -- true </dev/null; c=$?; }}; '
    "printf '%s ready %s\\n' $m $c; printf '%s ready %s\\n' $m $c >&2; "
    'x=; until test "$x" = go; do read -r x || exit; done; umask 022; cd /; set --; '
    'test {root} = no || test "$(id -u)" = 0 || {{ '
    "test $c = 0 && set -- sudo -n -- || set -- sudo -k -S -p '' --; }}; "
    'command env -i PATH="$PATH" HOME="$HOME" USER="$USER" LOGNAME="$LOGNAME" LC_ALL=C.UTF-8 '
    '"$@" python3 -I -c {begin} {size}; '
    "printf '%s left %s\\n' $m $?; exit; }}\n"
)
"""What sh reads first. It is one line, so that what reads it in sh's place loses it as a whole; the marker stands in it
in two halves, so that what only repeats it says nothing."""
COMMAND = "import os,sys\nos.execvp(sys.argv[1],sys.argv[1:])\n"
"""The program that runs a command in its place."""


@dataclass(frozen=True, slots=True)
class Opening:
    """The beginning of one call: nothing in it is on a command line, here or there, but for its length."""

    program: str
    arguments: Sequence[str] = ()
    as_root: bool = False
    left_at: str = ""
    """Where the program is left on the host, if anywhere."""
    halves: tuple[str, str] = field(default_factory=lambda: (f"ec2-lab-{secrets.token_hex(8)}", secrets.token_hex(8)))

    @property
    def marker(self) -> str:
        """What every frame of the call begins with."""
        return "".join(self.halves)

    @property
    def line(self) -> bytes:
        """What sh is told first, as often as it takes."""
        first, second = self.halves
        root = "yes" if self.as_root else "no"
        size, begin = len(self.text), shlex.quote(BEGIN)
        return LINE.format(first=first, second=second, path=PATH, root=root, begin=begin, size=size).encode()

    @property
    def text(self) -> bytes:
        """What Python is told next: the relay, and the program that it runs."""
        told = (self.marker, self.left_at, list(self.arguments), self.program)
        return f"{program('relay.py')}\nrelay{told!a}\n".encode()
