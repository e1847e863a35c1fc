"""Add a member: a file in members/ and, if needed, a key pair and an account on hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ec2lab.console import Console, run
from ec2lab.options import FILE, Adopt, AsJson, HostName, MemberName, option, script

if TYPE_CHECKING:
    from pathlib import Path

    from ec2lab.config.models import Member

SHORT_RSA = 3072
"""Bits. NIST disallows fewer from 2031 on (SP 800-57 Part 1, table 2)."""

app = script(__doc__)
Key = Annotated[str, option("KEY", "Public key, or its file. Default: a new key pair.", metavar=FILE)]


@app.command()
def user_add(
    name: MemberName = "", key: Key = "", host: HostName = "", adopt: Adopt = False, as_json: AsJson = False
) -> None:
    """Write members/NAME.toml; with HOST, also create NAME's account there (ADOPT=1 takes over an existing one).

    If the member exists, KEY is added to their keys. Without KEY, an ed25519 key pair is created in ~/.ssh, outside
    the lab: hand over the private key securely and delete your copy.
    """
    from ec2lab.config.lab_files import load_members
    from ec2lab.events.lab import HostUpdated
    from ec2lab.hosts.accounts import HostAccounts, change_printer
    from ec2lab.hosts.accounts_document import document, with_initial_password
    from ec2lab.hosts.named_hosts import parse_hosts
    from ec2lab.session import open_session

    console = Console(as_json=as_json)
    with open_session("user-add") as session:
        hosts = parse_hosts(session, host) if host else []
        member = load_members(session.directory).get(name)
        if member and not key:
            console.hint(f"members/{name}.toml already exists")
        else:
            _write(session.directory, name, member, _keys(name, key, console), console)
        for instance in hosts:
            wanted = with_initial_password(document(load_members(session.directory), session.lab.accounts), name, "")
            changed = HostAccounts(instance, change_printer(console)).apply(wanted, adopt=adopt)
            console.emit(HostUpdated(host=instance.name, changes=changed))
    if not host:
        console.hint("  new instances have the account; `make users HOST=…` adds it to a running one")
        console.hint(f"  `make ssh EXP=… MEMBER={name}` logs in")


def _keys(name: str, key: str, console: Console) -> list[str]:
    from ec2lab.config.key_files import keys_given
    from ec2lab.config.lab_files import new_key_pair
    from ec2lab.config.public_key import fingerprint, rsa_bits
    from ec2lab.events.lab import KeyPairCreated
    from ec2lab.registry.record import local_user

    if not key:
        public = new_key_pair(name)
        private = public.with_name(public.name.removesuffix(".pub"))
        whose = (
            "your private key" if name == local_user() else f"{name}'s private key: hand it over, and delete it here"
        )
        console.emit(KeyPairCreated(path=str(public), message=f"created {private}, {whose}"))
        return keys_given(str(public))
    keys = keys_given(key)
    for short in (one for one in keys if (rsa_bits(one) or SHORT_RSA) < SHORT_RSA):
        console.hint(f"  {fingerprint(short)} is an RSA key of {rsa_bits(short)} bits: acceptable until 2030 (NIST)")
    return keys


def _write(directory: Path, name: str, member: Member | None, keys: list[str], console: Console) -> None:
    from ec2lab.config.lab_files import add, add_keys
    from ec2lab.events.lab import MemberAdded

    path = add_keys(directory, name, member, keys) if member else add(directory, name, keys)
    if path:
        console.emit(MemberAdded(member=name, path=path))
    else:
        console.hint(f"members/{name}.toml has {'this key' if len(keys) == 1 else 'these keys'} already")


if __name__ == "__main__":
    run(app)
