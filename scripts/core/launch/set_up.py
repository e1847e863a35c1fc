"""After a launch: ssh files are written, and each machine's set-up is seen to its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from scripts.core.current_experiment import Threads
from scripts.core.errors import LabError
from scripts.core.hosts.arrival import Arrival, NotLetIn, NotSeen, SetUpFailed
from scripts.core.hosts.host_accounts import HostAccounts
from scripts.core.hosts.hosts import login_name, write_ssh_files
from scripts.core.hosts.login_check import lacks_key, not_a_member
from scripts.core.hosts.member_accounts import document, made_at_boot
from scripts.core.hosts.pinning import Say
from scripts.core.hosts.remote import Host
from scripts.core.hosts.ssh_files import Reach
from scripts.core.interrupts import INTERRUPTS
from scripts.core.lab.config import Experiment
from scripts.core.launch.asking import Instance
from scripts.core.machines.removal import remove_everything
from scripts.core.session import Session


@dataclass(frozen=True, slots=True)
class SetUp:
    """How machines are reached, and who of them let nobody in."""

    reaches: list[Reach]
    shut: list[str] = field(default_factory=list)
    """Why, a line each."""

    def expect_seen(self, name: str) -> None:
        """Raise NotReached where one let nobody in."""
        if self.shut:
            looks = f"`make ssh EXP={name}` looks, `make teardown EXP={name}` ends it"
            raise NotReached(f"{'; '.join(self.shut)}; {name} runs on: {looks}")


class NotReached(LabError):
    """The machines run, and nobody could log in to see to their set-up."""


def set_up(session: Session, name: str, experiment: Experiment, machines: Sequence[Instance], say: Say) -> SetUp:
    """Write how the machines are reached, wait until their set-up has ended, and return how they are reached.

    Raises LabError where it ended with errors; then the machines are kept, or taken down as the experiment says.
    """
    reaches = write_ssh_files(session, name, machines)
    seconds = session.boot_seconds
    if not seconds:
        return SetUp(reaches)
    if not login_name(session):
        say(f"the machines' set-up can't be looked at: {not_a_member(session)}")
        return SetUp(reaches)
    arrivals = [Arrival(session, name, reach, say) for reach in reaches]
    with Threads(max(len(arrivals), 1)) as waiting:  # for minutes: the session's own are for short calls
        ends = list(waiting.map(lambda arrival: _arrived(arrival, experiment, seconds, say), arrivals))
    failures = [str(end) for end in ends if isinstance(end, SetUpFailed)]
    if failures and experiment.on_failed_boot == "teardown":
        with INTERRUPTS.undone_on_failure(
            lambda _: _take_down(session, name, say), f"`make teardown EXP={name}` deletes it"
        ):
            raise LabError(f"{'; '.join(failures)}; taken down, as experiments/{name}.toml says (on_failed_boot)")
    if failures:
        raise LabError(f"{'; '.join(failures)}; kept: `make ssh EXP={name}` looks, `make teardown EXP={name}` ends it")
    return SetUp(reaches, [str(end) for end in ends if isinstance(end, NotLetIn)])


def _take_down(session: Session, name: str, say: Say) -> None:
    remove_everything(session, name, lambda resource: say(f"deleting {resource}"))


def wait_for_logins(session: Session, name: str, machines: Sequence[Instance], say: Say) -> SetUp:
    """Write how machines that were started again are reached, and wait until they let somebody in."""
    reaches = write_ssh_files(session, name, machines)
    seconds = session.boot_seconds
    if not seconds or not login_name(session):
        return SetUp(reaches)
    tell_of_no_key(session, name, say)
    arrivals = [Arrival(session, name, reach, say) for reach in reaches]
    with Threads(max(len(arrivals), 1)) as waiting:
        ends = list(waiting.map(lambda arrival: _let_in(arrival, seconds, say), arrivals))
    return SetUp(reaches, [str(end) for end in ends if isinstance(end, NotLetIn)])


def tell_of_no_key(session: Session, name: str, say: Say) -> None:
    """Say, before anybody waits for a login, that there will be none; the set-up is seen where a key appears."""
    if session.boot_seconds and (why := lacks_key(session, name)):
        say(f"nobody will be able to log in from here: {why}")


def _let_in(arrival: Arrival, seconds: float, say: Say) -> NotSeen | None:
    try:
        arrival.wait_for_login(seconds)
    except NotSeen as unseen:
        say(f"nobody could log in yet: {unseen}")
        return unseen
    return None


def _arrived(arrival: Arrival, experiment: Experiment, seconds: float, say: Say) -> SetUpFailed | NotSeen | None:
    """Wait for one machine; return why its set-up failed or was not seen, if so."""
    try:
        host = arrival.wait(seconds)
    except SetUpFailed as failure:
        return failure
    except NotSeen as unseen:
        say(f"not seen to the end of its set-up: {unseen}")
        return unseen
    _make_the_other_accounts(arrival.session, experiment, host, say)
    return None


def _make_the_other_accounts(session: Session, experiment: Experiment, host: Host, say: Say) -> None:
    """Make the accounts that there was no room for at the boot."""
    members = session.members()
    if len(made_at_boot(members, login_name(session), experiment)) == len(members):
        return
    try:
        changed = HostAccounts(host, lambda _: None).apply(document(members, session.lab.accounts))
    except LabError as problem:
        say(f"not all members have their accounts: {problem}; `make users HOST={host.name}` makes them")
    else:
        say(f"{host.name}: the other members' accounts are made ({changed} changes)")
