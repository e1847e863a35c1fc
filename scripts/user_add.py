"""Add a member: a file in members/, a key pair if they have none, an account on hosts."""

from __future__ import annotations

from typing import Annotated

import typer

from scripts.core.console import Console, run
from scripts.core.options import Adopt, AsJson, HostName, MemberName, script

app = script(__doc__)
Key = Annotated[
    str, typer.Option("--key", envvar="KEY", help="Their public key's file; a key pair is made if left out.")
]


@app.command()
def user_add(
    name: MemberName = "", key: Key = "", host: HostName = "", adopt: Adopt = False, as_json: AsJson = False
) -> None:
    """Write members/NAME.toml, and give NAME an account on HOST if that is named (ADOPT=1 takes one over there).

    Without KEY an ed25519 key pair is made in ~/.ssh, outside the lab: hand it over by a safe way, and delete it.
    """
    from pathlib import Path

    from scripts.core.hosts.host_accounts import HostAccounts, telling
    from scripts.core.hosts.hosts import hosts_named
    from scripts.core.hosts.member_accounts import document
    from scripts.core.hosts.passwords import for_member
    from scripts.core.lab.member_files import add, new_key_pair
    from scripts.core.session import open_session

    console = Console(as_json=as_json)
    with open_session("user-add") as session:
        if name in session.members():
            console.hint(f"members/{name}.toml is there already")
        else:
            public = Path(key).expanduser() if key else new_key_pair(name)
            if not key:
                console.say(f"made {public.with_suffix('')}, {name}'s private key: hand it over, and delete it here",
                            "key-pair", path=str(public))  # fmt: skip
            path = add(session.directory, name, public)
            console.say(f"wrote {path}", "member", style="green", member=name, path=path)
        for machine in hosts_named(session, host) if host else ():
            wanted = for_member(document(session.members(), session.lab.accounts), name, "")
            changed = HostAccounts(machine, telling(console)).apply(wanted, adopt=adopt)
            console.say(f"{machine.name}: {changed} changed" if changed else f"{machine.name}: nothing to change",
                        "host", host=machine.name, changed=changed)  # fmt: skip
    if not host:
        console.hint("  new machines have the account; `make users HOST=…` gives it to one that runs, and")
        console.hint(f"  `make ssh EXP=… MEMBER={name}` logs in")


if __name__ == "__main__":
    run(app)
