"""Dropped into a lab's plugins/: kills the process at a boundary of its work, or keeps what a kill would leave at each.

A boundary is a moment at which a crash could lose something: before a changing call leaves, after AWS has carried it
out and before the response is read, before a record is written, and in the middle of writing it.

A kill at a boundary leaves the files and the cloud as they are at that moment, and nothing else: the process has no
state that outlives it. So one run can keep what each of its boundaries would leave (KEEP_IN), instead of one run being
killed for each (KILL_AT).
"""

import itertools
import json
import os
import shutil
import signal
import threading
from http.client import HTTPConnection
from pathlib import Path

from botocore.httpsession import URLLib3Session

AT = int(os.environ.get("KILL_AT", "0"))
KEEP_IN = os.environ.get("KEEP_IN")
READING = ("Describe", "Get", "List")
passed = itertools.count(1)
passing = threading.Lock()
"""While one thread is at a boundary no other passes one."""


def boundary(write_half=lambda directory: None):
    with passing:
        at = next(passed)
        if KEEP_IN:
            keep(Path(KEEP_IN) / f"{at:03}", write_half)
        if at == AT:
            write_half(Path())
            os.kill(os.getpid(), signal.SIGKILL)


def keep(directory, write_half):
    """Keep the files first: a call of another thread that arrives in between was written down before it left."""
    shutil.copytree(".", directory / "lab", symlinks=True)
    write_half(directory / "lab")
    server = json.loads(Path(".local-cloud/server.json").read_text())
    connection = HTTPConnection("127.0.0.1", server["port"])
    connection.request("POST", "/lab/snapshot", headers={"Authorization": f"Bearer {server['secret']}"})
    (directory / "snapshot").write_text(json.load(connection.getresponse())["id"])
    connection.close()


def changes(request):
    body = request.body or b""
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body)
    return "Action=" in text and not text.partition("Action=")[2].startswith(READING)


real_send, real_write = URLLib3Session.send, os.pwrite


def send(self, request):
    if not changes(request):
        return real_send(self, request)
    boundary()
    response = real_send(self, request)
    boundary()
    return response


def write(descriptor, content, offset):
    def write_half(directory):
        written = os.fstat(descriptor)
        (name,) = (path for path in Path().rglob("*") if path.exists() and os.path.samestat(path.stat(), written))
        with (directory / name).open("r+b") as file:
            real_write(file.fileno(), content[: len(content) // 2], offset)

    boundary()
    boundary(write_half)
    return real_write(descriptor, content, offset)


URLLib3Session.send, os.pwrite = send, write
