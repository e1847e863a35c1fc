"""An experiment's command on a host whose start-up files are not made for it."""

import json
import re
import shlex

import pytest

from ec2lab.config.models import Experiment
from ec2lab.runs.command import SCRIPT, UNITS, command_files

RUNTIME = "/run/ec2-lab/experiment"


@pytest.fixture
def ended(host):
    """Runs a command as its unit does, after a start-up file; returns what is written of its end."""
    host.run("useradd", "--create-home", "experiment")
    host.as_user("experiment", "mkdir ~experiment/code")

    def run(start_up, command):
        experiment = Experiment(instance_types=["g5.xlarge"], command=command, code={"path": "."})
        for path, (mode, text) in command_files("demo", experiment).items():
            host.write(path, text, mode=int(mode, 8))
        host.write("/etc/profile.d/own.sh", start_up)
        unit = host.path(f"{UNITS}/experiment.service").read_text()
        (line,) = re.findall("^ExecStart=(.*)$", unit, re.MULTILINE)
        assert f"RuntimeDirectory={RUNTIME.removeprefix('/run/')}\n" in unit
        host.run("sh", "-ec", f"rm -rf {RUNTIME}; install -d -o experiment {RUNTIME}; chown experiment {SCRIPT}")
        host.run("/opt/ec2-lab/write-exit-status", "begins")
        account = ["--reuid=experiment", "--regid=experiment", "--init-groups"]
        environment = {"HOME": "/home/experiment", "RUNTIME_DIRECTORY": RUNTIME}
        as_account = ["env", "--chdir=/home/experiment", "setpriv", *account]
        done = host.run(*as_account, *shlex.split(line), check=False, **environment)
        told = host.run("/opt/ec2-lab/write-exit-status", EXIT_CODE="exited", EXIT_STATUS=str(done.returncode))
        return json.loads(host.path("/var/lib/ec2-lab/instance/ended.json").read_text()), done.stdout + told.stdout

    return run


def test_what_ends_the_login_before_the_command_begins_is_said_and_is_no_success(ended):
    never = "the command never started: what a login does before it (/etc/profile) exited with status 0"
    for start_up in ("exit 0\n", "exec true\n"):
        written, printed = ended(start_up, "echo trained")
        assert (written["exit_code"], written["why"]) == (1, never)
        assert printed == f"ec2-lab: {never}\n"


@pytest.mark.parametrize(("exits", "code"), [("exit 3", 3), ("exit 0", 0), ("false || exit", 1), ("(exit 4)", 4)])
def test_no_file_for_the_end_of_a_login_changes_the_exit_code(ended, exits, code):
    """Debian's has a command that fails where there is no console."""
    written, printed = ended("", exits)
    assert written["exit_code"] == code
    assert printed == f"ec2-lab: the command exited with status {code}\n"


def test_a_start_up_file_that_goes_elsewhere_leaves_the_command_in_its_code(ended):
    written, printed = ended("cd /\n", "pwd; exit 3")
    assert (written["exit_code"], "why" in written) == (3, False)
    assert printed == "/home/experiment/code\nec2-lab: the command exited with status 3\n"
