"""Remove a member from members/ and from hosts."""

from __future__ import annotations

from ec2lab.console import Console, run
from ec2lab.options import AsJson, HostName, LeavingMember, Purge, script

app = script(__doc__)


@app.command()
def user_remove(name: LeavingMember = "", host: HostName = "", purge: Purge = False, as_json: AsJson = False) -> None:
    """Delete members/NAME.toml, so that new instances do not have the account; with HOST, lock the account there.

    A locked account has no keys, and its home directory is kept. PURGE=1 deletes both account and home.
    """
    from ec2lab.config.lab_files import member_files, remove
    from ec2lab.errors import UserError
    from ec2lab.events.lab import HostUpdated, MemberRemoved
    from ec2lab.hosts.accounts import HostAccounts, change_printer
    from ec2lab.hosts.accounts_document import AccountsDocument
    from ec2lab.hosts.named_hosts import parse_hosts
    from ec2lab.session import open_session
    from ec2lab.validators import did_you_mean

    console = Console(as_json=as_json)
    with open_session("user-remove") as session:
        removed = remove(session.directory, name)
        if removed:
            console.emit(MemberRemoved(member=name, paths=removed))
        if not host and not removed:
            meant = did_you_mean(name, [path.stem for path in member_files(session.directory)])
            raise UserError(f"NAME: {name!r} is not in members/{meant}; HOST= removes it from a host")
        going = AccountsDocument(members={}, only=[], removed=[name])
        failures = []
        for instance in parse_hosts(session, host) if host else ():
            try:
                changed = HostAccounts(instance, change_printer(console)).apply(going, purge=purge)
            except UserError as failure:
                failures.append(str(failure))
                continue
            console.emit(HostUpdated(host=instance.name, changes=changed))
    if failures:
        raise UserError("; ".join(failures))
    if not host:
        console.hint("  running instances still have the account: `make users HOST=…` removes it")


if __name__ == "__main__":
    run(app)
