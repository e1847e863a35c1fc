"""Ports of an instance are reached here, across lost connections, and servers there by who has their secret alone."""

import json
import re
import signal
import socket
import stat
import urllib.error
import urllib.request
from contextlib import contextmanager
from threading import Timer

import pytest

from tests.hosts.instance import reach_elsewhere
from tests.hosts.test_logs import SESSIONS
from tests.waiting import wait_until

WEB = """#!/usr/bin/python3
import http.server, os, sys
arguments = dict(word.partition("=")[::2] for word in sys.argv[1:])
token, prefix = os.environ.get("JUPYTER_TOKEN", ""), arguments.get("--path_prefix", "")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        allowed = self.path == "/lab?token=" + token if token else prefix and self.path.startswith(prefix + "/")
        self.send_response(200 if allowed else 403)
        self.end_headers()
        if allowed:
            self.wfile.write((str(os.getuid()) + " " + os.getcwd() + " " + arguments.get("--logdir", "")).encode())
print("serving", *sys.argv, flush=True)
http.server.HTTPServer(("127.0.0.1", int(arguments["--port"])), Handler).serve_forever()
"""
"""Answers as Jupyter and TensorBoard do, by what both document: the token in JUPYTER_TOKEN, or a path prefix."""


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read().decode()


def event(process, name):
    """The next event of a name that a script prints."""
    deadline = Timer(60, lambda: process.send_signal(signal.SIGKILL))
    deadline.start()
    printed = []
    try:
        for line in process.stdout:
            printed.append(json.loads(line))
            if printed[-1]["event"] == name:
                return printed[-1]
    finally:
        deadline.cancel()
    raise AssertionError(f"no {name}: {printed} {process.stderr.read()}")


@contextmanager
def started(lab, script, **variables):
    """A script until Ctrl-C, which is no failure."""
    process = lab.start(script, EXP="demo", JSON="1", **variables)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "warning" not in err


def serve(host, text):
    """Let the host answer on a port of its loopback; return it."""
    directory = f"/srv/{text}"
    host.write(f"{directory}/index.html", text)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    host.run("sh", "-c", f"cd {directory}; setsid python3 -m http.server --bind 127.0.0.1 {port} >/dev/null 2>&1 &")
    wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
    return port


def test_ports_are_reached_at_the_urls_that_are_printed_also_after_the_connection_was_lost(running, cloud):
    lab, host, variables, instance, _ = running
    first, second = serve(host, "first"), serve(host, "second")  # the network is this computer's: both are taken here
    (lab.path.parent / "home/.ssh/config").open("a").write("Match all\n  LocalForward 1 localhost:1\n")
    with started(lab, "forward", PORTS=f"{first} {second}", **variables) as process:
        told = [event(process, "port-forwarded") for _ in range(2)]
        assert [one["port"] for one in told] == [first, second]
        assert all(one["local_port"] != one["port"] for one in told)
        assert [fetch(one["url"]) for one in told] == ["first", "second"]
        host.run("bash", "-c", SESSIONS)
        lost = event(process, "connection-lost")
        assert lost["reason"]
        cloud.advance(60)
        again = [event(process, "port-forwarded") for _ in range(2)]
        assert [one["url"] for one in again] == [one["url"] for one in told]
        assert [fetch(one["url"]) for one in again] == ["first", "second"]
    accessed = [record["annotation"] for record in lab.records() if "accessed" in (record.get("annotation") or {})]
    assert accessed == [{"accessed": {"hosts": [instance]}}]
    assert socket.socket().connect_ex(("127.0.0.1", told[0]["local_port"])) != 0


@pytest.mark.parametrize("instances", [2], indirect=True)
def test_each_of_several_instances_gets_ports_of_its_own_and_one_that_is_not_reached_is_a_warning(instances):
    lab, host, variables = instances
    port = serve(host, "same")
    reach_elsewhere(lab, "demo-2", 1)
    process = lab.start("forward", PORTS=str(port), JSON="1", **variables)
    told = event(process, "port-forwarded")
    assert (told["host"], fetch(told["url"])) == ("demo-1", "same")
    assert any(line.startswith("warning: demo-2: ") for line in process.stderr)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0
    reach_elsewhere(lab, "demo-2", host.port)
    process = lab.start("forward", PORTS=str(port), JSON="1", **variables)
    found = [event(process, "port-forwarded") for _ in range(2)]
    assert sorted(one["host"] for one in found) == ["demo-1", "demo-2"]
    assert len({one["local_port"] for one in found} | {port}) == 3
    assert [fetch(one["url"]) for one in found] == ["same", "same"]
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) is not None
    assert process.returncode == 0


def test_a_port_where_nothing_listens_is_named_and_a_host_that_is_not_reached_is_an_error(running):
    lab, _, variables, *_ = running
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = probe.getsockname()[1]
    with started(lab, "forward", PORTS=f"{closed}:1", **variables) as process:
        told = event(process, "port-forwarded")
        with pytest.raises(OSError):
            fetch(told["url"])
        assert event(process, "port-refused")["ports"] == [1]
    for ports, said in (("", "PORTS: is empty"), ("88888", "PORTS: '88888' is not a port"), ("a:1", "is not a port")):
        assert said in lab.run("forward", EXP="demo", PORTS=ports, **variables).error
    (lab.path.parent / "home/.ssh/config").write_text("Match host 127.0.0.1\n  Port 1\n")
    ended = lab.run("forward", EXP="demo", PORTS="8888", **variables)
    assert (ended.code, "error: demo: " in ended.err) == (1, True)


@pytest.mark.parametrize(
    ("script", "variables", "path", "logdir"),
    [
        ("jupyter", {}, r"/lab\?token=(\S+)", ""),
        ("tensorboard", {"LOGDIR": "/data/runs"}, r":\d+/(\S+)/", "/data/runs"),
    ],
)
def test_a_server_runs_as_the_experiments_account_behind_a_secret_that_nobody_else_sees(
    running, script, variables, path, logdir
):
    lab, host, member, *_ = running
    host.run("useradd", "--create-home", "--shell", "/bin/bash", "experiment")
    host.as_user("experiment", "echo 'echo welcome; export COLOUR=red' > /home/experiment/.bash_profile")
    ended = lab.run(script, EXP="demo", **variables, **member)
    assert ended.code == 1
    missing = f"demo: {script} is not installed for experiment; `make exec HOST=demo CMD='sudo -iu experiment"
    assert missing in ended.err
    host.write(f"/usr/local/bin/{script}", WEB, mode=0o755)
    with started(lab, script, **variables, **member) as process:
        server = event(process, "server-started")
        assert (server["account"], server["already_running"]) == ("experiment", False)
        url = event(process, "port-forwarded")["url"]
        uid = host.run("id", "-u", "experiment").stdout.strip()
        assert fetch(url) == f"{uid} /home/experiment {logdir}"
        (secret,) = re.findall(path, url)
        assert len(secret) == 32
        with pytest.raises(urllib.error.HTTPError):
            fetch(url.replace(secret, "guess"))
    assert secret not in host.run("ps", "-eww", "-o", "args").stdout
    files = host.run("grep", "-rls", secret, "/run", "/var/log", "/tmp", "/home", "/root", check=False).stdout.split()
    assert all(stat.S_IMODE(host.path(file).stat().st_mode) == 0o600 for file in files), files
    assert secret not in lab.registry.read_text()
    with started(lab, script, **variables, **member) as process:
        assert event(process, "server-started")["already_running"]
        assert event(process, "port-forwarded")["url"].endswith(url.rpartition(":")[2].partition("/")[2])
    host.run("pkill", "-f", "lab|logdir", check=False)


SLOW = """#!/bin/sh
for word; do case $word in --port=*) echo "${word#--port=}" > /tmp/port;; esac; done
sleep 3; echo the port is taken >&2; exit 1
"""
OTHER = "import socket, time; taken = socket.create_server(('127.0.0.1', int(open('/tmp/port').read()))); time.sleep(9)"


def test_a_port_that_another_user_takes_before_the_server_gets_no_secret(running):
    lab, host, variables, *_ = running
    host.write("/usr/local/bin/jupyter", SLOW, mode=0o755)
    process = lab.start("jupyter", EXP="demo", **variables)
    wait_until(lambda: host.path("/tmp/port").exists() and host.path("/tmp/port").read_text().endswith("\n"))
    host.run("sh", "-c", f'setsid python3 -c "{OTHER}" >/dev/null 2>&1 &')
    out, err = process.communicate()
    assert (process.returncode, out) == (1, "")
    assert "the port is taken" in err


def test_a_server_that_does_not_start_is_an_error_with_the_end_of_its_log(running):
    lab, host, variables, *_ = running
    host.write("/usr/local/bin/jupyter", "#!/bin/sh\necho no kernel >&2; exit 3\n", mode=0o755)
    ended = lab.run("jupyter", EXP="demo", **variables)
    assert ended.code == 1
    assert "jupyter did not start as alice" in ended.err
    assert "no kernel" in ended.err
