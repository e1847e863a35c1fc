"""How a program of ours is started on a host over ssh, and how its output is told apart from all other output.

The login shell is asked to run one plain word, `/bin/sh`, which means the same in every shell; the rest comes on
standard input. Its first line reports with a marker that sh is running, then waits for `go`. Until then, nothing has
been sent that a start-up file could consume or replace, so the line may be sent again.

The program's output is framed by that marker, which only this call knows (templates/relay.py writes the frames),
because start-up files, banners, PAM and background jobs print to the same place. It is validated before it is used:
whoever controls the instance controls what it prints.
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import CoreSchema, from_json

from ec2lab.errors import UserError
from ec2lab.hosts.program_packer import program
from ec2lab.registry.record_model import held_to

SHELL = "/bin/sh"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Before whatever the start-up files put first: conda's python3 may be anything."""
FREE, STAND_IN, MISSING = 0, 99, 127
"""What is said of `sudo -n true`: that it wants no password, or that there is no sudo (a shell's own exit status). On a
stand-in on the user's own computer (local_cloud/ssh_stand_in.py), that nothing may run as root."""
BEGIN = "import sys;exec(sys.stdin.buffer.read(int(sys.argv.pop(1))))"
LINE = (
    "{{ set +e +u; m={first}; m=${{m}}{second}; c=0; PATH={path}:$PATH; export PATH; "
    'if test {root} = no; then :; elif test -n "$EC2_LAB_STAND_IN"; then c=99; '
    'elif test "$(id -u)" != 0; then command sudo -n -- true </dev/null; c=$?; fi; '
    "printf '%s ready %s\\n' $m $c; printf '%s ready %s\\n' $m $c >&2; "
    'test $c != 99 || exit; x=; until test "$x" = go; do read -r x || exit; done; umask 022; cd /; set --; '
    'test {root} = no || test "$(id -u)" = 0 || {{ '
    "test $c = 0 && set -- sudo -n -- || set -- sudo -k -S -p '' --; }}; "
    'command env -i PATH="$PATH" HOME="$HOME" USER="$USER" LOGNAME="$LOGNAME" LC_ALL=C.UTF-8 '
    '${{EC2_LAB_STAND_IN:+EC2_LAB_STAND_IN="$EC2_LAB_STAND_IN"}} '
    '"$@" python3 -I -c {begin} {size}; '
    "printf '%s left %s\\n' $m $?; exit; }}\n"
)
"""The first line for sh. One line, so that whatever reads it instead of sh consumes it whole; the marker is split in
two, so that an echo of the line does not count."""
COMMAND = "import os,sys\nos.execvp(sys.argv[1],sys.argv[1:])\n"  # a program that executes a command


@dataclass(frozen=True, slots=True)
class Opening:
    """The start of a call: nothing in it appears on a command line, here or there, except its length."""

    program: str
    arguments: Sequence[str] = ()
    as_root: bool = False
    left_at: str = ""  # the program's path on the host, if it is to stay there
    halves: tuple[str, str] = field(default_factory=lambda: (f"ec2-lab-{secrets.token_hex(8)}", secrets.token_hex(8)))

    @property
    def marker(self) -> str:
        return "".join(self.halves)

    @property
    def line(self) -> bytes:
        first, second = self.halves
        root = "yes" if self.as_root else "no"
        size, begin = len(self.text), shlex.quote(BEGIN)
        return LINE.format(first=first, second=second, path=PATH, root=root, begin=begin, size=size).encode()

    @property
    def text(self) -> bytes:
        arguments = (self.marker, self.left_at, list(self.arguments), self.program)
        return f"{program('relay.py')}\nrelay{arguments!a}\n".encode()


HEADER = re.compile(rb" ([a-z]{1,8}) ([0-9]{1,4})\n")
"""Frames longer than relay.py writes are noise: a host cannot make us wait for a gigabyte."""
LONGEST_HEADER = 20
WITH_CONTENT = ("out", "err")  # types of frames whose number is a length in bytes
MOST_NOISE = 4096  # the last bytes of noise that are kept, to be shown where our program printed nothing


@dataclass(frozen=True, slots=True)
class Frame:
    kind: str
    number: int
    content: bytes = b""


class Frames:
    def __init__(self, marker: str) -> None:
        self._noise = b""
        self._marker = marker.encode()
        self._rest = b""

    @property
    def noise(self) -> bytes:
        """The end of the noise so far, including what may still become a frame."""
        return (self._noise + self._rest)[-MOST_NOISE:]

    def feed(self, piece: bytes) -> Iterator[Frame]:
        """Yield the complete frames; those with other markers are noise."""
        text, at = self._rest + piece, 0
        while (found := text.find(self._marker, at)) >= 0:
            begin = found + len(self._marker)
            header = HEADER.match(text, begin)
            if not header and len(text) - begin >= LONGEST_HEADER:
                self._ignore(text[at:begin])
                at = begin
                continue
            kind, number = (header[1].decode(), int(header[2])) if header else ("", 0)
            end = (header.end() if header else begin) + (number if kind in WITH_CONTENT else 0)
            if not header or end > len(text):
                self._ignore(text[at:found])
                self._rest = text[found:]
                return
            self._ignore(text[at:found])
            at = end
            yield Frame(kind, number, text[header.end() : end])
        # The marker may have begun at the end of the buffer.
        kept = max(at, len(text) - len(self._marker) + 1)
        self._ignore(text[at:kept])
        self._rest = text[kept:]

    def _ignore(self, noise: bytes) -> None:
        self._noise = (self._noise + noise)[-MOST_NOISE:]


MOST = 1024 * 1024  # characters of a document: those of our own programs have a few hundred
LAST_MOMENT = 7_258_118_400  # seconds from 1970 to 2200


def parse_json(text: str, schema: CoreSchema, who: str) -> Any:
    """Parse text as JSON by a schema. Raises UserError, which names the source."""
    if len(text) > MOST:
        raise UserError(f"{who}: sent {len(text):,} characters, where a few hundred are expected")
    try:
        return held_to(schema, from_json(text.encode(errors="replace"), allow_inf_nan=False))
    except ValueError as problem:
        raise UserError(f"{who}: sent an unreadable response: {problem}") from problem


def parse_moment(text: str, who: str) -> int:
    """Parse text as seconds from 1970, to 2200 at most. Raises UserError, which names the source."""
    stripped = text.strip()
    if not re.fullmatch(r"[0-9]{1,10}", stripped) or int(stripped) > LAST_MOMENT:
        raise UserError(f"{who}: sent no time: {stripped[:60]!r}")
    return int(stripped)
