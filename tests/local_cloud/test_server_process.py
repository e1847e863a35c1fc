"""The local cloud's process: one for a directory, found, replaced when dead, ended."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from ec2lab.aws import local_server
from ec2lab.aws.local_server import REPOSITORY, ensure_running, running, stop
from ec2lab.errors import UserError
from local_cloud.ssh_stand_in import sshd
from tests.local_cloud.requests import every_instance, run
from tests.local_cloud_client import LocalCloud
from tests.waiting import wait_until


@pytest.fixture
def directory(tmp_path):
    """A directory whose local cloud, if any, ends with the test."""
    path = tmp_path / ".local-cloud"
    yield path
    stop(path)


@pytest.fixture
def address(directory):
    """The address of a server that runs in the directory."""
    ensure_running(directory)
    return json.loads((directory / "server.json").read_text())


@pytest.fixture
def stranger():
    """The port of somebody else's HTTP server."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'["hello"]')

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def ended(pid, patience=5.0):
    """Wait for the end of a process that this one may have started: then it is a zombie."""

    def over():
        try:
            return os.waitpid(pid, os.WNOHANG)[0] == pid
        except ChildProcessError:
            return not Path(f"/proc/{pid}").exists()

    return wait_until(over, patience)


def script(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "local_cloud", *arguments], cwd=cwd, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip


def test_many_at_once_start_one_server_and_its_files_are_for_their_owner_alone_whatever_the_umask(directory):
    directory.mkdir()
    directory.chmod(0o777)
    (directory / "server.log").touch(0o666)
    umask = os.umask(0)
    try:
        with ThreadPoolExecutor(4) as threads:
            urls = set(threads.map(ensure_running, [directory] * 4))
    finally:
        os.umask(umask)
    assert len(urls) == 1
    assert running(directory) in urls
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    names = {"server.json", "aws-config", "server.log", "lock", "account", "clock"}
    stand_ins = {"ssh-config", "ssh_key", "ssh_key.pub"} if sshd() else set()
    assert modes == dict.fromkeys(names | stand_ins, 0o600)
    assert json.loads((directory / "server.json").read_text()).keys() == {"pid", "port", "url", "secret"}


def test_finding_a_server_that_runs_is_cheap(cloud, cloud_directory):
    took = []
    for _ in range(20):
        began = time.perf_counter()
        assert ensure_running(cloud_directory).url == cloud.url
        took.append(time.perf_counter() - began)
    assert min(took) < 0.005


def test_a_connection_stays_open_whatever_is_asked_on_it(cloud, cloud_directory):
    port = json.loads((cloud_directory / "server.json").read_text())["port"]
    connection = HTTPConnection("127.0.0.1", port)
    connection.connect()
    ours = connection.sock
    for method, path, body in (("GET", "/lab/health?1", None), ("POST", "/", b"x" * 100_000), ("HEAD", "/a/b", None)):
        connection.request(method, path, body)
        answer = connection.getresponse()
        assert len(answer.read()) == (0 if method == "HEAD" else int(answer.headers["Content-Length"]))
        assert connection.sock is ours, f"{method} {path}"
    connection.close()


def test_a_proxy_of_the_environment_is_not_asked(cloud, cloud_directory, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert running(cloud_directory).url == cloud.url


def test_a_killed_server_is_replaced_and_one_that_hangs_is_not_killed_and_ends_by_itself_once_it_can(
    directory, address
):
    os.kill(address["pid"], signal.SIGKILL)
    second = ensure_running(directory)
    assert second.url != address["url"]
    os.kill(second.pid, signal.SIGSTOP)
    local_server.TIMEOUT, timeout = 0.1, local_server.TIMEOUT
    try:
        assert stop(directory) is False
    finally:
        local_server.TIMEOUT = timeout
    os.kill(second.pid, signal.SIGCONT)
    assert ended(second.pid)


def test_a_port_that_is_somebody_elses_by_now_is_not_taken_for_ours_and_ours_ends_with_its_directory(
    directory, stranger
):
    directory.mkdir()
    stale = {"secret": "0", "pid": os.getpid(), "port": stranger, "url": f"http://127.0.0.1:{stranger}"}
    (directory / "server.json").write_text(json.dumps(stale))
    assert running(directory) is None
    assert stop(directory) is False  # our own process, whose id it names, lives on
    ours = ensure_running(directory)
    assert ours.url != stale["url"]
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    assert ended(ours.pid)


@pytest.mark.parametrize("text", ["", "[]", "{}", "{"])
def test_an_address_that_is_none_counts_as_no_server(directory, text):
    directory.mkdir()
    (directory / "server.json").write_text(text)
    assert running(directory) is None


def test_stop_where_nothing_ever_ran_makes_nothing(directory):
    assert stop(directory) is False
    assert not directory.exists()


def test_a_server_goes_on_where_its_directory_moves_until_it_is_stopped_there(directory, address):
    moved = directory.with_name("elsewhere")
    directory.rename(moved)
    try:
        assert running(moved).url == address["url"]
        assert ensure_running(moved).url == address["url"]
    finally:
        stopped = stop(moved)
    assert stopped is True
    assert ended(address["pid"])
    assert stop(moved) is False


def test_a_server_that_does_not_come_up_says_its_last_line(directory, monkeypatch):
    monkeypatch.setattr(local_server, "REPOSITORY", directory.parent)
    with pytest.raises(UserError, match=r"server\.log: the local cloud did not start: .*No module named"):
        ensure_running(directory)
    assert running(directory) is None


def test_without_moto_it_says_how_to_fix_that(directory, monkeypatch):
    monkeypatch.setattr(local_server.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs moto"):
        ensure_running(directory)


def test_start_and_stop_can_each_be_said_twice_from_anywhere(tmp_path):
    first, again = script("start", cwd=tmp_path), script("start", cwd=tmp_path)
    assert first.stdout == again.stdout
    assert first.stdout.startswith("local cloud on http://127.0.0.1:")
    assert first.stdout.endswith("nothing here is real or billed\n")
    assert first.stdout.count("\n") == 1
    assert script("stop", cwd=tmp_path).stdout.startswith("local cloud stopped")
    assert script("stop", cwd=tmp_path).stdout == "no local cloud was running\n"


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"/file/.*: can't be "):
        ensure_running(tmp_path / "file" / ".local-cloud")


@pytest.mark.parametrize("name", ["lock", "server.log"])
def test_a_file_that_cannot_be_written_is_named(directory, name):
    (directory / name).mkdir(parents=True)
    with pytest.raises(UserError, match=rf"/{name}: can't be written: Is a directory"):
        ensure_running(directory)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A directory in which a command, which is over, started a second local cloud."""
    directory = tmp_path_factory.mktemp("elsewhere")
    assert script("start", cwd=directory).returncode == 0
    yield directory
    stop(directory / ".local-cloud")


def instances_of(directory):
    return every_instance(LocalCloud(running(directory / ".local-cloud")).client("ec2", "us-east-1"))


def test_it_starts_with_the_demos_scenario(elsewhere):
    scenario = LocalCloud(running(elsewhere / ".local-cloud")).ask("GET", "scenario")
    assert (scenario["latency"], scenario["pending"], scenario["shutting_down"]) == (0, 2, 1)
    scarce = [(rule["region"], rule["zone"], rule["type"], rule["market"]) for rule in scenario["capacity"]]
    assert scarce == [("us-east-1", "*", "p4d.24xlarge", "on-demand")]


def test_two_directories_are_two_clouds(elsewhere, cloud):
    assert running(elsewhere / ".local-cloud").url != cloud.url
    identity = run(cloud.client("ec2", "us-east-1"))[0]["InstanceId"]
    assert identity not in {instance["InstanceId"] for instance in instances_of(elsewhere)}


def test_a_server_outlives_the_command_that_started_it_and_keeps_its_state(elsewhere):
    server = running(elsewhere / ".local-cloud")
    identity = run(LocalCloud(server).client("ec2", "us-east-1"))[0]["InstanceId"]
    assert server.url in script("start", cwd=elsewhere).stdout
    assert identity in {instance["InstanceId"] for instance in instances_of(elsewhere)}


def test_a_local_cloud_that_a_target_starts_is_not_held_to_the_variables_of_the_target(directory):
    asks = """
import sys
from pathlib import Path
from typer.testing import CliRunner
from scripts.status import app
from ec2lab.aws.local_server import ensure_running
CliRunner().invoke(app, ["--help"])
ensure_running(Path(sys.argv[1]))
"""
    environment = {**os.environ, "GOALS": "status", "MAKEFLAGS": "s -- EXP=demo"}
    ended = subprocess.run([sys.executable, "-c", asks, directory], env=environment, check=False, cwd=REPOSITORY)
    assert ended.returncode == 0
    assert running(directory)
