"""Who acts on an experiment lets go of it, however he ends; who was killed is named with a command that fixes it."""

import re
import signal

import pytest
import typer

from ec2lab.doctor.checks.registry import RegistryHealth
from ec2lab.doctor.context import open_readonly
from ec2lab.doctor.runner import run_checks
from ec2lab.errors import UserError
from ec2lab.findings import Severity
from ec2lab.registry.base import LockHeld
from ec2lab.registry.file_registry import FileRegistry

NAMED = re.compile(r"`make (\w+) EXP=(\w+)`")


def lock(lab, experiment="demo"):
    return lab.path / "registry.json.locks" / experiment


def findings(lab):
    """What doctor finds of the registry, by its id, but for what is well."""
    with open_readonly(lab.path, "") as looked_at:
        found = [finding for _, finding in run_checks(looked_at, [RegistryHealth()])]
    return {finding.diagnosis.id: finding.remedy for finding in found if finding.diagnosis.severity != Severity.OK}


@pytest.mark.parametrize("end", [UserError("no"), typer.Exit(1), KeyboardInterrupt(), SystemExit(3), OSError("disk")])
def test_it_is_let_go_of_however_the_command_ends(tmp_path, end):
    registry = FileRegistry(tmp_path / "registry.json")

    def act():
        with registry.lock_experiment("demo", "launch"):
            assert [holder.alive for holder in registry.lock_owners()] == [True]
            raise end

    with pytest.raises(type(end)):
        act()
    assert registry.lock_owners() == []


def test_one_that_is_refused_the_lock_leaves_the_name_of_who_has_it(tmp_path):
    registry = FileRegistry(tmp_path / "registry.json")
    with registry.lock_experiment("demo", "launch"):
        with pytest.raises(LockHeld), registry.lock_experiment("demo", "teardown"):
            pass
        assert [holder.who.split()[0] for holder in registry.lock_owners()] == ["launch"]


def test_refused_commands_leave_nothing_for_doctor(lab):
    assert lab.run("launch", EXP="demo").code == 0
    refused = [lab.run("launch", EXP="demo"), lab.run("teardown", EXP="nobody"), lab.run("launch", EXP="nofile")]
    assert [ended.code for ended in refused] == [1, 1, 1]
    assert [path.read_text() for path in (lab.path / "registry.json.locks").iterdir()] == ["", "", ""]
    assert findings(lab) == {}


def killed(lab, cloud, script):
    """Kill a script when AWS has carried out what it wants and is silent."""
    action = {"launch": "RunInstances", "stop": "StopInstances", "teardown": "TerminateInstances"}[script]
    cloud.scenario(faults=[{"action": action, "kind": "hang-after", "times": 1}])
    before = len(cloud.calls(action))
    process = lab.start(script, EXP="demo")
    while len(cloud.calls(action)) == before:
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    cloud.scenario()


@pytest.mark.parametrize("script", ["launch", "stop", "teardown"])
def test_each_remedy_for_one_that_was_killed_works_and_doctor_is_clean_then(lab, cloud, script):
    lab.write("experiments/demo.toml", 'instance_types = ["c6i.large"]\n')
    if script != "launch":
        assert lab.run("launch", EXP="demo").code == 0
    killed(lab, cloud, script)
    assert lock(lab).read_text().startswith(script)
    found = findings(lab)
    assert "stale-lock" in found
    for command, experiment in NAMED.findall(" ".join(found.values())):
        ended = lab.run(command, EXP=experiment)
        assert ended.code == 0, ended.err
        assert findings(lab) == {}


def test_one_that_was_killed_and_has_nothing_left_is_nobodys_business(lab):
    assert lab.run("launch", EXP="demo").code == 0
    assert lab.run("teardown", EXP="demo").code == 0
    lock(lab).write_text("teardown (alice@laptop:7, since 2026-11-24T10:00:00Z)")
    assert findings(lab) == {}
