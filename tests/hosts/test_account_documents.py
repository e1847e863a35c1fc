"""What a document may say, and what is planned from it: no instance is needed."""

import base64
import contextlib
import json
import pathlib
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ec2lab.config.models import Member
from tests.hosts.program import program

accounts = program("accounts")
KEY = "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + b"k" * 32).decode()
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
PART = st.sampled_from(["keys", "groups", "shell", "uid", "sudo"])
HOSTILE = st.sampled_from(
    ['"', "'", "\n", ";", "$(reboot)", "`id`", "\0", "\r", ":", "{{ 7 }}", "/../", "-", "\x1b[2J", "\x85"]
)


def read(document):
    return accounts.read_document(json.dumps(document), secrets=True)


def instance(*there, **more):
    return accounts.Instance({one.name: one for one in there}, groups={"ec2-lab": 990, "sudo": 27}, rules={}, **more)


def steps(change):
    return [list(step.command) if isinstance(step, accounts.Run) else step for step in change.steps]


@given(st.text() | ANYTHING.map(json.dumps))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(accounts.Refused):
        accounts.read_document(text, secrets=True)


@given(st.dictionaries(st.text() | st.just("alice"), st.dictionaries(PART, ANYTHING) | ANYTHING, max_size=3))
def test_every_listed_name_is_read_or_refused_by_name(members):
    document = read({"members": members})
    assert document.members.keys() | document.refused.keys() == members.keys()
    assert not document.members.keys() & document.refused.keys()


@given(st.text(max_size=5), HOSTILE, st.text(max_size=5))
def test_names_groups_shells_and_policies_hold_nothing_but_plain_characters(before, hostile, after):
    text = before + hostile + after
    entries = {
        "eve" + text: {},
        "g": {"groups": [f"g{text}"]},
        "s": {"shell": f"/bin/{text}"},
        "p": {"sudo": text},
        "k": {"keys": [text + KEY]},
        "l": {"keys": [KEY.replace(" ", hostile)]},
    }
    document = read({"members": entries})
    # Only "-" is among these a character that a name or shell may have; what surrounds a line is no part of it.
    allowed = {"g", "s", "eve" + text} if hostile == "-" else set()
    assert {name for name, member in document.members.items() if member.keys != (KEY,)} <= allowed


@given(st.text(max_size=60))
def test_a_comment_keeps_its_key_on_one_line(comment):
    document = read({"members": {"alice": {"keys": [f"{KEY} {comment}"]}}})
    for member in document.members.values():
        (line,) = member.keys
        assert len(line.splitlines()) == 1
        assert accounts.fingerprint_in(line) == accounts.fingerprint(KEY)


@pytest.mark.parametrize(
    "line",
    [
        f'command="reboot" {KEY}',
        f"no-pty {KEY}",
        f"{KEY} a\n{KEY} b",
        f"{KEY} a\rb",
        f"# {KEY}",
        KEY.replace("ed25519 ", "rsa "),
        KEY.replace("ssh-ed25519", "ssh-dss"),
        KEY[:-8],
        "ssh-ed25519",
        "",
    ],
)
def test_what_is_not_one_plain_key_is_refused(line):
    assert read({"members": {"alice": {"keys": [line]}}}).refused.keys() == {"alice"}


@pytest.mark.parametrize(("bits", "taken"), [("1024", False), ("2048", True)])
def test_a_weak_rsa_key_is_refused(tmp_path, bits, taken):
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", bits, "-N", "", "-f", tmp_path / "key"], check=True)
    document = read({"members": {"alice": {"keys": [(tmp_path / "key.pub").read_text().strip()]}}})
    assert (document.members.keys() == {"alice"}) is taken


def test_whatever_key_a_member_file_may_hold_the_program_takes(alice_key):
    member = Member(keys=[alice_key.line])
    assert read({"members": {"alice": {"keys": member.keys, "groups": member.groups, "shell": member.shell}}}).members


def test_a_fingerprint_is_the_one_that_ssh_keygen_shows(alice_key):
    assert accounts.fingerprint_in(alice_key.line) == alice_key.fingerprint
    assert accounts.fingerprint_in(f'command="x y",no-pty {alice_key.line}') == alice_key.fingerprint
    assert accounts.fingerprint_in(f"# {alice_key.line}") is None


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"members": []},
        {"members": {}, "member": {}},
        {"members": {}, "only": ["alice"]},
        {"members": {"alice": {}}, "removed": ["alice"]},
        {"members": {}, "removed": ["a;b"]},
        {"members": {}, "make_groups": ["docker\nroot"]},
        {"members": {}, "make_groups": "docker"},
        {"members": {"alice": {}}, "passwords": {"alice": "a\nroot:b"}},
        {"members": {}, "passwords": {"root": "toor"}},
        {"members": {}, "reserved": ["4001"]},
        {"members": {"alice": {"uid": 4001}, "bob": {"uid": 4001}}},
    ],
)
def test_a_document_that_is_not_clear_is_refused_as_a_whole(document):
    with pytest.raises(accounts.Refused):
        read(document)


@pytest.mark.parametrize("uid", [0, 999, 65534, -1, 2**31, "1000", True, 1000.0])
def test_a_uid_of_the_systems_is_refused(uid):
    assert read({"members": {"alice": {"uid": uid}}}).refused


def test_the_plan_for_a_new_member_is_the_commands_that_make_one():
    document = read({"members": {"alice": {"keys": [KEY], "groups": ["sudo"], "uid": 4001, "sudo": "nopasswd"}}})
    made, recorded, group, keys, sudo = accounts.plan(document, instance(), purge=False)
    assert steps(made) == [accounts.MakeAccount("alice", "/bin/bash", 4001, frozenset({4001}))]
    assert (recorded.change, steps(recorded)) == ("", [accounts.SetMark("alice", made=True, groups=("sudo",))])
    assert steps(group) == [["usermod", "--append", "--groups", "sudo", "--", "alice"]]
    assert steps(keys) == [accounts.SetKeys("alice", (KEY,))]
    assert steps(sudo) == [accounts.SetRule("alice", "alice ALL=(ALL:ALL) NOPASSWD: ALL\n")]


def test_a_password_is_in_no_representation_of_a_plan():
    document = read({"members": {"alice": {}}, "passwords": {"alice": "Tr0ub4dor"}})
    planned = list(accounts.plan(document, instance(), purge=False))
    assert [step.text for change in planned for step in change.steps if isinstance(step, accounts.Run) and step.text]
    assert "Tr0ub4dor" not in repr((document, planned))


@pytest.mark.parametrize("name", ["root", "toor", "ubuntu", "ec2-user", "daemon", "nobody"])
def test_an_account_of_the_systems_is_in_no_plan(name):
    uid = {"root": 0, "toor": 0, "daemon": 1, "nobody": 65534}.get(name, 1000)
    there = accounts.Account(name, uid, uid, f"/home/{name}", "/bin/bash", groups=frozenset({"users"}))
    settled = list(
        accounts.plan(read({"members": {name: {"sudo": "nopasswd"}}}), instance(there), purge=True, adopt=True)
    )
    removed = list(accounts.plan(read({"members": {}, "removed": [name]}), instance(there), purge=True))
    assert [change.change for change in settled + removed] == ["problem", "skipped"]


def test_not_even_a_mark_makes_a_second_root_the_labs():
    toor = accounts.Account("toor", 0, 0, "/root", "/bin/sh", mark=accounts.Mark(0, made=True))
    (change,) = accounts.plan(read({"members": {}, "removed": ["toor"]}), instance(toor), purge=True)
    assert change.change == "skipped"


def test_two_accounts_of_one_uid_are_not_purged():
    twins = [
        accounts.Account(name, 1001, 1001, f"/home/{name}", "/bin/sh", mark=mark)
        for name, mark in [("bob", accounts.Mark(1001, made=True)), ("carol", None)]
    ]
    planned = list(accounts.plan(read({"members": {}}), instance(*twins), purge=True))
    assert [change.change for change in planned] == ["locked", "problem"]
    assert planned[1].detail == "not purged: carol has the same uid"


def test_a_name_of_a_directory_service_is_a_problem():
    (change,) = accounts.plan(read({"members": {"dora": {}}}), instance(elsewhere=frozenset({"dora"})), purge=False)
    assert change.change == "problem"


FILE = "/data/alice/.ssh/authorized_keys"
HINT = "give homes there their label: `semanage fcontext -a -e /home /data`"


@pytest.mark.parametrize(
    ("label", "fault"),
    [
        ("unconfined_u:object_r:ssh_home_t:s0", ""),
        ("system_u:object_r:nfs_t:s0", ""),
        ("unconfined_u:object_r:default_t:s0", f"SELinux has {FILE} as default_t; {HINT}"),
        ("", ""),
    ],
)
def test_a_label_that_keeps_sshd_from_the_keys_is_named_where_selinux_enforces(tmp_path, monkeypatch, label, fault):
    enforcing = tmp_path / "enforce"
    monkeypatch.setattr(accounts, "SELINUX", enforcing)
    monkeypatch.setattr(accounts.os, "getxattr", lambda *_: label.encode() + b"\0", raising=False)
    for enforces, said in (("1", fault), ("0", "")):
        enforcing.write_text(enforces)
        assert accounts.label_fault(pathlib.Path(FILE)) == said
    enforcing.unlink()
    assert accounts.label_fault(pathlib.Path(FILE)) == ""
