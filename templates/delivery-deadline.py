#!/usr/bin/python3 -I
"""End a run whose command and secrets are not delivered within an hour of the boot. Python 3.9 or later."""

from __future__ import annotations

import json
import pathlib
import time

STATE = pathlib.Path("/var/lib/ec2-lab/instance")
LIMIT = 3600
WHY = "the command never started: its secrets were not delivered within an hour of the boot"


def main() -> None:
    """Wait, then record how the run ended; from here on the instance counts as idle."""
    time.sleep(LIMIT)
    delivered, ended = STATE / "delivered", STATE / "ended.json"
    if delivered.exists() or ended.exists():
        return
    told = {"exit_code": 1, "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "why": WHY}
    draft = STATE / "ended.new"
    draft.write_text(f"{json.dumps(told)}\n")
    draft.replace(ended)
    delivered.write_text(WHY)  # what a later launch reads instead of the id of its run
    print(f"ec2-lab: PROBLEM: {WHY}", flush=True)


if __name__ == "__main__":
    main()
