"""make users, user-add and user-remove bring a real host to the members' accounts, over ssh."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.hosts.host import QUICK
from tests.hosts.noise import BANNER, for_terminals, make_noisy


@pytest.fixture
def at_home(host_with_sshd, lab, tmp_path, key_pairs):
    """A lab whose user may log in to a host as the administrator carol, by his own ssh configuration, as `there`."""
    carol = key_pairs("carol")
    host_with_sshd.accounts({"members": {"carol": {"keys": [carol.line], "sudo": "nopasswd", "shell": "/bin/tcsh"}}})
    make_noisy(host_with_sshd, "/bin/tcsh", BANNER)
    (tmp_path / "home/.ssh").mkdir(parents=True)
    (tmp_path / "home/.ssh/config").write_text(
        f"Host there\n  HostName 127.0.0.1\n  Port {host_with_sshd.port}\n  User carol\n  IdentityFile {carol.file}\n"
        f"  UserKnownHostsFile {tmp_path / 'known_hosts'}\n  {QUICK}\n  ConnectionAttempts 5\n"
        f"{for_terminals(tmp_path)}"
    )
    lab.write("members/carol.toml", f'keys = ["{carol.line}"]\ngroups = ["sudo"]\n')
    lab.home = str(tmp_path / "home")
    return lab


def run(lab, script, **variables):
    return lab.run(script, HOME=lab.home, **variables)


def users(lab, **variables):
    ended = run(lab, "users", HOST="there", JSON="1", **variables)
    assert ended.code == 0, ended.err
    return [(e["member"], e["change"]) for e in ended.events if e["event"] == "account-change"]


def test_a_second_run_changes_nothing_and_says_so(at_home, host_with_sshd, alice_key):
    at_home.write(
        "members/alice.toml", f'keys = ["{alice_key.line}"]\nshell = "/bin/zsh"\ngroups = ["sudo", "docker"]\n'
    )
    first = users(at_home)
    assert ("alice", "created") in first
    assert ("alice", "skipped") in first, "there is no group docker"
    assert ("sshd", "applied") in first
    assert ("sshd", "confirmed") in first
    assert host_with_sshd.ssh("alice", "sudo", "-n", "id", "-u", key=alice_key.file).output == "0\n"
    again = run(at_home, "users", HOST="there")
    assert "there: nothing to change" in again.out
    assert host_with_sshd.harden("status").detail(None, "unchanged") == "in place"


def test_check_shows_the_same_and_changes_nothing(at_home, host_with_sshd, alice_key):
    at_home.write("members/alice.toml", f'keys = ["{alice_key.line}"]\ngroups = []\n')
    before = host_with_sshd.run("cat", "/etc/passwd", "/etc/shadow").stdout
    shown = users(at_home, DRY_RUN="1")
    assert ("alice", "created") in shown
    assert host_with_sshd.run("cat", "/etc/passwd", "/etc/shadow").stdout == before
    assert host_with_sshd.harden("status").detail(None, "unchanged") == "not in place"


def test_who_is_no_longer_listed_is_locked_out_and_may_come_back(at_home, host_with_sshd, alice_key):
    at_home.write("members/alice.toml", f'keys = ["{alice_key.line}"]\ngroups = []\n')
    users(at_home)
    (at_home.path / "members/alice.toml").unlink()
    assert ("alice", "locked") in users(at_home)
    assert not host_with_sshd.ssh("alice", "true", key=alice_key.file).worked
    assert host_with_sshd.path("/home/alice").is_dir()
    assert ("alice", "purged") in users(at_home, PURGE="1")
    assert not host_with_sshd.path("/home/alice").exists()


def test_a_member_is_added_with_a_key_pair_of_their_own_and_removed(at_home, host_with_sshd):
    added = run(at_home, "user_add", NAME="dave", HOST="there")
    assert added.code == 0, added.err
    private = at_home.home + "/.ssh/ec2-lab-dave"
    assert f"created {private}, dave's private key" in added.out
    assert oct(shutil.os.stat(private).st_mode & 0o777) == "0o600"
    assert not [f for f in at_home.path.rglob("*") if f.is_file() and b"PRIVATE KEY" in f.read_bytes()], (
        "never in the lab"
    )
    assert host_with_sshd.ssh("dave", "id", "-un", key=private).output == "dave\n"
    assert "wrote" not in run(at_home, "user_add", NAME="dave", HOST="there").out
    removed = run(at_home, "user_remove", NAME="dave", HOST="there", JSON="1")
    assert removed.code == 0, removed.err
    told = {(event["event"], event.get("change")) for event in removed.events}
    assert {("member-removed", None), ("account-change", "locked"), ("host-updated", None)} <= told
    assert not host_with_sshd.ssh("dave", "true", key=private).worked
    assert host_with_sshd.path("/home/carol/.ssh/authorized_keys").exists(), "nobody else is touched"


def test_a_host_whose_key_is_not_known_is_not_logged_in_to(at_home, tmp_path):
    (tmp_path / "known_hosts").write_text("")
    ended = run(at_home, "users", HOST="there")
    assert ended.code == 1
    assert "there: its host key is not known; log in once by hand (`ssh there`)" in ended.error


def test_a_host_that_shows_another_key_is_not_logged_in_to(at_home, tmp_path, host_with_sshd, alice_key):
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{host_with_sshd.port} {alice_key.line}\n")
    ended = run(at_home, "users", HOST="there")
    assert ended.code == 1
    assert "its host key is not" in ended.error


def test_one_host_that_fails_keeps_no_other_from_being_done(at_home):
    ended = run(at_home, "users", HOST="127.0.0.2 there", JSON="1")
    assert ended.code == 1
    assert "127.0.0.2: " in ended.error
    assert [e["host"] for e in ended.events if e["event"] == "host-updated"] == ["there"]


def test_hostile_members_are_refused_before_anything_is_sent(at_home):
    at_home.write("members/eve.toml", json.dumps({"x": 1}))
    ended = run(at_home, "users", HOST="there")
    assert ended.code == 1
    assert ended.err.startswith("error: members/eve.toml:1: not TOML")


def test_a_member_whom_sshd_keeps_out_fails_the_command_and_everything_else_is_done(at_home, host_with_sshd, alice_key):
    host_with_sshd.write("/etc/ssh/sshd_config.d/50-case.conf", "DenyUsers alice\n")
    host_with_sshd.run("groupadd", "bert")
    for name in ("alice", "bert"):
        at_home.write(f"members/{name}.toml", f'keys = ["{alice_key.line}"]\ngroups = []\n')
    ended = run(at_home, "users", HOST="there", JSON="1")
    told = [(event["member"], event["change"]) for event in ended.events if event["event"] == "account-change"]
    assert ended.code == 1
    assert [change for member, change in told if member == "sshd"] == ["applied", "confirmed"]
    assert told.count(("alice", "problem")) == told.count(("bert", "problem")) == 1
    assert "there: bert: a group has this name" in ended.error
    assert "there: alice: DenyUsers alice (/etc/ssh/sshd_config.d/50-case.conf:1) locks them out" in ended.error
    host_with_sshd.path("/etc/ssh/sshd_config.d/50-case.conf").unlink()
    host_with_sshd.run("groupdel", "bert")
    assert ("bert", "created") in users(at_home)
    assert users(at_home) == []


def test_what_a_run_that_was_killed_left_unconfirmed_is_confirmed_by_the_next_and_two_at_once_agree(
    at_home, host_with_sshd, alice_key
):
    host_with_sshd.harden("apply", "--confirm-within", "60")
    assert users(at_home)[-2:] == [("sshd", "applied"), ("sshd", "confirmed")]
    at_home.write("members/alice.toml", f'keys = ["{alice_key.line}"]\ngroups = []\n')
    with ThreadPoolExecutor() as pool:
        told = list(pool.map(lambda _: users(at_home), range(2)))
    assert sorted(told) == [[], [("alice", "created"), ("alice", "key added")]]


def test_two_members_of_one_uid_are_named_before_anything_is_sent(at_home, alice_key):
    for name in ("alice", "bert"):
        at_home.write(f"members/{name}.toml", f'keys = ["{alice_key.line}"]\nuid = 4001\n')
    for script, variables in (("users", {"HOST": "there"}), ("launch", {"EXP": "demo"})):
        assert run(at_home, script, **variables).error == (
            "error: members/bert.toml: uid 4001 is alice's (members/alice.toml); change one of them"
        )
