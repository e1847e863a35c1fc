"""A first password is asked for on the terminal, goes over ssh's standard input alone, and must be changed."""

import os
import pty
import sys
import time
from pathlib import Path

from tests.hosts.test_users import at_home  # noqa: F401 - a fixture

FIRST = "correct horse battery staple"


def typed_at_a_terminal(lab, answers, **variables):
    """Run make users at a terminal, answer its questions, and return (what was on screen, all command lines seen)."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(lab.path)
        environment = lab.environment(HOME=lab.home, **variables)
        os.execve(sys.executable, [sys.executable, "-m", "scripts.users"], environment)
    screen, command_lines, deadline = "", set(), time.monotonic() + 60
    answers = list(answers)
    while time.monotonic() < deadline:
        try:
            screen += os.read(terminal, 4096).decode(errors="replace")
        except OSError:  # the other side is closed
            break
        if answers and screen.count(": ") > 2 - len(answers) and screen.endswith(": "):
            os.write(terminal, f"{answers.pop(0)}\n".encode())
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command_lines.add(process.read_bytes())
            except OSError:
                continue
    os.waitpid(pid, 0)
    return screen, command_lines


def test_it_is_set_and_must_be_changed_and_is_nowhere_to_be_read(at_home, host_with_sshd, alice_key):  # noqa: F811
    at_home.write("members/alice.toml", f'keys = ["{alice_key.line}"]\ngroups = ["sudo"]\n')
    at_home.write("lab.toml", 'regions = ["us-east-1"]\n[accounts]\nsudo = "password"\nadministrators = ["carol"]\n')
    screen, command_lines = typed_at_a_terminal(at_home, [FIRST, FIRST], HOST="there", NAME="alice", PASSWORD="ask")
    assert "password set to be changed at the first login" in screen
    assert FIRST not in screen, "no echo"
    assert not [line for line in command_lines if FIRST.encode() in line]
    assert not [f for f in at_home.path.rglob("*") if f.is_file() and FIRST.encode() in f.read_bytes()]
    aged = host_with_sshd.run("chage", "-l", "alice").stdout
    assert "password must be changed" in aged
    rule = host_with_sshd.path("/etc/sudoers.d/ec2-lab-alice").read_text()
    assert "NOPASSWD" not in rule
    assert "NOPASSWD" in host_with_sshd.path("/etc/sudoers.d/ec2-lab-carol").read_text()


def test_a_password_on_a_command_line_is_refused(at_home, alice_key):  # noqa: F811
    ended = at_home.run("users", HOME=at_home.home, HOST="there", NAME="carol", PASSWORD="secret")
    assert ended.code == 1
    assert "PASSWORD: write PASSWORD=ask" in ended.error
    assert "secret" not in ended.err
