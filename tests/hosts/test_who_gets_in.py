"""Of each member it is known whether sshd and PAM let him in by his key, and what else opens his account."""

import subprocess

import pytest

from tests.hosts.host import PATIENCE, SSHD_LOG, holds_within

DROP_IN = "/etc/ssh/sshd_config.d/00-ec2-lab.conf"
CASE = "/etc/ssh/sshd_config.d/50-case.conf"
ACCESS = {
    "/etc/pam.d/sshd": "account required pam_access.so\naccount required pam_unix.so\n"
    "auth required pam_unix.so\nsession required pam_unix.so\n",
    "/etc/security/access.conf": "-:alice:ALL\n",
}
IN_THEIR_CONFIGURATION = [
    ("AllowUsers bob carol@10.0.0.0/8", f"AllowUsers bob carol@10.0.0.0/8 ({CASE}:1) locks them out from 127.0.0.1"),
    ("# a list\nDenyUsers al*", f"DenyUsers al* ({CASE}:2) locks them out from 127.0.0.1: leave out alice there"),
    ("AllowGroups b?b", f"AllowGroups b?b ({CASE}:1) locks them out from 127.0.0.1: add a group of theirs there"),
    ("DenyGroups video", f"DenyGroups video ({CASE}:1) locks them out"),
    ("Match Group video\n  DenyUsers *", f"DenyUsers * ({CASE}:2) locks them out"),
    ("Match User alice\n  AuthorizedKeysFile /etc/ssh/keys/%u", f"AuthorizedKeysFile /etc/ssh/keys/%u ({CASE}:2)"),
    ("Include extra/*.conf", "AllowUsers bob (/etc/ssh/more.conf:1) locks them out"),
]
BY_OTHERS = [
    ({**ACCESS}, "PAM locks them out from 127.0.0.1: Permission denied (pam_access /etc/security/access.conf, "),
    ({"/root/do": "usermod --shell /usr/sbin/nologin alice"}, "the shell /usr/sbin/nologin lets nobody in"),
    ({"/root/do": "chage -d 0 alice"}, "PAM locks them out from 127.0.0.1: Authentication token is no longer valid"),
]

BESIDES_KEYS = [
    ("Match User alice\n  AuthenticationMethods publickey,password", "authenticationmethods publickey,password for"),
    ("Match Address 10.0.0.0/8\n  PasswordAuthentication yes", "passwordauthentication yes for root from 10.0.0.0"),
    ("Match Group video\n  KbdInteractiveAuthentication yes", "kbdinteractiveauthentication yes for alice"),
]


@pytest.fixture
def peopled(host, alice_key, bob_key):
    """An instance with alice, who is in the group video, and bob, whose sshd takes their keys alone."""
    members = {"alice": {"keys": [alice_key.line], "groups": ["video"]}, "bob": {"keys": [bob_key.line]}}
    host.accounts({"members": members})
    host.write("/etc/ssh/extra/a.conf", "Include more.conf\n")
    host.start_sshd()
    assert host.harden("apply").code == 0
    return host


def begin_again(host):
    reloads = host.path(SSHD_LOG).read_text().count("Server listening")
    host.run("sh", "-c", "kill -HUP $(cat /run/sshd.pid)")
    assert holds_within(PATIENCE, lambda: host.path(SSHD_LOG).read_text().count("Server listening") > reloads)


def test_a_member_whom_sshds_configuration_keeps_out_is_named_with_the_line_that_does_it(peopled, alice_key, bob_key):
    peopled.write("/etc/ssh/more.conf", "AllowUsers bob\n")
    for case, said in IN_THEIR_CONFIGURATION:
        peopled.write(CASE, f"{case}\n")
        begin_again(peopled)
        told = peopled.harden("apply")
        assert (told.code, told.of("alice"), told.of("bob")) == (1, ["problem"], []), (case, told.text)
        assert said in told.detail("alice", "problem")
        assert peopled.ssh("alice", "true", key=alice_key.file).refused, case
    assert peopled.ssh("bob", "true", key=bob_key.file).worked


def test_a_member_whom_pam_or_the_account_keeps_out_is_named(peopled, alice_key):
    for files, said in BY_OTHERS:
        for path, text in files.items():
            peopled.write(path, text)
        peopled.run("sh", "-c", "[ ! -e /root/do ] || sh /root/do; rm -f /root/do")
        told = peopled.harden("apply")
        assert (told.code, told.of("alice"), told.of("bob")) == (1, ["problem"], []), told.text
        assert said in told.detail("alice", "problem")
        assert not peopled.ssh("alice", "true", key=alice_key.file).worked
        peopled.write("/etc/security/access.conf", "")
        peopled.run("usermod", "--shell", "/bin/bash", "alice")
    peopled.run("chage", "-d", "20000", "alice")
    assert peopled.harden("apply").summary == {"changed": 0, "problems": 0}


def test_settings_are_applied_also_where_one_member_is_kept_out_by_others(peopled):
    peopled.harden("rollback")
    peopled.write(CASE, "DenyUsers alice\n")
    told = peopled.harden("apply")
    assert (told.code, told.summary) == (1, {"changed": 1, "problems": 1})
    assert told.detail(None, "applied").startswith("keys alone open bob; ")
    assert "alice can't log in with a key (DenyUsers alice" in peopled.harden("apply", "--account", "alice").text


def test_what_opens_accounts_besides_the_members_keys_is_told_each_time(peopled, tmp_path, alice_key):
    peopled.harden("rollback")
    authority = subprocess.run(["ssh-keygen", "-y", "-f", alice_key.file], capture_output=True, text=True, check=True)
    peopled.write("/etc/ssh/ca.pub", authority.stdout)
    peopled.write("/etc/ssh/keys/bob", alice_key.line)
    peopled.write("/usr/bin/tell-keys", "#!/bin/sh\n", mode=0o755)
    lines = (
        "TrustedUserCAKeys /etc/ssh/ca.pub",
        "AuthorizedKeysCommand /usr/bin/tell-keys",
        "AuthorizedKeysCommandUser nobody",
        "AuthorizedKeysFile .ssh/authorized_keys keys/%u /etc/ssh/keys/%u",
    )
    peopled.write(CASE, "".join(f"{line}\n" for line in lines))
    told = peopled.harden("apply")
    assert (told.code, told.summary) == (0, {"changed": 1, "problems": 0})
    assert told.detail(None, "applied").startswith("keys open alice, bob; ")
    besides = [detail for _, change, detail in told.changes if change == "warning"]
    assert besides == [
        f"certificates by /etc/ssh/ca.pub (TrustedUserCAKeys, {CASE}:1) open alice, bob too",
        f"keys that /usr/bin/tell-keys tells (AuthorizedKeysCommand, {CASE}:2) open alice, bob too",
        f"keys in /etc/ssh/keys/bob (AuthorizedKeysFile, {CASE}:4) open bob too",
    ]
    again = peopled.harden("apply")
    assert [detail for _, change, detail in again.changes if change == "warning"] == besides
    assert again.of(None)[-1] == "unchanged"


def test_where_more_than_a_key_would_open_somebodys_account_from_somewhere_nothing_is_said_of_keys_alone(peopled):
    for rule, said in BESIDES_KEYS:
        peopled.write(CASE, f"{rule}\n")
        told = peopled.harden("apply")
        assert (told.code, told.of(None)) == (1, ["problem"])
        assert said in told.detail(None, "problem")
        assert f"{CASE}:2" in told.detail(None, "problem")


def test_a_drop_in_of_the_images_that_comes_before_ours_is_overruled(host, alice_key):
    host.accounts({"members": {"alice": {"keys": [alice_key.line]}}})
    host.run("chpasswd", text="alice:a password of alice's own\n")
    host.write(
        "/etc/ssh/sshd_config.d/00-a-cloud.conf", "PasswordAuthentication yes\nKbdInteractiveAuthentication yes\n"
    )
    host.start_sshd()
    assert host.ssh("alice", "true", password="a password of alice's own").worked
    told = host.harden("apply")
    assert told.of(None) == ["applied"], told.text
    assert host.path("/etc/ssh/sshd_config").read_text().startswith(f"Include {DROP_IN}\n")
    assert host.ssh("alice", "true", password="a password of alice's own").refused
    assert host.ssh("alice", "true", key=alice_key.file).worked
    assert host.harden("apply").of(None) == ["unchanged"]


def test_what_sshd_was_started_with_counts_before_any_file(host, alice_key):
    host.accounts({"members": {"alice": {"keys": [alice_key.line]}}})
    host.start_sshd("-o", "PasswordAuthentication=yes", "-o", "AllowUsers alice bob")
    told = host.harden("apply")
    assert told.code == 1
    assert "passwordauthentication yes for root from 127.0.0.1" in told.detail(None, "problem")
    assert "(sshd's own default or its command line)" in told.detail(None, "problem")
