"""The private keys that this computer can log in with, whatever wrote them."""

import os
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ec2lab.config.public_key import fingerprint
from ec2lab.hosts.login_check import keys_here
from ec2lab.hosts.own_keys import KeyFile, key_files, own_key_files

OPENSSH = ["-t", "ed25519"]
PEM = ["-t", "ecdsa", "-m", "PEM"]
PKCS8 = ["-t", "ecdsa", "-m", "PKCS8"]


@pytest.fixture
def made(tmp_path):
    """Make a key pair and return its private file and its fingerprint; the public file stays beside it where asked."""

    def make(name, options, passphrase="", *, beside=False):
        path = tmp_path / name
        subprocess.run(["ssh-keygen", "-q", "-a", "1", "-N", passphrase, "-f", path, *options], check=True)
        public = path.with_name(f"{path.name}.pub")
        told = fingerprint(public.read_text())
        if not beside:
            public.unlink()
        return path, told

    return make


@pytest.mark.parametrize(
    ("options", "passphrase", "beside"),
    [
        (OPENSSH, "", False), (OPENSSH, "secret", False), (PEM, "", False), (PEM, "", True), (PEM, "secret", True),
        (PKCS8, "", False), (PKCS8, "secret", True),
    ],
)  # fmt: skip
def test_a_private_key_is_known_by_its_public_half_without_its_passphrase(made, options, passphrase, beside):
    path, told = made("my.key", options, passphrase, beside=beside)
    assert key_files([path]) == [KeyFile(path, told, is_locked=bool(passphrase))]
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert [one.fingerprint for one in key_files([path])] in ([told], []), "OpenSSL takes no CR in some versions"


def test_what_ssh_can_not_use_says_why(made):
    (locked, _), (read_by_all, _) = made("a key", OPENSSH, "secret"), made("b", OPENSSH)
    read_by_all.chmod(0o644)
    first, second = key_files([locked, read_by_all])
    assert first.fault == f"has a passphrase, and is not in the agent: `ssh-add '{locked}'`"
    assert second.fault == f"may be read by others, and so ssh refuses it: `chmod 600 {read_by_all}`"


def test_what_is_no_private_key_is_passed_over(made, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    path, told = made(".ssh/ec2-lab-alice", OPENSSH, beside=True)
    os.mkfifo(tmp_path / ".ssh/agent")
    (tmp_path / ".ssh/dir").mkdir()
    (tmp_path / ".ssh/gone").symlink_to("nowhere")
    (tmp_path / ".ssh/known_hosts").write_text("x ssh-ed25519 AAAA\n" * 10_000)
    assert own_key_files() == [KeyFile(path, told)]
    locked, _ = made(".ssh/pem", PEM, "secret")
    assert [one.path for one in own_key_files()] == [path], "nobody knows the public half of that"
    assert locked.exists()


@given(st.binary(max_size=80), st.sampled_from([b"OPENSSH ", b"RSA ", b""]))
def test_a_damaged_key_is_none(tmp_path_factory, content, kind):
    path = tmp_path_factory.mktemp("keys") / "key"
    path.write_bytes(b"-----BEGIN %sPRIVATE KEY-----\n%s\n" % (kind, content))
    path.chmod(0o600)
    assert key_files([path]) == [] or kind == b"OPENSSH "


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Ask what ssh has for a host by a configuration of this text, in a home of its own."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SSH_AUTH_SOCK", "")

    def ask(text):
        config = tmp_path / "config"
        config.write_text(text)
        return keys_here(config, "somewhere")

    return ask


def test_a_key_that_ssh_would_be_offered_by_the_users_own_configuration_is_seen(made, asked):
    path, told = made("100% mine", OPENSSH)
    here = asked(f'Match host somewhere\n  IdentityFile "{str(path).replace("%", "%%")}"\n')
    assert here.fault("alice", {told}) == ""
    assert here.fault("alice", {"SHA256:other"}).startswith("no private key of alice's is here")
    path.chmod(0o640)
    assert "may be read by others" in asked(f'IdentityFile "{str(path).replace("%", "%%")}"\n').fault("alice", {told})
    locked, of_locked = made("locked", OPENSSH, "secret")
    here = asked(f"IdentityFile {locked}\n")
    assert here.fault("alice", {of_locked}) == (
        f"alice's key {locked} has a passphrase, and is not in the agent: `ssh-add {locked}`"
    )
    assert replace(here, has_passphrases=True).fault("alice", {of_locked}) == ""


@pytest.mark.parametrize(
    "text",
    ["PKCS11Provider /usr/lib/opensc.so\n", "IdentityAgent /run/%%n/agent\n", "ProxyCommand eice %h\n", "Nonsense\n"],
)
def test_nothing_is_said_of_keys_that_cannot_be_seen_from_outside(asked, text):
    assert asked(text) is None


def test_the_agent_that_ssh_asks_is_asked(made, asked, tmp_path, monkeypatch):
    path, told = made("key", OPENSSH)
    socket = tmp_path / "agent"
    started = subprocess.run(["ssh-agent", "-c", "-a", socket], capture_output=True, text=True, check=True).stdout
    try:
        subprocess.run(["ssh-add", "-q", path], env={**os.environ, "SSH_AUTH_SOCK": str(socket)}, check=True)
        path.unlink()
        monkeypatch.setenv("ANOTHER", str(socket))
        assert asked("").fault("alice", {told})
        assert not asked(f"IdentityAgent {socket}\n").fault("alice", {told})
        assert not asked("IdentityAgent $ANOTHER\n").fault("alice", {told})
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        assert not asked("").fault("alice", {told})
        assert not asked("IdentityAgent SSH_AUTH_SOCK\n").fault("alice", {told})
        assert asked("IdentityAgent none\n").fault("alice", {told})
    finally:
        os.kill(int(started.split("SSH_AGENT_PID ")[1].split(";")[0]), 15)
