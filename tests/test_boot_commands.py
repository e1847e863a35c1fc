"""All commands of the first boot run, and no failure hides behind a later success."""

import subprocess

import pytest

from ec2lab.launch.run_instances_request import answering_for_all


def run(*commands):
    script = "#!/bin/sh\n" + "\n".join(answering_for_all(commands)) + "\n"
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "failing", [["false"], "false", ["sh", "-c", "exit 3"], "echo 'it''s'; exit_code() { return 4; }; exit_code"]
)
def test_a_failure_is_named_the_rest_still_runs_and_the_end_says_it(failing):
    ended = run(["echo", "before"], failing, ["echo", "after; $(false) 'x'"])
    assert ended.returncode == 1
    assert ended.stdout.splitlines()[0] == "before"
    assert "ec2-lab: FAILED: " in ended.stdout
    assert ended.stdout.splitlines()[-1] == "after; $(false) 'x'"


def test_where_all_succeed_the_end_says_so():
    assert run(["true"], "true # with a comment").returncode == 0
    assert answering_for_all([]) == []
