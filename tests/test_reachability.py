"""A host that cannot be reached is reported in one line with what to do, by every command that takes HOST."""

import re
import socket
from threading import Event

import pytest

from ec2lab.errors import UserError
from ec2lab.hosts.forwarding import Port, Tunnel
from ec2lab.hosts.reachability import REMEDIES, explain
from ec2lab.hosts.ssh import Host
from tests.test_config import KEY

COMMANDS = (
    "ssh",
    "users",
    "volume_mount",
    "volume_unmount",
    "snapshot_create",
    "user_add",
    "user_remove",
    "exec",
    "push",
    "forward",
)
PRINTED = {
    "ssh: Could not resolve hostname nope: Name or service not known": "`make status` lists",
    "ssh: connect to host 192.0.2.1 port 22: Connection refused": "sshd does not run there",
    "ssh: connect to host 192.0.2.1 port 22: Connection timed out": "it is stopped, or no security group",
    "ssh: connect to host 192.0.2.1 port 22: Operation timed out": "it is stopped, or no security group",
    "ssh: connect to host 192.0.2.1 port 22: No route to host": "check your network",
    "kex_exchange_identification: read: Connection reset by peer": "sshd may be starting",
    "Connection closed by 192.0.2.1 port 22": "sshd may be starting",
    "Received disconnect from 192.0.2.1 port 22:2: Too many authentication failures": "`ssh-add -D`",
    "No ED25519 host key is known for there.\r\nHost key verification failed.": "log in once by hand (`ssh there`)",
    "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.": "is not the one that",
    "alice@192.0.2.1: Permission denied (publickey).": "none of your keys opens an account",
}


@pytest.mark.parametrize(("printed", "told"), PRINTED.items())
def test_what_ssh_prints_is_explained_with_a_remedy(printed, told):
    assert told in explain("there", printed)
    assert "denied" not in explain("there", printed)


def test_every_remedy_is_for_something_that_ssh_prints_and_the_rest_is_quoted():
    assert all(any(re.search(pattern, printed) for printed in PRINTED) for pattern in REMEDIES)
    assert explain("there", "first\nssh: something new\n\n") == "ssh: something new"
    assert explain("there", "") == "ssh could not connect"


@pytest.mark.parametrize("script", COMMANDS)
def test_a_host_that_nobody_knows_is_named_with_what_may_be_meant(lab, script):
    lab.write("members/alice.toml", f'keys = ["{KEY}"]\n')
    name, home = "bob" if script.startswith("user_") else "", str(lab.path / "home")
    takes = {"MOUNT": "/x", "DATASET": "speech", "CMD": "ls", "SOURCE": "lab.toml", "DEST": "/x", "PORTS": "8888"}
    ended = lab.run(script, HOST="demoo.invalid", NAME=name, HOME=home, **takes)
    assert ended.code == 1
    assert ended.error == (
        "error: HOST: 'demoo.invalid' is not an experiment or an instance of this lab, and neither DNS nor "
        "~/.ssh/config knows it (`make status` lists hosts)"
    )
    assert not (lab.path / "members/bob.toml").exists(), "a member is added once the host is known"


def test_a_refused_port_is_explained_and_ssh_is_quoted_with_debug(lab):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    lab.write("home/.ssh/config", f"Host there\n  HostName 127.0.0.1\n  Port {port}\n")
    home = str(lab.path / "home")
    for script in ("ssh", "volume_unmount"):
        ended = lab.run(script, HOST="there", MOUNT="/x", HOME=home)
        assert ended.error.startswith("error: there: it refuses ssh connections: sshd does not run there"), script
    told = lab.run("volume_unmount", HOST="there", MOUNT="/x", HOME=home, DEBUG="1").err
    assert f"  ssh printed: ssh: connect to host 127.0.0.1 port {port}: Connection refused" in told


def test_a_tunnel_gives_up_a_host_that_never_lets_it_in(tmp_path):
    config = tmp_path / "config"
    config.write_text("Host there\n  ProxyCommand sleep 60\n  ConnectTimeout 60\n")
    tunnel = Tunnel(Host("there", config, timeout=0.2), [Port(1, 1)], emit=print, stop=Event())
    with pytest.raises(UserError, match=r"^there: no connection within 0\.2 s$"):
        tunnel.run()
