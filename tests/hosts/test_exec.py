"""A user's command on instances: what bash is given, what comes back, and what remains after Ctrl-C."""

import os
import pty
import select
import shlex
import signal
import socket
import subprocess
import sys

import pytest

from tests.hosts.instance import reach_elsewhere
from tests.waiting import wait_until

HOSTILE = (
    'it\'s "$HOME" $(touch /tmp/pwned) `touch /tmp/pwned` é \u2028 {\'a\': """b"""} !! \\',
    "<<EOF\n#EOF\n  \n\n",
    "; : --help -- ; # %s {} {0} \udcff",
)
LISTED = ": {}; cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c {} || :"
"""How many processes have a word in their arguments, other than grep's."""


@pytest.mark.parametrize("instances", [1], indirect=True)
def test_a_command_reaches_bash_as_one_argument_and_its_output_and_exit_status_come_back_as_they_are(instances):
    lab, host, variables = instances
    for command in HOSTILE:
        ended = lab.run("exec", CMD=f"printf '<%s>' {shlex.quote(command)} # {command}\n\n", **variables)
        shown = command.encode(errors="surrogateescape").decode(errors="replace")
        assert ended.out == f"<{shown}>\n".replace("\u2028", "\\u2028"), ended.err
        assert ended.code == 0
    assert not host.path("/tmp/pwned").exists()
    ended = lab.run(
        "exec", CMD=r"read x; echo got=$x in $PWD; printf '\033]0;t\a\033[31mred\n'; echo oh >&2; exit 7", **variables
    )
    assert ended.out == "got= in /home/alice\n\\x1b]0;t\\x07red\n"
    assert (ended.code, ended.err) == (7, "oh\nerror: demo: the command exited with status 7\n")
    assert lab.run("exec", CMD="exit 255", **variables).error == "error: demo: the command exited with status 255"
    assert lab.run("exec", CMD="nowhere", **variables).err.endswith("exited with status 127: command not found\n")
    assert lab.run("exec", CMD=LISTED.format("a-token", "a-toke[n]"), **variables).out == "0\n", (
        "`ps` shows nothing of it"
    )
    told = [record["annotation"] for record in lab.records() if "accessed" in (record.get("annotation") or {})]
    assert told == [{"accessed": {"hosts": [lab.status()[0]["id"]]}}] * (len(HOSTILE) + 4)
    assert "a-token" not in lab.registry.read_text()
    host.as_user("alice", "echo exit 0 > /home/alice/.bash_profile")
    ended = lab.run("exec", CMD="true", **variables)
    assert ended.code == 126
    assert "the command never started: a start-up file ends bash's login there" in ended.err


@pytest.mark.parametrize("instances", [4], indirect=True)
def test_all_instances_run_it_at_once_and_one_that_hangs_or_is_stopped_holds_up_no_other(instances, cloud):
    lab, _, variables = instances
    stopped = lab.run("status", JSON="1").events[3]
    cloud.client("ec2", stopped["region"]).stop_instances(InstanceIds=[stopped["id"]])
    meet = "echo here >> /tmp/met; until [ $(wc -l < /tmp/met) = 3 ]; do sleep 0.1; done; echo met"
    ended = lab.run("exec", CMD=meet, **variables)
    assert ended.code == 0, ended.err
    assert [line.split(" | ")[1] for line in ended.out.splitlines()] == ["met"] * 3
    first, second, third = sorted(line.split(" | ")[0] for line in ended.out.splitlines())
    assert f"warning: demo: {stopped['id']} is stopped; skipped\n" in ended.err
    with socket.create_server(("127.0.0.1", 0)) as silent:
        reach_elsewhere(lab, second, silent.getsockname()[1])
        ended = lab.run("exec", CMD="echo x; exit 5", JSON="1", **variables)
    assert ended.code == 5
    printed = [event for event in ended.events if event["event"] == "remote-output"]
    assert sorted(event["host"] for event in printed) == [first, third]
    exited = {event["host"]: event["exit_code"] for event in ended.events if event["event"] == "remote-command-exited"}
    assert exited == {first: 5, second: 255, third: 5}
    last = ended.err.splitlines()[-1]
    assert last.startswith(
        f"error: 3 of 3 hosts failed: {first}: the command exited with status 5; {second}: no program"
    )


@pytest.mark.parametrize("instances", [2], indirect=True)
def test_ctrl_c_ends_the_command_and_what_it_began_on_every_instance(instances):
    lab, host, variables = instances
    begun = lab.start("exec", CMD="trap '' HUP; (trap '' TERM; sleep 971) & echo $$; sleep 972", **variables)
    assert [begun.stdout.readline().split(" | ")[1].strip().isdigit() for _ in range(2)] == [True, True]
    begun.send_signal(signal.SIGINT)
    _, err = begun.communicate(timeout=60)
    assert (begun.returncode, err.splitlines()[-1]) == (130, "error: interrupted")
    wait_until(lambda: host.run("pgrep", "-f", "sleep 97[12]", check=False).returncode == 1)


@pytest.mark.parametrize("instances", [1], indirect=True)
def test_on_a_terminal_the_command_talks_to_the_user_and_nothing_of_it_stays_there(instances):
    lab, host, variables = instances
    asks = "test -t 0 && test -t 1 && printf 'name? ' && read -r name && echo \"it's <$name>\"; exit 3\n\n"
    command = f"{LISTED.format('a-token', 'a-toke[n]')}; {asks}"
    host.as_user("alice", "echo 'echo welcome' > /home/alice/.bash_profile")
    here, there = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.exec"],
        cwd=lab.path, env=lab.environment(CMD=command, TTY="1", **variables), stdin=there, stdout=there, stderr=there,
        start_new_session=True,
    )  # fmt: skip
    os.close(there)
    shown = read_until(here, b"0\r\nname? ")
    os.write(here, b"$(id)\n")
    shown = read_until(here, b"it's <$(id)>\r\n", shown)
    assert process.wait(60) == 3, shown
    assert list(host.path("/tmp").glob("ec2-lab-*")) == []
    os.close(here)
    ended = lab.run("exec", CMD="true", TTY="1", **variables)
    assert ended.error.startswith("error: TTY: there is no terminal here")


def read_until(terminal, words, shown=b""):
    """Read what a terminal shows until it shows some words."""
    while words not in shown:
        try:
            assert select.select([terminal], [], [], 30)[0], shown
            shown += os.read(terminal, 4096)
        except OSError:
            raise AssertionError(shown) from None
    return shown
