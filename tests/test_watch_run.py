"""What a machine says of itself while it is watched: its command's last line and end, and what AWS announces to it."""

import json
import os
import subprocess
import sys

import pytest

from scripts.core.hosts.host_program import sent
from scripts.core.runs.command_progress import progress_in
from scripts.core.runs.ending import Ending
from tests.vm.metadata import answers, serve

SUDO = '#!/bin/sh\n[ "$2 $3" = "journalctl --no-pager" ] && cat {log}\n'


@pytest.fixture
def machine(tmp_path):
    """A function that returns what a machine says, and the dictionary of its metadata."""
    known = answers("i-0123456789abcdef0", "us-east-1", b"")
    server = serve(known)
    (tmp_path / "bin").mkdir()
    sudo = tmp_path / "bin/sudo"
    sudo.write_text(SUDO.format(log=tmp_path / "log"))
    sudo.chmod(0o755)
    program = sent("watch-run.py")
    for place, own in {
        "http://169.254.169.254": f"http://127.0.0.1:{server.server_address[1]}",
        "/var/lib/ec2-lab": str(tmp_path), "/etc/systemd/system/ec2-lab-time-to-live.timer.d": str(tmp_path),
    }.items():  # fmt: skip
        assert place in program
        program = program.replace(place, own)

    def says():
        inherited = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
        environment = {**inherited, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
        done = subprocess.run(
            [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True, env=environment
        )
        return progress_in(done.stdout, "speech")

    yield says, known, tmp_path
    server.shutdown()
    server.server_close()


def test_while_it_works_there_is_nothing_to_tell_but_its_last_line(machine):
    says, _, directory = machine
    said = says()
    assert (said.line, said.ending, said.ends_at, said.interruption, said.rebalance) == ("", None, None, "", "")
    (directory / "log").write_text("epoch 3 loss 2.1\n")
    assert says().line == "epoch 3 loss 2.1"


def test_its_commands_end_and_its_own_are_told(machine):
    says, _, directory = machine
    (directory / "ended.json").write_text('{"exit_code": 3, "at": "2026-11-24T10:00:00Z"}')
    (directory / "deadline.conf").write_text("[Timer]\nOnCalendar=@1795600000\n")
    said = says()
    assert said.ending == Ending(3, "2026-11-24T10:00:00Z")
    assert said.ends_at == 1795600000


def test_what_aws_announces_to_it_is_told(machine):
    says, known, _ = machine
    known["meta-data/events/recommendations/rebalance"] = b'{"noticeTime": "2026-11-24T10:00:00Z"}'
    assert says().rebalance == "2026-11-24T10:00:00Z"
    known["meta-data/spot/instance-action"] = json.dumps(
        {"action": "terminate", "time": "2026-11-24T10:02:00Z"}
    ).encode()
    assert says().interruption == "terminate at 2026-11-24T10:02:00Z"
