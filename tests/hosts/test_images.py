"""The lab's programs on what the images of other distributions bring along."""

import pytest

from tests.hosts.debian_root import debian_root
from tests.hosts.host import Host
from tests.hosts.images import IMAGES


@pytest.fixture(params=IMAGES)
def image(request):
    """An image, one after the other."""
    return IMAGES[request.param]


@pytest.fixture
def running(request, image, tmp_path):
    """A host with an image's files, its sshd running."""
    request.getfixturevalue("debian")  # where there can be no host it says so
    (tmp_path / "host").mkdir()
    made = Host(debian_root(release=image.release), tmp_path / "host")
    image.lay_on(made)
    made.start_sshd()
    yield made
    made.stop()


def test_members_log_in_and_the_images_default_user_stays_closed(running, image, alice_key, bob_key):
    host = running
    entries = {
        "alice": {"keys": [alice_key.line], "groups": ["sudo", "docker"], "sudo": "nopasswd"},
        "bob": {"keys": [bob_key.line], "groups": []},
    }
    document = {"members": entries, "make_groups": ["docker"]}
    before = host.run("grep", f"^{image.user}:", "/etc/shadow").stdout

    made = host.accounts(document)
    assert made.summary["problems"] == 0, made.text
    assert "skipped" not in made.of("alice"), "its rule for sudo needs no group"
    again = host.accounts(document)
    assert again.lines == [], again.text

    hardened = host.harden("apply", "--account", "alice")
    assert hardened.code == 0, hardened.text
    assert "passwordauthentication no\n" in host.run("/usr/sbin/sshd", "-T").stdout
    assert image.user not in hardened.text, "no key opens it"

    assert (
        host.ssh(
            "alice", "sudo", "-n", "python3", "-I", "-c", "import os; print(os.getuid())", key=alice_key.file
        ).output
        == "0\n"
    )
    assert host.ssh("bob", "sudo", "-n", "true", key=bob_key.file).worked is False
    assert host.run("stat", "-c", "%a %U %G", "/home/alice").stdout == f"{image.home_mode} alice alice\n"
    assert host.ssh(image.user, "true", key=alice_key.file).refused
    assert host.ssh(image.user, "true", password="").refused
    assert host.run("grep", f"^{image.user}:", "/etc/shadow").stdout == before


@pytest.mark.every_release
def test_a_key_that_an_image_brings_for_an_account_of_its_own_is_named(host, alice_key, bob_key):
    """As an image has it that was made from an instance with a key pair. Closed accounts are nothing to name."""
    kinds = {"ubuntu": [], "gone": ["--expiredate", "1970-01-02"], "service": ["--shell", "/usr/sbin/nologin"]}
    for name, options in kinds.items():
        host.run("useradd", "--create-home", "--shell", "/bin/bash", *options, name)
        host.as_user(name, f"mkdir ~{name}/.ssh; echo '{bob_key.line}' >~{name}/.ssh/authorized_keys")
    document = {"members": {"alice": {"keys": [alice_key.line]}}}
    told = host.accounts(document)
    assert told.summary == {"changed": 2, "problems": 0}
    assert [name for name, change, _ in told.changes if change == "open"] == ["ubuntu"]
    assert bob_key.fingerprint in told.detail("ubuntu", "open")
    assert host.accounts(document).summary == {"changed": 0, "problems": 0}
    assert not host.accounts({**document, "only": ["alice"]}).of("ubuntu"), "nobody else's business"
    host.run("rm", "/home/ubuntu/.ssh/authorized_keys")
    assert host.accounts(document).lines == []
