"""Passwords: set over standard input alone, changed at the first login, and then the member's own."""

import pytest

FIRST, OWN = "Correct:horse 'battery\" $(staple)", "my own 4711 glass bead"
TOOLS = ("useradd", "usermod", "groupadd", "chpasswd", "visudo", "chage")
WRAPPER = """#!/bin/sh
{ tr '\\0' '\\n' < /proc/$$/cmdline; tr '\\0' '\\n' < /proc/$$/environ; } >> /root/commands
exec "$0.real" "$@"
"""


@pytest.fixture
def document(alice_key):
    """Alice, whose sudo asks for her password."""
    return {"members": {"alice": {"keys": [alice_key.line], "sudo": "password"}}}


def with_password(document):
    return {**document, "passwords": {"alice": FIRST}}


def test_a_password_must_be_changed_at_the_first_login_and_serves_sudo_then(host_with_sshd, document, alice_key):
    host = host_with_sshd
    told = host.accounts(with_password(document))
    assert told.detail("alice", "password set") == "to be changed at the first login"
    assert "skipped" not in told.of("alice")
    refused = host.ssh("alice", "echo", "in", key=alice_key.file)
    assert refused.output == ""
    assert "assword change required" in refused.text

    dialogue = host.dialogue("alice", alice_key.file)
    for question, answer in [("Current password:", FIRST), ("New password:", OWN), ("Retype new password:", OWN)]:
        dialogue.answer(question, answer)
    assert "password updated successfully" in dialogue.rest()

    script = f"sudo -S -p '' id -u <<'END'\n{OWN}\nEND"
    assert host.ssh("alice", "sh", "-c", script, key=alice_key.file).output == "0\n"


def test_a_password_of_ones_own_is_not_taken_away_by_later_runs(host, document):
    host.accounts(with_password(document))
    host.run("chpasswd", text=f"alice:{OWN}\n")
    before = host.state()
    for policy in ("password", "nopasswd", None, "password"):
        document["members"]["alice"]["sudo"] = policy
        host.accounts(document)
    assert host.accounts(document).summary == {"changed": 0, "problems": 0}
    assert shadow(host) == next(line for line in before.splitlines() if line.startswith("alice:"))


def shadow(host):
    return host.run("getent", "shadow", "alice").stdout.strip()


def test_without_a_password_none_opens_the_account(host, document):
    host.accounts(document)
    assert host.run("passwd", "--status", "alice").stdout.split()[1] == "L"


def test_a_password_is_in_no_argument_environment_file_or_output(host, document):
    for tool in TOOLS:
        directory = "/usr/bin" if tool == "chage" else "/usr/sbin"
        host.path(f"{directory}/{tool}").rename(host.path(f"{directory}/{tool}.real"))
        host.write(f"{directory}/{tool}", WRAPPER, mode=0o755)
    document["members"]["alice"]["groups"] = ["video", "lab"]
    told = host.accounts({**with_password(document), "make_groups": ["lab"]})
    seen = host.path("/root/commands").read_text()
    assert all(f"/{tool}\n" in seen for tool in TOOLS)
    assert "staple" not in seen + told.text
    assert (
        host.run("grep", "-rlF", "staple", "/etc", "/home", "/root", "/run", "/tmp", "/var", check=False).stdout == ""
    )


@pytest.mark.parametrize("password", ["", "two\nroot:lines", "a\0b", 7, None, "x" * 501])
def test_what_is_no_password_is_refused_and_nothing_done(host, document, password):
    told = host.accounts({**document, "passwords": {"alice": password}})
    assert told.changes == [(None, "problem", "`passwords` are lines of text by name")]
    assert host.run("getent", "passwd", "alice", check=False).returncode != 0


def test_a_password_for_someone_else_is_refused(host, document):
    told = host.accounts({**document, "passwords": {"root": "toor"}})
    assert told.summary == {"changed": 0, "problems": 1}
