"""Hold a file system frozen for as long as somebody listens. Runs on the host as root, on Python 3.9 or later.

    freeze /data 120    freezes /data, prints "frozen", and thaws it when standard input ends, or after 120 seconds

Whatever happens to whoever asked for it (Ctrl-C, a lost connection, a closed laptop), standard input ends then.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys


def main(mount: str, seconds: float) -> int:
    """Freeze, wait, thaw; 1 where it can't be frozen."""
    if not os.path.ismount(mount):
        print(f"{mount}: nothing is mounted there", file=sys.stderr)
        return 1
    for ending in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(ending, signal.SIG_IGN)
    subprocess.run(["sync", "--file-system", mount], check=True)  # what is written now is not while it is frozen
    subprocess.run(["fsfreeze", "--freeze", mount], check=True)
    try:
        try:
            print("frozen", flush=True)
        except OSError:  # nobody listens any more
            return 1
        listening, _, _ = select.select([0], [], [], seconds)
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", mount], check=True)
    if not listening:
        print(f"{mount}: thawed by itself after {seconds:.0f} s", file=sys.stderr)
    return 0 if listening else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1], float(sys.argv[2])))
    except (OSError, ValueError, LookupError, subprocess.SubprocessError) as problem:
        sys.exit(f"ec2-lab: freeze: {problem}")
