"""Apply members/ to the accounts of hosts."""

from __future__ import annotations

from typing import Annotated

from ec2lab.console import Console, run
from ec2lab.errors import UserError
from ec2lab.options import Adopt, AsJson, Check, HostName, Purge, option, script

app = script(__doc__)
Name = Annotated[str, option("NAME", "Only this member.")]
Password = Annotated[str, option("PASSWORD", '"ask": set a password for NAME, to be changed at the first login.')]


@app.command()
def users(
    host: HostName = "", name: Name = "", password: Password = "", check: Check = False, purge: Purge = False,
    adopt: Adopt = False, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Make the accounts on HOST (an experiment, an address, or several) match members/.

    Accounts are created or corrected. Keys are exactly those listed; groups are those listed, plus any that others
    added. Members who are no longer listed are locked and lose their keys and groups; PURGE=1 deletes them, if
    ec2-lab created the account. An account that ec2-lab did not create is refused unless you set ADOPT=1. sshd is
    configured to accept keys only; the host reverts that if a new login fails.

    A second run changes nothing. DRY_RUN=1 only shows the changes.
    """
    from ec2lab.config.lab_files import load_members
    from ec2lab.events.lab import HostUpdated
    from ec2lab.hosts.accounts import HostAccounts, change_printer
    from ec2lab.hosts.accounts_document import document, with_initial_password
    from ec2lab.hosts.named_hosts import parse_hosts
    from ec2lab.session import open_session

    console = Console(as_json=as_json)
    heard, failures = change_printer(console), list[str]()
    with open_session("users") as session:
        wanted = document(load_members(session.directory), session.lab.accounts)
        if not wanted.members:
            raise UserError("members/: is empty; `make user-add NAME=alice` adds a member")
        wanted = with_initial_password(wanted, name, password)
        for instance in parse_hosts(session, host):
            changed, problems = HostAccounts(instance, heard).bring_to(wanted, check=check, purge=purge, adopt=adopt)
            failures += problems
            if problems:
                continue
            console.emit(HostUpdated(host=instance.name, changes=changed, dry_run=check))
    if failures:
        raise UserError("; ".join(failures))


if __name__ == "__main__":
    run(app)
