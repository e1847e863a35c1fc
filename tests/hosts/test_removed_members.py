"""Members who leave: locked out at once, welcome back, deleted only when asked."""

import pytest


@pytest.fixture
def entries(alice_key, bob_key):
    """What the document says of alice and bob."""
    return {
        "alice": {"keys": [alice_key.line], "sudo": "nopasswd"},
        "bob": {"keys": [bob_key.line], "groups": ["video"], "sudo": "nopasswd"},
    }


@pytest.fixture
def settled(host_with_sshd, entries):
    """An instance with alice and bob."""
    host_with_sshd.accounts({"members": entries})
    return host_with_sshd


def without_bob(entries):
    return {"members": {name: entry for name, entry in entries.items() if name != "bob"}}


def exists(host, name):
    return host.run("getent", "passwd", name, check=False).returncode == 0


@pytest.mark.every_release
def test_whoever_is_no_longer_listed_cannot_log_in_and_the_home_is_kept(settled, entries, alice_key, bob_key):
    settled.as_user("bob", "echo precious > ~bob/results")
    told = settled.accounts(without_bob(entries))
    assert told.of("bob") == ["locked", "sudo", "group removed", "key removed"]
    assert told.detail("bob", "key removed") == bob_key.fingerprint
    assert settled.ssh("bob", "true", key=bob_key.file).refused
    assert settled.path("/home/bob/results").read_text() == "precious\n"
    assert not settled.path("/etc/sudoers.d/ec2-lab-bob").exists()
    assert settled.ssh("alice", "true", key=alice_key.file).worked
    assert settled.accounts(without_bob(entries)).summary == {"changed": 0, "problems": 0}


def test_a_locked_account_is_closed_even_to_a_key_that_is_put_back(settled, entries, bob_key):
    settled.accounts(without_bob(entries))
    settled.as_user("bob", f"umask 077; mkdir -p ~bob/.ssh; echo '{bob_key.line}' > ~bob/.ssh/authorized_keys")
    assert settled.ssh("bob", "true", key=bob_key.file).worked is False
    assert settled.accounts(without_bob(entries)).of("bob") == ["key removed"]


@pytest.mark.parametrize("pam", ["yes", "no"])
def test_a_member_who_comes_back_is_unlocked_with_the_password_of_before(host, entries, bob_key, pam):
    host.path("/etc/ssh/sshd_config.d/50-cloud-init.conf").write_text(f"UsePAM {pam}\n")
    host.start_sshd()
    host.accounts({"members": entries})
    host.run("chpasswd", text="bob:a password of bob's own\n")
    assert host.ssh("bob", "true", password="a password of bob's own").worked
    host.accounts(without_bob(entries))
    assert host.run("passwd", "--status", "bob").stdout.split()[1] == "L"
    assert not host.ssh("bob", "true", key=bob_key.file).worked

    told = host.accounts({"members": entries})
    assert told.of("bob") == ["unlocked", "group added", "key added", "sudo"]
    assert host.ssh("bob", "sudo", "-n", "id", "-u", key=bob_key.file).output == "0\n"
    assert host.ssh("bob", "true", password="a password of bob's own").worked
    assert "video" in host.run("id", "-nG", "bob").stdout.split()


def test_purge_deletes_account_home_and_what_runs(settled, entries):
    settled.as_user("bob", "sleep infinity > /dev/null 2>&1 & echo precious > ~bob/results")
    told = settled.accounts(without_bob(entries), "--purge")
    assert told.of("bob") == ["purged"]
    assert told.code == 0
    assert not exists(settled, "bob")
    assert not settled.path("/home/bob").exists()
    assert not settled.path("/etc/sudoers.d/ec2-lab-bob").exists()
    assert exists(settled, "alice")
    assert settled.accounts(without_bob(entries), "--purge").summary == {"changed": 0, "problems": 0}


def test_a_locked_member_is_purged_later_and_a_check_of_it_deletes_nothing(settled, entries):
    settled.accounts(without_bob(entries))
    assert settled.accounts(without_bob(entries), "--purge", "--check").of("bob") == ["purged"]
    assert exists(settled, "bob")
    settled.accounts(without_bob(entries), "--purge")
    assert not exists(settled, "bob")


def test_what_still_runs_is_told(settled, entries):
    settled.as_user("bob", "sleep infinity > /dev/null 2>&1 &")
    detail = settled.accounts(without_bob(entries)).detail("bob", "locked")
    assert "1 of their processes still run (loginctl terminate-user bob)" in detail


def test_purge_locks_what_the_lab_adopted_and_deletes_nothing_of_it(settled, entries, alice_key):
    settled.run("useradd", "--create-home", "carol")
    settled.accounts({"members": {**entries, "carol": {"keys": [alice_key.line], "groups": ["video"]}}}, "--adopt")
    told = settled.accounts({"members": entries}, "--purge")
    assert told.of("carol") == ["locked", "group removed", "key removed", "skipped"]
    assert told.detail("carol", "skipped") == "not purged: ec2-lab did not create this account"
    assert exists(settled, "carol")
    assert settled.path("/home/carol").exists()


def test_a_home_with_a_volume_in_it_is_not_purged(settled, entries):
    settled.run(
        "sh",
        "-ec",
        "mkdir '/home/bob/my data' && mount -t tmpfs data '/home/bob/my data' && touch '/home/bob/my data/set'",
    )
    told = settled.accounts(without_bob(entries), "--purge")
    assert told.detail("bob", "problem") == "not purged: /home/bob/my data is mounted there: unmount it first"
    assert "locked" in told.of("bob")
    assert settled.run("ls", "/home/bob/my data").stdout == "set\n"


def test_removed_names_are_locked_though_only_others_are_applied(settled, entries, bob_key):
    told = settled.accounts({**without_bob(entries), "only": [], "removed": ["bob", "nobody-here", "www-data"]})
    assert told.of("bob") == ["locked", "sudo", "group removed", "key removed"]
    assert told.detail("nobody-here", "skipped") == "there is no such account"
    assert told.detail("www-data", "skipped") == "this account is not the lab's; not touched"
    assert settled.ssh("bob", "true", key=bob_key.file).refused


def test_accounts_that_are_not_the_labs_are_never_locked_or_purged(settled):
    settled.run("useradd", "--create-home", "ubuntu")
    settled.run("useradd", "--create-home", "carol")
    before = settled.run("grep", "-E", "^(root|ubuntu|carol|www-data):", "/etc/shadow").stdout
    told = settled.accounts({"members": {}, "removed": ["carol", "ubuntu", "root"]}, "--purge")
    assert told.of("alice") == told.of("bob") == ["purged"]
    assert told.of("carol") == told.of("ubuntu") == told.of("root") == ["skipped"]
    assert settled.run("grep", "-E", "^(root|ubuntu|carol|www-data):", "/etc/shadow").stdout == before
    assert settled.path("/home/carol").exists()


def test_a_member_whose_entry_is_refused_is_not_taken_for_removed(settled, entries, bob_key):
    told = settled.accounts({"members": {**entries, "bob": {"keys": ["ssh-rsa oops"]}}}, "--purge")
    assert told.of("bob") == ["problem"]
    assert settled.ssh("bob", "true", key=bob_key.file).worked


def test_nobody_locks_the_account_from_which_the_program_runs(settled, entries, bob_key):
    told = settled.accounts(without_bob(entries), "--purge", SUDO_USER="bob")
    assert told.detail("bob", "problem") == "this runs from that very account; not locked"
    assert settled.ssh("bob", "true", key=bob_key.file).worked


def test_the_sudo_rule_of_an_account_that_is_gone_waits_for_nobody(settled, entries):
    settled.run("userdel", "bob")
    assert settled.accounts(without_bob(entries)).of("bob") == ["sudo"]
    assert not settled.path("/etc/sudoers.d/ec2-lab-bob").exists()
