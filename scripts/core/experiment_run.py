"""How an experiment's command gets on, as its machine's systemd tells it."""

from __future__ import annotations

from collections.abc import Callable
from time import sleep

from scripts.core.polling import growing
from scripts.core.remote import Host

UNIT = "experiment.service"
FIRST_POLL, LONGEST_POLL = 1.0, 30.0


def wait_for_command(host: Host, say: Callable[[str], None]) -> str | None:
    """Wait until the command has ended; return its last words if it failed, None if it did well."""
    for pause in growing(FIRST_POLL, LONGEST_POLL):
        told = dict(
            line.split("=", 1)
            for line in host.run("systemctl", "show", UNIT, "--property=ActiveState,Result,ExecMainStatus").splitlines()
            if "=" in line
        )
        match told.get("ActiveState"):
            case "active":  # it remains so once its command has ended well
                return None
            case "failed":
                last = host.run("sudo", "-n", "journalctl", "-u", UNIT, "--no-pager", "-n", "5", "-o", "cat")
                return f"{told.get('Result')} {told.get('ExecMainStatus')}: {'; '.join(last.splitlines())}"
        say(f"{host.name}: its command is {told.get('ActiveState', 'unknown')}")
        sleep(pause)
    raise AssertionError("pauses never end")
