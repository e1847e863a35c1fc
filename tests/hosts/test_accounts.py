"""Members' accounts on an instance: made, fixed, the same twice."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from ec2lab.config.public_key import public_key
from ec2lab.hosts.accounts_document import OVER_SSH, Account, AccountsDocument
from ec2lab.hosts.program_packer import sent


def members(**entries):
    return {"members": entries}


def mode_and_owner(host, path):
    return host.run("stat", "-c", "%a %U", path).stdout.strip()


def account(host, name):
    return host.run("getent", "passwd", name).stdout.strip().split(":")


def groups(host, name):
    return set(host.run("id", "-nG", name).stdout.split())


@pytest.mark.every_release
def test_a_member_gets_account_groups_shell_keys_and_sudo_and_logs_in(host_with_sshd, alice_key):
    host = host_with_sshd
    entry = {
        "keys": [alice_key.line],
        "groups": ["sudo", "docker"],
        "shell": "/bin/zsh",
        "uid": 4001,
        "sudo": "nopasswd",
    }
    told = host.accounts({"members": {"alice": entry}, "make_groups": ["docker"]})

    assert told.code == 0
    assert told.summary == {"changed": 6, "problems": 0}
    assert told.of("alice") == ["created", "group added", "group added", "key added", "sudo"]
    assert told.detail("alice", "key added") == alice_key.fingerprint
    _, _, uid, _, _, home, shell = account(host, "alice")
    assert (uid, home, shell) == ("4001", "/home/alice", "/bin/zsh")
    assert {"alice", "sudo", "docker"} == groups(host, "alice")
    assert mode_and_owner(host, "/home/alice/.ssh") == "700 alice"
    assert mode_and_owner(host, "/home/alice/.ssh/authorized_keys") == "600 alice"
    assert mode_and_owner(host, "/etc/sudoers.d/ec2-lab-alice") == "440 root"
    assert host.ssh("alice", "sudo", "-n", "id", "-u", key=alice_key.file).output == "0\n"


@pytest.mark.every_release
def test_a_login_with_a_dot_and_a_comment_of_any_characters_are_whole_accounts(host_with_sshd, alice_key):
    """Useradd makes one of any name that the lab takes. In a file with a dot in its name sudo would read no rule."""
    host = host_with_sshd
    line = public_key(f"{alice_key.line} \U0001f680 \u202ee\u0301\u00a0\\n\"'$(id) \u5bb6")
    others = {name: {"keys": [line]} for name in ["a.b-c_d", "x" * 32, "_svc", "q"]}
    document = members(**{"first.last": {"keys": [line], "groups": ["sudo"], "sudo": "nopasswd"}}, **others)
    assert host.accounts(document).summary["problems"] == 0
    assert all(account(host, name)[5] == f"/home/{name}" for name in others)
    assert host.ssh("first.last", "sudo", "-n", "id", "-u", key=alice_key.file).output == "0\n"
    assert host.path("/home/first.last/.ssh/authorized_keys").read_text() == f"{line}\n"
    assert host.accounts(document).summary == {"changed": 0, "problems": 0}
    gone = host.accounts({"members": {}, "removed": ["first.last"]})
    assert {"locked", "sudo", "key removed"} <= set(gone.of("first.last"))
    assert not list(host.path("/etc/sudoers.d").glob("ec2-lab-*"))
    assert not host.ssh("first.last", "true", key=alice_key.file).worked


def test_a_key_opens_an_account_without_a_password_even_where_sshd_asks_no_pam(host, alice_key):
    host.write("/etc/ssh/sshd_config.d/50-cloud-init.conf", "UsePAM no\n")
    host.start_sshd()
    host.accounts(members(alice={"keys": [alice_key.line]}))
    assert host.ssh("alice", "echo", "in", key=alice_key.file).output == "in\n"


def test_a_second_run_changes_nothing_and_says_so(host, alice_key, bob_key):
    document = members(
        alice={"keys": [alice_key.line], "groups": ["sudo"], "shell": "/bin/zsh", "uid": None, "sudo": "nopasswd"},
        bob={"keys": [bob_key.line, alice_key.line], "sudo": "password"},
    )
    host.accounts(document)
    before = host.state()
    told = host.accounts(document)
    assert told.summary == {"changed": 0, "problems": 0}
    assert set(told.of("alice") + told.of("bob")) <= {"skipped"}
    assert host.state() == before


def test_a_check_tells_what_a_run_would_and_changes_nothing(host, alice_key, bob_key):
    host.accounts(members(bob={"keys": [bob_key.line], "sudo": "nopasswd"}))
    document = {**members(alice={"keys": [alice_key.line], "sudo": "nopasswd"}), "make_groups": ["docker"]}
    before = host.state()
    foretold = host.accounts(document, "--check")
    assert host.state() == before
    assert host.accounts(document).changes == foretold.changes
    assert foretold.of("bob") == ["locked", "sudo", "key removed"]


def test_groups_are_exactly_the_listed_ones_and_those_that_others_gave(host, alice_key):
    def bring(*listed):
        return host.accounts(members(alice={"keys": [alice_key.line], "groups": listed}))

    host.run("groupadd", "docker")
    bring("sudo", "docker")
    host.run("usermod", "-aG", "video", "alice")
    host.as_user("alice", "sleep infinity > /dev/null 2>&1 &")
    told = bring("audio", "plugdev-of-nobody")
    assert groups(host, "alice") == {"alice", "video", "audio"}
    assert told.detail("alice", "group added") == "audio"
    assert told.detail("alice", "skipped") == "there is no group plugdev-of-nobody yet; `make users` once there is"
    removed = [detail for _, change, detail in told.changes if change == "group removed"]
    assert [detail.partition(";")[0] for detail in removed] == ["sudo", "docker"]
    assert "1 of their processes still run (loginctl terminate-user alice)" in removed[0]
    bring("audio", "video")
    bring()
    assert groups(host, "alice") == {"alice"}, "what was listed once is the lab's, whoever gave it first"
    assert bring().summary == {"changed": 0, "problems": 0}


def test_authorized_keys_holds_the_listed_keys_and_nothing_else(host, alice_key, bob_key, key_pairs):
    host.accounts(members(alice={"keys": [alice_key.line, bob_key.line]}))
    new = key_pairs("new")
    host.as_user("alice", f"echo 'no-pty {key_pairs('own').line}' >> ~alice/.ssh/authorized_keys")
    host.as_user("alice", f"echo '{key_pairs('second').line}' > ~alice/.ssh/authorized_keys2")
    told = host.accounts(members(alice={"keys": [alice_key.line, new.line]}))
    assert [c[1:] for c in told.changes if c[1] == "key added"] == [("key added", new.fingerprint)]
    assert {c[2] for c in told.changes if c[1] == "key removed"} == {
        bob_key.fingerprint,
        key_pairs("own").fingerprint,
        key_pairs("second").fingerprint,
    }
    assert host.path("/home/alice/.ssh/authorized_keys").read_text() == f"{alice_key.line}\n{new.line}\n"
    assert not host.path("/home/alice/.ssh/authorized_keys2").exists()


@pytest.mark.parametrize(
    "harm",
    [
        "chmod 644 .ssh/authorized_keys",
        "chmod 755 .ssh",
        "chmod 777 .",
        "rm -r .ssh",
        "sed -i 's/^/command=\"true\" /' .ssh/authorized_keys",
        "echo '# a comment' >> .ssh/authorized_keys",
        "chmod 000 .ssh",
    ],
)
def test_keys_that_sshd_would_not_take_are_fixed(host_with_sshd, alice_key, harm):
    host = host_with_sshd
    document = members(alice={"keys": [alice_key.line]})
    host.accounts(document)
    host.as_user("alice", f"cd ~alice; {harm}")
    told = host.accounts(document)
    assert set(told.of("alice")) <= {"keys fixed", "key added"}
    assert told.summary["problems"] == 0
    assert host.path("/home/alice/.ssh/authorized_keys").read_text() == f"{alice_key.line}\n"
    assert mode_and_owner(host, "/home/alice/.ssh") == "700 alice"
    assert mode_and_owner(host, "/home/alice/.ssh/authorized_keys") == "600 alice"
    assert host.ssh("alice", "echo", "in", key=alice_key.file).output == "in\n"
    assert host.accounts(document).summary == {"changed": 0, "problems": 0}


def test_a_home_that_is_gone_and_keys_that_root_made_are_fixed(host_with_sshd, alice_key, bob_key):
    host = host_with_sshd
    document = members(alice={"keys": [alice_key.line]}, bob={"keys": [bob_key.line]})
    host.accounts(document)
    host.run("rm", "-r", "/home/alice")
    host.run("chown", "-R", "root:root", "/home/bob/.ssh")
    told = host.accounts(document)
    assert told.of("alice") == ["home created", "key added"]
    assert told.summary["problems"] == 0
    for name, key in (("alice", alice_key), ("bob", bob_key)):
        assert host.ssh(name, "echo", "in", key=key.file).output == "in\n"


def test_a_shell_that_is_not_installed_is_told_and_the_current_one_kept(host, alice_key):
    told = host.accounts(members(alice={"keys": [alice_key.line], "shell": "/usr/bin/ksh"}))
    assert told.detail("alice", "skipped") == "/usr/bin/ksh is not installed (package ksh); /bin/bash stays"
    told = host.accounts(members(alice={"keys": [alice_key.line], "shell": "/bin/zsh"}))
    assert told.detail("alice", "shell set") == "/bin/zsh (was /bin/bash)"
    host.accounts(members(alice={"keys": [alice_key.line], "shell": "/usr/bin/ksh"}))
    assert account(host, "alice")[-1] == "/bin/zsh"


def test_a_uid_that_is_taken_or_differs_is_a_problem_and_changes_nothing(host, alice_key, bob_key):
    host.accounts(members(alice={"keys": [alice_key.line], "uid": 4001}))
    told = host.accounts(
        members(alice={"keys": [alice_key.line], "uid": 4002}, bob={"keys": [bob_key.line], "uid": 4001})
    )
    assert told.code == 1
    assert "has uid 4001, not 4002" in told.detail("alice", "problem")
    assert told.detail("bob", "problem") == "uid 4001 is alice's; not created"
    assert account(host, "alice")[2] == "4001"
    assert host.run("getent", "passwd", "bob", check=False).returncode != 0


def test_sudo_follows_the_policy(host_with_sshd, alice_key):
    host = host_with_sshd

    def sudo(policy):
        document = members(alice={"keys": [alice_key.line], "groups": ["sudo"], "sudo": policy})
        told = host.accounts(document)
        return told, host.ssh("alice", "sudo", "-n", "id", "-u", key=alice_key.file)

    host.write("/etc/sudoers.d/90-cloud-init-users", "alice ALL=(ALL) NOPASSWD:ALL\n", mode=0o440)
    told, tried = sudo("password")
    assert told.detail("alice", "sudo") == "password"
    assert told.detail("alice", "skipped") == "sudo asks for a password, and there is none yet"
    assert "a password is required" in tried.text
    host.path("/etc/sudoers.d/90-cloud-init-users").unlink()
    assert sudo("nopasswd")[1].output == "0\n"
    told, tried = sudo(None)
    assert told.detail("alice", "sudo") == "taken away"
    assert not tried.worked
    assert not host.path("/etc/sudoers.d/ec2-lab-alice").exists()


def test_a_sudo_rule_of_another_mode_or_content_is_put_right(host, alice_key):
    document = members(alice={"keys": [alice_key.line], "sudo": "password"})
    host.accounts(document)
    host.write("/etc/sudoers.d/ec2-lab-alice", "alice ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)
    assert "sudo" in host.accounts(document).of("alice")
    host.path("/etc/sudoers.d/ec2-lab-alice").chmod(0o666)
    assert "sudo" in host.accounts(document).of("alice")
    assert mode_and_owner(host, "/etc/sudoers.d/ec2-lab-alice") == "440 root"
    assert "NOPASSWD" not in host.path("/etc/sudoers.d/ec2-lab-alice").read_text()
    assert host.run("visudo", "-c").returncode == 0


def test_an_account_that_was_there_is_refused_until_it_is_adopted_and_one_of_the_systems_for_good(host, alice_key):
    host.run("useradd", "--create-home", "--groups", "video", "alice")
    host.run("groupadd", "--system", "ec2-lab")
    host.run("usermod", "-aG", "ec2-lab", "alice")  # a group proves nothing
    host.run("useradd", "--create-home", "ubuntu")
    host.run("useradd", "--system", "builder")
    before = host.state()
    entry = {"keys": [alice_key.line], "shell": "/bin/zsh", "sudo": "nopasswd"}
    told = host.accounts(members(alice=entry))
    assert told.detail("alice", "problem") == (
        "ec2-lab did not create the existing account; not touched (ADOPT=1 takes it over)"
    )
    assert host.state() == before
    told = host.accounts(members(alice=entry, ubuntu=entry, root=entry, builder=entry), "--adopt")
    assert told.of("alice") == ["adopted", "unlocked", "shell set", "key added", "sudo"]
    assert told.detail("builder", "problem") == "this account is the system's; not touched"
    for name in ("root", "ubuntu"):
        assert "images have an account or a group of that name" in told.detail(name, "problem")
    assert account(host, "ubuntu")[-1] == "/bin/sh"
    assert host.accounts(members(alice=entry)).summary == {"changed": 0, "problems": 0}


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("chmod 666 accounts.json", "not root's alone"),
        ("chown alice accounts.json", "not root's alone"),
        ("mv accounts.json real; ln -s real accounts.json", "not root's alone"),
        ("echo '{\"alice\": 3}' > accounts.json", "damaged"),
        ("echo '{' > accounts.json", "damaged"),
    ],
)
def test_marks_that_prove_nothing_change_nothing(host, alice_key, harm, said):
    document = members(alice={"keys": [alice_key.line]})
    host.accounts(document)
    assert mode_and_owner(host, "/var/lib/ec2-lab/accounts.json") == "600 root"
    host.run("sh", "-ec", f"cd /var/lib/ec2-lab; {harm}")
    before = host.state()
    told = host.accounts({"members": {}}, "--purge")
    assert told.code == 1
    assert f"/var/lib/ec2-lab/accounts.json: {said}" in told.detail(None, "problem")
    assert host.state() == before


def test_an_account_of_a_name_that_was_the_labs_is_not_taken_for_it(host, alice_key):
    document = members(alice={"keys": [alice_key.line], "uid": 4001})
    host.accounts(document)
    host.run("userdel", "--remove", "alice")
    host.run("useradd", "--create-home", "--uid", "4002", "alice")
    assert "ec2-lab did not create the existing account" in host.accounts(document).detail("alice", "problem")
    assert host.accounts({"members": {}}, "--purge").changes == []
    assert account(host, "alice")[2] == "4002"


def test_what_comes_with_the_boot_makes_the_same_accounts_as_what_comes_over_ssh(host, alice_key):
    alice = Account(keys=[alice_key.line], groups=["sudo", "audio"], shell="/bin/zsh", uid=4001, sudo="nopasswd")  # noqa: S604 - no shell of ours
    document = AccountsDocument(members={"alice": alice}, make_groups=["docker"]).as_json()
    host.write("/opt/ec2-lab/at-boot", sent("accounts.py", *OVER_SSH), mode=0o755)
    host.write("/etc/ec2-lab/accounts.json", document)
    booted = host.run("/opt/ec2-lab/at-boot", "--at-boot", "/etc/ec2-lab/accounts.json")
    assert "ec2-lab: alice: created /bin/zsh, uid 4001" in booted.stdout
    assert "ec2-lab: accounts: 6 changed, 0 problems" in booted.stdout
    assert host.accounts(document).summary == {"changed": 0, "problems": 0}


def test_one_members_problem_keeps_no_other_from_being_done(host_with_sshd, alice_key, bob_key):
    host = host_with_sshd
    host.run("groupadd", "aaron")  # useradd makes no account whose group is there already
    host.write("/home/berta/theirs", "")
    told = host.accounts(
        members(
            aaron={"keys": [alice_key.line], "sudo": "nopasswd"},
            berta={"keys": [alice_key.line]},
            bob={"keys": [bob_key.line]},
            **{"eve; reboot": {"keys": [alice_key.line]}},
            mallory={"keys": ['command="reboot" ' + alice_key.line]},
        )
    )
    assert told.code == 1
    assert told.of("aaron") == ["problem"]
    assert "a group has this name (gid " in told.detail("aaron", "problem")
    assert "/home/berta belongs to uid 0" in told.detail("berta", "problem")
    assert "a key has text in front of the key" in told.detail("mallory", "problem")
    assert told.of("eve; reboot") == ["problem"]
    assert not host.path("/etc/sudoers.d/ec2-lab-aaron").exists()
    assert host.ssh("bob", "echo", "in", key=bob_key.file).output == "in\n"


def test_only_applies_to_these_alone_and_locks_nobody(host, alice_key, bob_key):
    both = members(alice={"keys": [alice_key.line]}, bob={"keys": [bob_key.line]})
    told = host.accounts({**both, "only": ["alice"]})
    assert {member for member, *_ in told.changes} == {"alice"}
    told = host.accounts({**members(bob={"keys": [bob_key.line]}), "only": ["bob"]})
    assert told.of("alice") == []
    assert account(host, "bob")


def test_two_runs_at_once_wait_for_each_other(host, alice_key, bob_key):
    document = members(alice={"keys": [alice_key.line], "sudo": "nopasswd"}, bob={"keys": [bob_key.line]})
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(host.accounts, [document, document])
    assert sorted([first.summary["changed"], second.summary["changed"]]) == [0, 5]
    assert first.code == second.code == 0


def test_entries_of_a_directory_service_are_none_of_the_instances(host, alice_key):
    for path, entry in (("/etc/passwd", "+::::::"), ("/etc/group", "+:::"), ("/etc/shadow", "+::::::::")):
        host.run("sh", "-ec", f"echo {entry} >> {path}")
    assert host.accounts(members(alice={"keys": [alice_key.line]})).summary == {"changed": 2, "problems": 0}


def test_lines_for_people_come_out_on_the_console(host, alice_key):
    document = json.dumps(members(alice={"keys": [alice_key.line]}, **{"e\x1b[2Jve": {}}))
    lines = host.run("/opt/ec2-lab/accounts", "--console", "-", text=document, check=False).stdout.splitlines()
    assert f"ec2-lab: alice: key added {alice_key.fingerprint}" in lines
    assert lines[-1] == "ec2-lab: accounts: 2 changed, 1 problems"
    assert all(line.isprintable() for line in lines)


def test_a_file_serves_as_well_but_may_hold_no_password(host, alice_key):
    document = members(alice={"keys": [alice_key.line]})
    host.write("/root/members.json", json.dumps(document))
    assert host.run("/opt/ec2-lab/accounts", "/root/members.json").returncode == 0
    host.write("/root/members.json", json.dumps({**document, "passwords": {"alice": "Tr0ub4dor"}}))
    refused = host.run("/opt/ec2-lab/accounts", "/root/members.json", check=False)
    assert refused.returncode == 1
    assert "over standard input only" in refused.stdout
    assert "Tr0ub4dor" not in refused.stdout + refused.stderr


@pytest.mark.parametrize("tool", ["useradd", "visudo"])
def test_a_tool_that_is_not_installed_is_named(host, alice_key, tool):
    host.path(f"/usr/sbin/{tool}").unlink()
    told = host.accounts(members(alice={"keys": [alice_key.line], "sudo": "nopasswd"}))
    assert told.code == 1
    (problem,) = [detail for _, change, detail in told.changes if change == "problem"]
    assert ("Alpine: apk add shadow" if tool == "useradd" else "sudo is not installed") in problem
