"""What an instance says of itself while it is watched: its command's last line and end, and what AWS announces to
it.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading

import pytest

from ec2lab.runs.exit_status import Ending
from ec2lab.runs.progress import parse_progress
from tests.changed_constants import sent_with
from tests.vm.metadata import answers, serve

SUDO = '#!/bin/sh\nshift\nexec "$@"\n'


@pytest.fixture
def instance(tmp_path):
    """A function that returns what an instance says, and the dictionary of its metadata."""
    known = answers("i-0123456789abcdef0", "us-east-1", b"")
    server = serve(known)
    (tmp_path / "bin").mkdir()
    sudo = tmp_path / "bin/sudo"
    sudo.write_text(SUDO)
    sudo.chmod(0o755)
    program = sent_with("run-status.py", PATIENCE=0.3)
    for place, own in {
        "/var/lib/ec2-lab/instance": str(tmp_path), "/etc/systemd/system/ec2-lab-time-to-live.timer.d": str(tmp_path),
    }.items():  # fmt: skip
        assert place in program
        program = program.replace(place, own)

    def says(service=f"http://127.0.0.1:{server.server_address[1]}", **variables):
        assert "http://169.254.169.254" in program
        inherited = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
        environment = {**inherited, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", **variables}
        done = subprocess.run(
            [sys.executable, "-I", "-c", program.replace("http://169.254.169.254", service)],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        return parse_progress(done.stdout, "speech")

    yield says, known, tmp_path
    server.shutdown()
    server.server_close()


def test_while_it_works_there_is_nothing_to_tell_but_its_last_line(instance):
    says, _, directory = instance
    said = says()
    assert (said.line, said.ending, said.ends_at, said.interruption, said.rebalance) == ("", None, None, "", "")
    (directory / "log").write_text("epoch 3 loss 2.1\n")
    assert says().line == "epoch 3 loss 2.1"
    (directory / "log").write_text("epoch 4\n\n 10%|#   |\r 20%|##  |\r")
    assert says().line == "20%|##  |", "as a progress bar was drawn last"


def test_its_commands_end_and_its_own_are_told(instance):
    says, _, directory = instance
    (directory / "ended.json").write_text('{"exit_code": 3, "at": "2026-11-24T10:00:00Z"}')
    (directory / "deadline.conf").write_text("[Timer]\nOnCalendar=@1795600000\n")
    said = says()
    assert said.ending == Ending(3, "2026-11-24T10:00:00Z")
    assert said.ends_at == 1795600000


def test_what_aws_announces_to_it_is_told(instance):
    says, known, _ = instance
    known["meta-data/events/recommendations/rebalance"] = b'{"noticeTime": "2026-11-24T10:00:00Z"}'
    assert says().rebalance == "2026-11-24T10:00:00Z"
    known["meta-data/spot/instance-action"] = json.dumps(
        {"action": "terminate", "time": "2026-11-24T10:02:00Z"}
    ).encode()
    assert says().interruption == "terminate at 2026-11-24T10:02:00Z"


def test_no_proxy_of_the_instances_stands_between_it_and_its_metadata(instance):
    says, known, _ = instance
    known["meta-data/events/recommendations/rebalance"] = b'{"noticeTime": "2026-11-24T10:00:00Z"}'
    nowhere = "http://127.0.0.1:1"
    said = says(http_proxy=nowhere, HTTP_PROXY=nowhere, all_proxy=nowhere)
    assert (said.rebalance, said.problem) == ("2026-11-24T10:00:00Z", "")


NOT_THERE = [
    b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",  # a token is wanted that it never gives
    b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",  # it is switched off
    b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",  # cut off
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"",
    None,  # one hop too far: the answer never arrives
]


@pytest.mark.parametrize("answer", NOT_THERE)
def test_a_metadata_service_that_does_not_answer_is_told_and_hides_nothing_else(instance, answer):
    says, _, directory = instance
    (directory / "log").write_text("epoch 3\n")
    with socket.create_server(("127.0.0.1", 0)) as service:
        threading.Thread(target=serve_oddly, args=(service, answer), daemon=True).start()
        said = says(f"http://127.0.0.1:{service.getsockname()[1]}")
    assert said.line == "epoch 3"
    assert "speech: spot notices can't be seen: the instance metadata service does not answer there (" in said.problem


def serve_oddly(service, answer):
    """Give every request one answer, or none for as long as anybody waits."""
    waiting = []
    with contextlib.suppress(OSError):  # the test is over
        while True:
            asking, _ = service.accept()
            waiting.append(asking)
            if answer is not None:
                asking.recv(4096)
                asking.sendall(answer)
                asking.close()
