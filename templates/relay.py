"""Run a program of ours, and send its output in marked frames, distinct from all other output. Python 3.9 or later.

This code comes first on standard input and ends with a call of `relay`; the rest of standard input is the program's.
A frame is `MARKER KIND NUMBER` and a line feed: `out` and `err`, followed by that many bytes; `beat`, while there is no
output; `end`, with the program's exit status. Each frame is a single write, so output of others (a background job of a
start-up file, PAM) can only be between frames.
"""

from __future__ import annotations

import os
import pathlib
import select
import signal
import sys

MOST = 3968
"""Bytes of a frame's content: with its header less than a pipe takes in one piece (pipe(7), PIPE_BUF)."""
BEAT = 15000
"""Milliseconds of silence after which a heartbeat is sent."""
LEFT_OVER = 512
"""Frames read after the program's end: a background process may print forever."""


class Relay:
    """Passes a program's output on in frames."""

    def __init__(self, marker: str, program: int, names: dict[int, str], woken: int) -> None:
        """Watch a program's output and its end."""
        self.marker, self.program, self.names, self.woken = marker, program, names, woken
        self.status: int | None = None
        self.left_over = LEFT_OVER
        self.waiting = select.poll()
        self.waiting.register(1, 0)
        for file in (*names, woken):
            self.waiting.register(file, select.POLLIN)

    def pass_on(self) -> None:
        """Send frames until the program has ended, or nobody reads any more."""
        while self.left_over:
            found = self.waiting.poll(BEAT if self.status is None else 0)
            if not found and self.status is not None:
                break
            if not found:
                self.frame("beat", 0)
            for file, _ in found:
                if file == 1:
                    return
                self.take(file)
        how = self.status or 0
        self.frame("end", os.WEXITSTATUS(how) if os.WIFEXITED(how) else 128 + os.WTERMSIG(how))

    def take(self, file: int) -> None:
        """Read what is available, or the program's end."""
        if file == self.woken:
            os.read(file, 64)
            ended, how = os.waitpid(self.program, os.WNOHANG) if self.status is None else (0, 0)
            self.status = how if ended else self.status
            return
        self.left_over -= self.status is not None
        content = os.read(file, MOST)
        if content:
            self.frame(self.names[file], len(content), content)
        else:
            self.waiting.unregister(file)

    def frame(self, kind: str, number: int, content: bytes = b"") -> None:
        """Write a frame."""
        rest = f"{self.marker} {kind} {number}\n".encode() + content
        while rest:
            rest = rest[os.write(1, rest) :]


def keep(path: pathlib.Path, text: str) -> None:
    """Store a program at a path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.chmod(0o755)
    new.replace(path)


def relay(marker: str, left_at: str, arguments: list[str], text: str) -> None:
    """Run a program, stored at a path if one is given, and end once all of its output is sent."""
    if left_at:
        keep(pathlib.Path(left_at), text)
    out, err, woken = os.pipe(), os.pipe(), os.pipe()
    os.set_blocking(woken[1], False)
    signal.set_wakeup_fd(woken[1])
    signal.signal(signal.SIGCHLD, lambda *_: None)
    program = os.fork()
    if program:
        os.close(out[1])
        os.close(err[1])
        Relay(marker, program, {out[0]: "out", err[0]: "err"}, woken[0]).pass_on()
        return
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(out[1], 1)
    os.dup2(err[1], 2)
    for end in (*out, *err, *woken):
        os.close(end)
    sys.argv[1:] = arguments
    globals()["__file__"] = left_at
    exec(compile(text, left_at or "ec2-lab", "exec", dont_inherit=True), globals())
