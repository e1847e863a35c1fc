"""Nobody gets a number that another has, names, or left files under."""

import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def bring(host, alice_key):
    """Brings an instance to members by name, each with what else the entry says."""

    def bring(entries, *options, **more):
        members = {name: {"keys": [alice_key.line], **entry} for name, entry in entries.items()}
        return host.accounts({"members": members, **more}, *options)

    return bring


def uid(host, name):
    return int(host.run("id", "-u", name).stdout)


def test_members_who_name_a_uid_get_it_before_others_could_and_nobody_gets_one_that_is_named(host, bring):
    entries = {"aaron": {}, "berta": {}, "zoe": {"uid": 1001}}
    assert bring(entries, only=["aaron"], reserved=[1002]).code == 0
    assert uid(host, "aaron") == 1000
    told = bring(entries, reserved=[1002])
    assert (told.code, [member for member, change, _ in told.changes if change == "created"]) == (0, ["zoe", "berta"])
    assert (uid(host, "zoe"), uid(host, "berta")) == (1001, 1003)
    assert bring(entries, reserved=[1002]).summary == {"changed": 0, "problems": 0}


def test_who_has_a_uid_or_a_gid_is_said(host, bring):
    host.run("useradd", "--uid", "1500", "ubuntu")
    host.run("useradd", "--system", "--uid", "61234", "service")
    host.run("groupadd", "--gid", "4001", "data")
    told = bring({"alice": {"uid": 1500}, "bob": {"uid": 61234}, "carol": {"uid": 4001}})
    assert told.detail("alice", "problem") == "uid 1500 is ubuntu's; not created"
    assert told.detail("bob", "problem") == "uid 61234 is service's; not created"
    assert told.detail("carol", "created") == "/bin/bash, uid 4001, not gid 4001, which is data's"
    assert (uid(host, "carol"), told.summary["problems"]) == (4001, 2)
    again = bring({"alice": {"uid": 1500}, "bob": {"uid": 61234}, "carol": {"uid": 4001}})
    assert again.summary == {"changed": 0, "problems": 2}
    before = host.state()
    twice = bring({"dora": {"uid": 4002}, "emil": {"uid": 4002}, "fred": {}})
    assert twice.detail(None, "problem") == "dora and emil both name uid 4002: give one of them another"
    assert host.state() == before


def test_files_of_one_who_was_here_are_given_to_nobody_but_who_comes_back(host, bring):
    for name, owner in (("mallory", "1700"), ("dora", "1800"), ("erik", "1900")):
        host.run("install", "-d", "-o", owner, "-g", owner, f"/home/{name}")
    entries = {"alice": {}, "bob": {"uid": 1700}, "dora": {}, "erik": {"uid": 5000}}
    told = bring(entries)
    assert uid(host, "dora") == 1800, "her home waits for her"
    assert uid(host, "alice") == 1901
    assert told.detail("bob", "created") == "/bin/bash, uid 1700, which owns the home mallory too"
    assert told.detail("erik", "problem") == (
        "key added: /home/erik belongs to uid 1900, not to erik (5000): chown it if that is right"
    )
    host.run("chown", "-R", "erik:", "/home/erik")
    assert bring(entries).of("erik") == ["key added"]
    assert bring(entries).summary == {"changed": 0, "problems": 0}


@pytest.mark.parametrize("order", ["kill -9 $PPID; exit 1", '"$0.real" "$@"; kill -9 $PPID'])
def test_a_run_that_is_killed_while_it_makes_an_account_is_completed_by_the_next(host, bring, order):
    useradd, real = host.path("/usr/sbin/useradd"), host.path("/usr/sbin/useradd.real")
    useradd.rename(real)
    host.write("/usr/sbin/useradd", f"#!/bin/sh\n{order}\n", mode=0o755)
    with pytest.raises(AssertionError):  # it says nothing, not even how much it did
        bring({"alice": {"sudo": "nopasswd"}})
    real.rename(useradd)
    told = bring({"alice": {"sudo": "nopasswd"}})
    assert told.code == 0, told.text
    assert told.of("alice")[-2:] == ["key added", "sudo"]
    assert bring({"alice": {"sudo": "nopasswd"}}).summary == {"changed": 0, "problems": 0}
    assert bring({}, "--purge").of("alice") == ["purged"], "it is the lab's"


@pytest.mark.skipif(not shutil.which("gcc"), reason="the directory service is compiled: apt-get install gcc")
def test_names_and_uids_of_a_directory_service_are_its_own(host, bring):
    library = host.path("/usr/lib/x86_64-linux-gnu") / "libnss_directory.so.2"
    library = library if library.parent.exists() else host.path("/usr/lib/aarch64-linux-gnu") / library.name
    source = Path(__file__).with_name("nss_directory.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    host.run("sed", "-i", "s/^passwd:.*/passwd: files directory/", "/etc/nsswitch.conf")
    assert host.run("getent", "passwd", "4200").stdout.startswith("erik:")
    told = bring({"erik": {}, "alice": {"uid": 4200}, "bob": {}})
    assert told.detail("erik", "problem") == "this name comes from a directory service, not from /etc/passwd"
    assert told.detail("alice", "problem") == "uid 4200 is erik's; not created"
    assert told.of("bob") == ["created", "key added"]
    assert bring({"erik": {}, "alice": {"uid": 4200}, "bob": {}}).summary == {"changed": 0, "problems": 2}
