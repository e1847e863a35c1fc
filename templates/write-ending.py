#!/usr/bin/python3 -I
"""Write down how an experiment's command ended. systemd runs it, however that was, and says so in the environment.

EXIT_CODE and EXIT_STATUS are those of systemd.exec(5). Python 3.9 or later.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import sys
import time

ENDED = pathlib.Path("/var/lib/ec2-lab/instance/ended.json")


def exit_code(ended: str, status: str) -> int:
    """Return the exit code of the command, as a shell has it: 128 and the signal's number where it was killed."""
    if ended == "exited":
        return int(status)
    number = getattr(signal, f"SIG{status}", None)
    return 128 + int(number) if number else 1


def main() -> None:
    """Write it as a whole, for everybody to read."""
    code = exit_code(os.environ.get("EXIT_CODE", ""), os.environ.get("EXIT_STATUS", ""))
    print(f"ec2-lab: the command ended with {code}", flush=True)
    ENDED.parent.mkdir(parents=True, exist_ok=True)
    draft = ENDED.with_suffix(".new")
    draft.write_text(json.dumps({"exit_code": code, "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}) + "\n")
    draft.chmod(0o644)
    draft.replace(ENDED)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, LookupError) as problem:
        sys.exit(f"ec2-lab: write-ending: {problem}")
