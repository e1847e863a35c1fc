"""Programs of ours run through each release's sshd, sudo and Python, and each release's ssh takes what it is told."""

import pytest

from ec2lab.hosts import ssh_config, ssh_options
from ec2lab.hosts.ssh import Host as Way
from ec2lab.hosts.ssh_config import SshConfig, SshTarget
from tests.hosts.host import QUICK
from tests.hosts.noise import for_terminals, make_noisy
from tests.hosts.test_login_shells import ARGUMENTS, PROGRAM, SAID

ASKED = {
    "requesttty": "false", "permitlocalcommand": "no", "controlmaster": "false", "clearallforwardings": "yes",
    "forwardagent": "no", "batchmode": "yes", "stricthostkeychecking": "true", "escapechar": "none",
    "serveraliveinterval": "15", "nohostauthenticationforlocalhost": "no", "connecttimeout": "15", "user": "carol",
}  # fmt: skip
SINCE_8_7 = {"sessiontype": "default", "stdinnull": "no", "forkafterauthentication": "no"}
NEW = ("StdinNull", "SessionType", "ForkAfterAuthentication", "KnownHostsCommand")
pytestmark = pytest.mark.every_release


def test_a_program_runs_as_it_is(host_with_sshd, tmp_path, key_pairs):
    host, key = host_with_sshd, key_pairs("carol")
    host.accounts({"members": {"carol": {"keys": [key.line], "sudo": "nopasswd", "shell": "/bin/bash"}}})
    make_noisy(host, "/bin/bash")
    (tmp_path / "config").write_text(
        f"Host there\n  HostName 127.0.0.1\n  Port {host.port}\n  User carol\n  {QUICK}\n  IdentityFile {key.file}\n"
        f"  UserKnownHostsFile {tmp_path / 'known_hosts'}\n"
    )
    way = Way("there", tmp_path / "config")
    assert way.run_as_root(PROGRAM, *ARGUMENTS, given=b"given\0\xff\n") == SAID


def test_its_ssh_takes_what_it_is_told_over_a_configuration_for_terminals(host, tmp_path, monkeypatch):
    version = ssh_options.version_in(host.run("ssh", "-V").stderr)
    assert version > (8, 0)
    for module in (ssh_config, ssh_options):
        monkeypatch.setattr(module, "client_version", lambda: version)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    files = SshConfig(tmp_path / "lab")
    files.write("demo", [SshTarget("demo", "127.0.0.1", "i-1", "us-east-1")], "carol")
    block = (tmp_path / "lab/.ssh/hosts/demo").read_text()
    settings = for_terminals("/tmp").splitlines()
    settings += ["  KnownHostsCommand /usr/bin/false"]
    own = [line for line in settings if version >= (8, 7) or not line.strip().startswith(NEW)]
    host.write("/root/config", "\n".join([block, *own, ssh_config.DEFAULTS]))
    told = host.run(
        "ssh", "-G", "-F", "/root/config", *ssh_options.forced_options("yes"), "--", "demo", "/bin/sh"
    ).stdout
    found = dict(line.split(" ", 1) for line in told.splitlines() if " " in line)
    wanted = ASKED | (SINCE_8_7 if version >= (8, 7) else {})
    assert {name: found.get(name) for name in wanted} == wanted
    assert found.get("remotecommand", "none") == "none"
    assert not {"localforward", "knownhostscommand"} & found.keys()
