"""In the way of Python's modules, this makes a process's disk fail: DISK_FAILS="pwrite ENOSPC 3" from the third on.

Python imports it by itself at its start (https://docs.python.org/3/library/site.html#module-sitecustomize).
"""

import errno
import fcntl
import itertools
import os

call, code, first = os.environ["DISK_FAILS"].split()
module = fcntl if call == "flock" else os
real, count = getattr(module, call), itertools.count(1)


def failing(*arguments, **named):
    if next(count) >= int(first):
        number = getattr(errno, code)
        raise OSError(number, os.strerror(number))
    return real(*arguments, **named)


setattr(module, call, failing)
