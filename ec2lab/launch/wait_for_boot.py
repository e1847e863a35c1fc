"""Waits for an instance's boot: pins its host key, logs in, and waits for cloud-init."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ec2lab import clock
from ec2lab.aws.errors import AWS_ERRORS, described
from ec2lab.config.lab_files import load_members
from ec2lab.config.models import Experiment
from ec2lab.context import ContextThreadPool
from ec2lab.errors import UserError
from ec2lab.events import Emit, Log, Step, steps
from ec2lab.hosts.accounts import HostAccounts
from ec2lab.hosts.accounts_document import boot_members, document
from ec2lab.hosts.call_failures import Failed, KeyRejected, NotOurShell, Unreachable
from ec2lab.hosts.host_keys import Pinning, console_output
from ec2lab.hosts.inventory import login_name, write_ssh_files
from ec2lab.hosts.login_check import lacks_key, not_a_member
from ec2lab.hosts.protocol import parse_json
from ec2lab.hosts.ssh import Host
from ec2lab.hosts.ssh_config import SshTarget
from ec2lab.instance_state import Instance
from ec2lab.instances.deletion import delete_experiment
from ec2lab.interrupts import INTERRUPTS
from ec2lab.polling import attempts
from ec2lab.registry.shapes import TEXT, members, optional, several
from ec2lab.session import Session

End = TypeVar("End")
POLL = 1.0, 10.0
LEAST_WAIT = 10.0  # minimum time in seconds that cloud-init gets to respond, however late the login succeeded
STATUS, OK_STATUSES = "cloud-init status --wait", ("done", "disabled")
OURS = "ec2-lab: "  # prefix of the lab's lines on the console


CLOUD_INIT = members(status=optional(TEXT), errors=optional(several(TEXT)))


class LoginTimeout(UserError):
    """The instance runs, but nobody could log in before the timeout."""


class NotLetIn(LoginTimeout):
    """sshd responded, but accepted no login."""


class BootFailed(UserError):
    """cloud-init reported errors."""


@dataclass(frozen=True)
class Arrival:
    session: Session
    experiment: str
    reach: SshTarget
    say: Log

    def wait(self, seconds: float) -> Host:
        deadline = clock.monotonic() + seconds
        host = self.wait_for_login(seconds)
        self._set_up(host, deadline)
        return host

    def wait_for_login(self, seconds: float) -> Host:
        deadline = clock.monotonic() + seconds
        pinning = Pinning(self.session, self.experiment, self.reach, self.say)
        try:
            host = pinning.pin_from_console(min(seconds, self.session.lab.ssh.host_key_timeout.total_seconds()))
        except AWS_ERRORS as problem:
            # It is unknown whether the console has a host key, so none is trusted on first use.
            raise LoginTimeout(f"{self.reach.name}: its console can't be read: {described(problem)}") from problem
        self._log_in(host, deadline)
        return pinning.record_tofu_key(host)

    def _log_in(self, host: Host, deadline: float) -> None:
        warned = False
        for last in attempts(self.session.pause, POLL, deadline - clock.monotonic()):
            try:
                host.run("true")
            except Unreachable as not_yet:
                self._expect_key(not_yet)
                is_shell = isinstance(not_yet, NotOurShell)
                if last:
                    raise (LoginTimeout if is_shell else NotLetIn)(f"{not_yet}{self._from_console()}") from not_yet
                if is_shell and not warned:
                    self.say(f"{not_yet}; retrying, because its set-up may continue")
                warned = warned or is_shell
            except Failed as failure:
                raise LoginTimeout(str(failure)) from failure
            else:
                return

    def _expect_key(self, error: UserError) -> None:
        """Raise NotLetIn if sshd rejected a user without a key here: further attempts would fail too."""
        if isinstance(error, KeyRejected) and (why := lacks_key(self.session, self.reach.name)):
            raise NotLetIn(f"{self.reach.name}: {why}") from error

    def _set_up(self, host: Host, deadline: float) -> None:
        """Wait for cloud-init. Raises BootFailed with its errors, LoginTimeout if its status cannot be read."""
        self.say(f"{self.reach.name}: logged in; waiting for its set-up")
        try:
            errors = errors_in(self._status(host, deadline), self.reach.name)
        except UserError as problem:
            raise LoginTimeout(str(problem)) from problem
        if errors:
            raise BootFailed(f"{self.reach.name}: cloud-init failed: {'; '.join(errors)}{self._from_console()}")

    def _status(self, host: Host, deadline: float) -> str:
        """Return cloud-init's final status. Reconnects if the connection is lost. Raises UserError."""
        for last in attempts(self.session.pause, POLL, deadline - clock.monotonic()):
            left = max(deadline - clock.monotonic(), LEAST_WAIT)
            try:
                # Exit status 1 is for errors, 2 for warnings; the text has details. Before 22.4 there is no JSON.
                asked = f"{STATUS} --format json 2>/dev/null || {STATUS} --long; true"
                return host.run("sh", "-c", asked, within=left)
            except Unreachable:
                if last:
                    raise
        raise AssertionError("the last attempt raises")

    def _from_console(self) -> str:
        try:
            console = console_output(self.session.cloud.ec2(self.reach.region), self.reach.instance)
        except AWS_ERRORS:  # report the original error, not this one
            return ""
        ours = [line.partition(OURS)[2].strip() for line in console.splitlines() if OURS in line]
        complaints = [line for line in dict.fromkeys(ours) if line.startswith(("FAILED", "NOT", "PROBLEM"))]
        return f" (console: {'; '.join(complaints)})" if complaints else ""


def errors_in(status: str, who: str) -> list[str]:
    """Return the errors in the output of `cloud-init status` of `who`, JSON or text. Raises UserError.

    https://docs.cloud-init.io/en/latest/howto/status.html
    """
    if not status.lstrip().startswith("{"):
        return _errors_in_words(status, who)
    document = parse_json(_document_in(status.lstrip()), CLOUD_INIT, f"{who}: cloud-init status")
    errors: list[str] = document.get("errors", [])
    return errors or ([] if document.get("status") in OK_STATUSES else [f"status {document.get('status')}"])


def _document_in(text: str) -> str:
    """Return the JSON at the start of a text: if cloud-init fails, it is run again, and text follows."""
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):  # the caller reports it
        return text
    return text[:end]


def _errors_in_words(status: str, who: str) -> list[str]:
    found = re.search(r"^status: (\w+)", status, re.MULTILINE)
    if not found:
        raise UserError(f"{who}: cloud-init reports no status: {' '.join(status.split())[:300]!r}")
    if found[1] in OK_STATUSES:
        return []
    _, _, detail = status.partition("detail:")
    return [" ".join((detail or status).split())[:300]]


@dataclass(frozen=True, slots=True)
class SetUp:
    reaches: list[SshTarget]
    shut: list[str] = field(default_factory=list)  # the reasons, one line each

    def expect_seen(self, name: str) -> None:
        if self.shut:
            looks = f"`make ssh EXP={name}` logs in, `make teardown EXP={name}` deletes it"
            raise NotReached(f"{'; '.join(self.shut)}; {name} keeps running: {looks}")


class NotReached(UserError):
    """The instances run, but nobody could log in to check their set-up."""


def set_up(session: Session, name: str, experiment: Experiment, instances: Sequence[Instance], emit: Emit) -> SetUp:
    """Wait until the set-up is complete. Raises UserError if it failed, and does what on_boot_failure says."""
    reaches = write_ssh_files(session, name, instances)
    seconds = session.cloud.boot_timeout
    if not seconds:
        return SetUp(reaches)
    say = steps(emit, name)
    if not login_name(session.directory):
        say(f"the instances' set-up can't be checked: {not_a_member(session)}")
        return SetUp(reaches)
    arrivals = [Arrival(session, name, reach, say) for reach in reaches]
    ends = _all(arrivals, lambda arrival: _wait_ready(arrival, experiment, seconds))
    failures = [str(end) for end in ends if isinstance(end, BootFailed)]

    def roll_back(_: BaseException) -> None:
        delete_experiment(session, name, emit)

    if failures and experiment.on_boot_failure == "teardown":
        with INTERRUPTS.undone_on_failure(roll_back, f"`make teardown EXP={name}` deletes it"):
            raise UserError(f"{'; '.join(failures)}; torn down, as experiments/{name}.toml says (on_boot_failure)")
    if failures:
        raise UserError(
            f"{'; '.join(failures)}; kept: log in (`make ssh EXP={name}`), or delete it (`make teardown EXP={name}`)"
        )
    return SetUp(reaches, [str(end) for end in ends if isinstance(end, NotLetIn)])


def wait_for_logins(session: Session, name: str, instances: Sequence[Instance], emit: Emit) -> SetUp:
    """Write the ssh configuration of instances that were started again, and wait until they accept a login."""
    reaches = write_ssh_files(session, name, instances)
    seconds = session.cloud.boot_timeout
    if not seconds or not login_name(session.directory):
        return SetUp(reaches)
    tell_of_no_key(session, name, emit)
    arrivals = [Arrival(session, name, reach, steps(emit, name)) for reach in reaches]
    ends = _all(arrivals, lambda arrival: _wait_for_login(arrival, seconds))
    return SetUp(reaches, [str(end) for end in ends if isinstance(end, NotLetIn)])


def _all(arrivals: Sequence[Arrival], wait: Callable[[Arrival], End]) -> list[End]:
    with ContextThreadPool(max(len(arrivals), 1)) as waiting:  # minutes: the session itself is for short calls
        return list(waiting.map(wait, arrivals))


def tell_of_no_key(session: Session, name: str, emit: Emit) -> None:
    """Warn, before the wait, that no login can succeed. The wait ends early unless a key appears."""
    if session.cloud.boot_timeout and (why := lacks_key(session, name)):
        emit(Step(experiment=name, message=f"nobody will be able to log in from here: {why}"))


def _wait_for_login(arrival: Arrival, seconds: float) -> LoginTimeout | None:
    try:
        arrival.wait_for_login(seconds)
    except LoginTimeout as unseen:
        arrival.say(f"nobody could log in yet: {unseen}")
        return unseen
    return None


def _wait_ready(arrival: Arrival, experiment: Experiment, seconds: float) -> BootFailed | LoginTimeout | None:
    """Wait for one instance; return why its set-up failed or could not be checked, else None."""
    try:
        host = arrival.wait(seconds)
    except BootFailed as failure:
        return failure
    except LoginTimeout as unseen:
        arrival.say(f"its set-up was not seen to finish: {unseen}")
        return unseen
    _create_remaining_accounts(arrival, experiment, host)
    return None


def _create_remaining_accounts(arrival: Arrival, experiment: Experiment, host: Host) -> None:
    """Create the accounts that did not fit into the user data."""
    session, say = arrival.session, arrival.say
    members = load_members(session.directory)
    if len(boot_members(members, login_name(session.directory), experiment)) == len(members):
        return
    try:
        changed = HostAccounts(host, lambda _: None).apply(document(members, session.lab.accounts))
    except UserError as problem:
        say(f"some members have no account: {problem}; `make users HOST={host.name}` creates them")
    else:
        say(f"{host.name}: the other members' accounts were created ({changed} changes)")
