"""In the way of Python's modules, this writes down every command that a process starts, with its arguments.

Python imports it by itself at its start (https://docs.python.org/3/library/site.html#module-sitecustomize).
"""

import os
import sys

STARTS = ("os.exec", "os.posix_spawn", "subprocess.Popen", "os.system")


def written(event, arguments):
    if event in STARTS:
        with open(os.environ["COMMANDS"], "a", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            file.write(f"{event} {arguments[:2]!r}\n")  # without its environment, which nobody else can read


sys.addaudithook(written)
with open(os.environ["COMMANDS"], "a", encoding="utf-8") as own:  # noqa: PTH123
    own.write(f"{sys.orig_argv!r}\n")
