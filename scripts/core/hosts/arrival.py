"""Between a machine that runs and a machine that can be used: its host key is pinned, its set-up ends well or not."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from scripts.core import clock
from scripts.core.aws.aws_errors import AWS_ERRORS, described
from scripts.core.errors import LabError
from scripts.core.hosts.call_failures import Failed, NotOurShell, Unreachable
from scripts.core.hosts.host_keys import console_of
from scripts.core.hosts.login_check import lacks_key
from scripts.core.hosts.pinning import Pinning, Say
from scripts.core.hosts.remote import Host
from scripts.core.hosts.said import said
from scripts.core.hosts.ssh_files import Reach
from scripts.core.polling import growing
from scripts.core.registry.shapes import TEXT, members, optional, several
from scripts.core.session import Session

FIRST_POLL, LONGEST_POLL = 1.0, 10.0
LEAST_WAIT = 10.0
"""Seconds that cloud-init has to answer at least, however late somebody could log in."""
STATUS, WELL = "cloud-init status --wait", ("done", "disabled")
DENIED = "Permission denied"
"""What ssh says where sshd takes none of the keys that it has."""
OURS = "ec2-lab: "
"""What the lab's own programs begin their lines with on the console."""


CLOUD_INIT = members(status=optional(TEXT), errors=optional(several(TEXT)))


class NotSeen(LabError):
    """The machine runs, but nobody could log in within the time given."""


class NotLetIn(NotSeen):
    """Its sshd was waited for, and let nobody in."""


class SetUpFailed(LabError):
    """cloud-init ended with errors."""


@dataclass(frozen=True)
class Arrival:
    """The arrival of one machine of an experiment."""

    session: Session
    experiment: str
    reach: Reach
    say: Say

    def wait(self, seconds: float) -> Host:
        """Return the host once its set-up is done, within so many seconds. Raises NotSeen, SetUpFailed."""
        deadline = clock.monotonic() + seconds
        host = self.wait_for_login(seconds)
        self._set_up(host, deadline)
        return host

    def wait_for_login(self, seconds: float) -> Host:
        """Return the host once it lets somebody in, within so many seconds. Raises NotSeen."""
        deadline = clock.monotonic() + seconds
        pinning = Pinning(self.session, self.experiment, self.reach, self.say)
        try:
            host = pinning.from_console(min(seconds, self.session.lab.ssh.console_wait.total_seconds()))
        except AWS_ERRORS as problem:
            # Whether there is a host key to be seen is not known, so none is trusted on first use.
            raise NotSeen(f"{self.reach.name}: its console can't be read: {described(problem)}") from problem
        self._log_in(host, deadline)
        return pinning.after_first_login(host)

    def _log_in(self, host: Host, deadline: float) -> None:
        warned = False
        for pause in growing(FIRST_POLL, LONGEST_POLL):
            try:
                host.run("true")
            except Unreachable as not_yet:
                self._expect_key(not_yet)
                is_shell = isinstance(not_yet, NotOurShell)
                if clock.monotonic() + pause > deadline:
                    raise (NotSeen if is_shell else NotLetIn)(f"{not_yet}{self._from_console()}") from not_yet
                if is_shell and not warned:
                    self.say(f"{not_yet}; tried again, as its set-up may go on")
                warned = warned or is_shell
                self.session.pause(pause)
            except Failed as failure:
                raise NotSeen(str(failure)) from failure
            else:
                return

    def _expect_key(self, refusal: LabError) -> None:
        """Raise NotLetIn where sshd refused whoever has no key here: another attempt would end as this one did."""
        if DENIED in str(refusal) and (why := lacks_key(self.session, self.reach.name)):
            raise NotLetIn(f"{self.reach.name}: {why}") from refusal

    def _set_up(self, host: Host, deadline: float) -> None:
        """Wait for cloud-init. Raises SetUpFailed with its errors, and NotSeen where what it says can't be heard."""
        self.say(f"{self.reach.name}: logged in; its set-up is waited for")
        try:
            errors = errors_in(self._status(host, deadline), self.reach.name)
        except LabError as problem:
            raise NotSeen(str(problem)) from problem
        if errors:
            raise SetUpFailed(f"{self.reach.name}: cloud-init failed: {'; '.join(errors)}{self._from_console()}")

    def _status(self, host: Host, deadline: float) -> str:
        """Return what cloud-init says at its end. Raises LabError; a connection that breaks off is made again."""
        for pause in growing(FIRST_POLL, LONGEST_POLL):
            left = max(deadline - clock.monotonic(), LEAST_WAIT)
            try:
                # It ends with 1 for errors and 2 for warnings, says more in words, and before 22.4 it knows no JSON.
                asked = f"{STATUS} --format json 2>/dev/null || {STATUS} --long; true"
                return host.run("sh", "-c", asked, within=left)
            except Unreachable:
                if clock.monotonic() + pause > deadline:
                    raise
            self.session.pause(pause)
        raise AssertionError("pauses never end")

    def _from_console(self) -> str:
        """Return what the lab's own programs complained of on the console, if it can be read."""
        try:
            console = console_of(self.session.cloud.ec2(self.reach.region), self.reach.instance)
        except AWS_ERRORS:  # why this is asked is the thing to say
            return ""
        ours = [line.partition(OURS)[2].strip() for line in console.splitlines() if OURS in line]
        complaints = [line for line in dict.fromkeys(ours) if line.startswith(("FAILED", "NOT", "PROBLEM"))]
        return f" (console: {'; '.join(complaints)})" if complaints else ""


def errors_in(status: str, who: str) -> list[str]:
    """Return the errors that `cloud-init status` tells of, in JSON or in words
    (https://docs.cloud-init.io/en/latest/howto/status.html). Raises LabError, which names `who` said it.
    """  # noqa: D205
    if not status.lstrip().startswith("{"):
        return _errors_in_words(status, who)
    told = said(_document_in(status.lstrip()), CLOUD_INIT, f"{who}: cloud-init status")
    errors: list[str] = told.get("errors", [])
    return errors or ([] if told.get("status") in WELL else [f"status {told.get('status')}"])


def _document_in(text: str) -> str:
    """Return the JSON that a text begins with: where cloud-init fails, it is asked again, and words come behind."""
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):  # whoever reads it says so
        return text
    return text[:end]


def _errors_in_words(status: str, who: str) -> list[str]:
    found = re.search(r"^status: (\w+)", status, re.MULTILINE)
    if not found:
        raise LabError(f"{who}: cloud-init says nothing of its status: {' '.join(status.split())[:300]!r}")
    if found[1] in WELL:
        return []
    _, _, detail = status.partition("detail:")
    return [" ".join((detail or status).split())[:300]]
