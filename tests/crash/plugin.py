"""Dropped into a lab's plugins/: kills the process at one boundary of its work, or counts how many there are.

A boundary is a moment at which a crash could lose something: before a changing call leaves, after AWS has carried it
out and before the answer is heard, before a record is written, and in the midst of writing it.
"""

import atexit
import itertools
import os
import signal
from pathlib import Path

from botocore.httpsession import URLLib3Session

AT = int(os.environ["KILL_AT"])
COUNT = Path(os.environ["KILL_COUNT"])
READING = ("Describe", "Get", "List")
passed = itertools.count(1)
last = 0


def boundary(before_death=lambda: None):
    global last  # noqa: PLW0603 - one count for the whole process
    last = next(passed)
    if last == AT:
        before_death()
        os.kill(os.getpid(), signal.SIGKILL)


def changes(request):
    body = request.body or b""
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body)
    return "Action=" in text and not text.partition("Action=")[2].startswith(READING)


real_send, real_write = URLLib3Session.send, os.pwrite


def send(self, request):
    if not changes(request):
        return real_send(self, request)
    boundary()
    answer = real_send(self, request)
    boundary()
    return answer


def write(descriptor, content, offset):
    boundary()
    boundary(lambda: real_write(descriptor, content[: len(content) // 2], offset))
    return real_write(descriptor, content, offset)


URLLib3Session.send, os.pwrite = send, write
atexit.register(lambda: COUNT.write_text(str(last)))
