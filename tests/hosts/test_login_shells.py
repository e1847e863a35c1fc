"""Whatever a login shell is, prints, replaces or waits for: what our program says is heard, and nothing else."""

import socket
import time

import pytest

from ec2lab.errors import UserError
from ec2lab.hosts import ssh, ssh_call
from ec2lab.hosts.accounts import HostAccounts
from ec2lab.hosts.accounts_document import Account, AccountsDocument
from ec2lab.hosts.call_failures import Failed, NotOurShell, Unreachable
from ec2lab.hosts.ssh import Host as Way
from tests.hosts.host import QUICK, SSHD_LOG, Host
from tests.hosts.noise import BANNER, START_UP, for_terminals, make_noisy, start_up

PROGRAM = """
import os, sys
sys.stdout.buffer.write(bytes(range(256)) + "|".join(sys.argv[1:]).encode() + sys.stdin.buffer.read())
sys.stdout.flush()
os.write(2, b"a warning")
"""
ARGUMENTS = ("it's", '"$HOME"', "`id` !! \\", "two\nlines", "")
SAID = (bytes(range(256)) + "|".join(ARGUMENTS).encode() + b"given\0\xff\n").decode(errors="replace")


@pytest.fixture(scope="module")
def carols_host(debian, tmp_path_factory, key_pairs):
    """A host with sshd where carol is an administrator."""
    directory = tmp_path_factory.mktemp("carol") / "host"
    directory.mkdir()
    host = Host(debian, directory)
    host.write("/etc/banner", "{ Authorized use only }\n")
    host.write("/etc/ssh/sshd_config.d/50-banner.conf", "Banner /etc/banner\nPermitUserEnvironment yes\nAcceptEnv *\n")
    host.start_sshd()
    told = {"keys": [key_pairs("carol").line], "sudo": "nopasswd", "shell": "/bin/bash"}
    host.accounts({"members": {"carol": told}})
    yield host
    host.stop()


@pytest.fixture
def carol(carols_host, tmp_path, key_pairs, monkeypatch):
    """That host as it was, and what makes her way in to it, with settings of hers."""
    with_shell(carols_host, "/bin/bash")
    for file in START_UP.values():
        carols_host.path(file).unlink(missing_ok=True)
    monkeypatch.setattr(ssh_call, "GOODBYE", 0.2)
    monkeypatch.setattr(ssh_call, "FIRST_REPEAT", 0.3)
    known_hosts = carols_host.directory.parent / "known_hosts"

    def there(settings="", **given):
        (tmp_path / "config").write_text(
            f"Host there gate\n  HostName 127.0.0.1\n  Port {carols_host.port}\n  User carol\n  {QUICK}\n"
            f"  IdentityFile {key_pairs('carol').file}\n  UserKnownHostsFile {known_hosts}\n{settings}"
        )
        return Way("there", tmp_path / "config", **{"timeout": 20.0, **given})

    return carols_host, there


def with_shell(host, shell):
    """Give carol a login shell."""
    host.run("usermod", "--shell", shell, "carol")


def test_each_login_shell_with_the_noisiest_start_up_files_runs_programs_as_they_are(carol, key_pairs):
    host, there = carol
    account = Account([key_pairs("carol").line], [], "/bin/bash", None, "nopasswd")
    for number, shell in enumerate(START_UP):
        with_shell(host, shell)
        make_noisy(host, shell)
        way = there()
        assert way.run_as_root(PROGRAM, *ARGUMENTS, given=b"given\0\xff\n") == SAID, shell
        make_noisy(host, shell, BANNER)  # which costs less
        told = AccountsDocument(members={"carol": account} | {f"member{n}": account for n in range(number + 1)})
        accounts = HostAccounts(way, lambda _: None)
        assert accounts.apply(told) > 0, shell
        assert accounts.apply(told) == 0, shell
        host.path(START_UP[shell]).unlink()


def test_start_up_files_that_take_more_than_the_word_leave_a_call_as_it_is(carol):
    host, there = carol
    for line in (
        "set -eu; exec 2>&-",
        "umask 777; cd /tmp; export PYTHONHOME=/nowhere LD_PRELOAD=/nowhere LC_ALL=x PATH=/nowhere HOME=/nowhere",
        "python3() { echo mine; }; sudo() { echo mine; }; sh() { echo mine; }; export -f python3 sudo sh",
        "read -r answer",
        "read -r -t 0.1 answer",
        "trap 'echo goodbye; sleep 30' EXIT",
        "sleep 30 & sleep 0.2",
        "exec sh -s",
        "exec zsh",
        "export SHELLOPTS; set -xve",
    ):
        start_up(host, "/bin/bash", line)
        began = time.monotonic()
        assert there().run_as_root(PROGRAM, *ARGUMENTS, given=b"given\0\xff\n") == SAID, line
        assert time.monotonic() - began < 10, line


def test_a_shell_that_is_bash_by_the_name_of_sh_takes_nothing_of_what_start_up_files_export(carol):
    host, there = carol
    host.run("ln", "-sf", "bash", "/bin/sh")
    try:
        for line in (
            "set -eu; exec 2>&-",
            "python3() { false; }; sudo() { false; }; env() { false; }; export -f python3 sudo env",
            "shopt -s expand_aliases; export BASHOPTS; alias sudo=false",
            "export SHELLOPTS; set -xveu; set -o noglob",
            "read -r answer",
        ):
            start_up(host, "/bin/bash", line)
            assert there().run_as_root(PROGRAM, *ARGUMENTS, given=b"given\0\xff\n") == SAID, line
    finally:
        host.run("ln", "-sf", "dash", "/bin/sh")


def test_a_command_that_a_key_forces_prints_what_it_likes_and_runs_the_word(carol, key_pairs):
    host, there = carol
    forced = 'command="sh /etc/noise; exec $SSH_ORIGINAL_COMMAND"'
    host.write("/etc/noise", BANNER)
    host.write("/home/carol/.ssh/authorized_keys", f"{forced} {key_pairs('carol').line}\n", mode=0o600)
    host.run("chown", "carol", "/home/carol/.ssh/authorized_keys")
    assert there().run_as_root(PROGRAM, *ARGUMENTS, given=b"given\0\xff\n") == SAID
    host.write("/home/carol/.ssh/authorized_keys", f"{key_pairs('carol').line}\n", mode=0o600)


def test_a_shell_that_runs_something_else_is_named_with_what_it_printed(carol):
    host, there = carol
    for shell, line, words in (
        ("/usr/sbin/nologin", "", "(it ended with 1; it printed: This account is currently not available"),
        ("/bin/false", "", "(it ended with 1; it printed: { Authorized use only }"),
        ("/bin/bash", "echo 'Welcome to speech'; exit 0", "(it ended with 0; it printed: Welcome to speech"),
        ("/bin/bash", r"printf '\033]0;title\007'; exec id -un", r"it printed: \x1b]0;title\x07carol"),
    ):
        with_shell(host, shell)
        start_up(host, "/bin/bash", line)
        with pytest.raises(NotOurShell) as told:
            there().run("true")
        said = str(told.value)
        assert said.startswith("there: the login works, but the login shell runs no /bin/sh")
        assert words in said


def test_a_login_shell_that_does_not_exist_is_one_reason_for_a_refused_key(carol):
    host, there = carol
    with_shell(host, "/bin/xonsh")
    with pytest.raises(Unreachable, match=r"^there: .*none of your keys opens an account.*login shell"):
        there().run("true")


def test_what_never_answers_ends_at_its_deadline_and_says_what_was_tried(carol):
    host, there = carol
    for line, words in (("echo Hold on; exec sleep 60", "; it printed: Hold on"), ("exec cat", ""), ("yes", ": y y y"),
                        ("exec fish", "")):  # fmt: skip
        start_up(host, "/bin/bash", line)
        for timeout in (0.7, 5.0):  # a login may take longer than the first
            began = time.monotonic()
            with pytest.raises(Unreachable, match=rf"^there: no program .* within {timeout:g} s") as told:
                there(timeout=timeout).run("true")
            assert time.monotonic() - began < timeout + 3, line
            if words in str(told.value):
                break
        assert words in str(told.value)
    host.path("/etc/bash.bashrc").unlink()
    began = time.monotonic()
    with pytest.raises(UserError, match=r"^there: sleep has not finished there within 0.2 s"):
        there().run("sleep", "60", within=0.2)
    assert time.monotonic() - began < 5


def test_a_host_that_takes_a_connection_and_says_nothing_ends_a_call(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = tmp_path / "config"
        config.write_text(f"Host there\n  HostName 127.0.0.1\n  Port {silent.getsockname()[1]}\n  ConnectTimeout 1\n")
        with pytest.raises(Unreachable, match=r"^there: it does not respond"):
            Way("there", config).run("true")
        config.write_text(config.read_text().replace("ConnectTimeout 1", "ConnectTimeout 100"))
        with pytest.raises(Unreachable, match=r"^there: no program could be started there within 0.3 s"):
            Way("there", config, timeout=0.3).run("true")


def test_an_ssh_configuration_that_is_made_for_terminals_changes_no_call(carol, tmp_path):
    host, there = carol
    make_noisy(host, "/bin/bash", BANNER)
    way = there(for_terminals(tmp_path))
    assert way.run_as_root(PROGRAM, *ARGUMENTS, given=b"given\0\xff\n") == SAID
    with way.holding("import sys\nprint('held', flush=True)\nsys.stdin.read()") as said:
        assert said == "held"
    with_shell(host, "/usr/sbin/nologin")
    with pytest.raises(NotOurShell):
        way.run("true")
    assert [path.name for path in tmp_path.iterdir()] == ["config"], "nothing ran here, and no connection is shared"


def test_of_a_program_that_fails_the_last_words_are_told_whatever_else_is_on_standard_error(carol):
    host, there = carol
    make_noisy(host, "/bin/bash")
    with pytest.raises(Failed, match=r"^there: python3 exited with status 3: why it failed$"):
        there().run_program("import sys\nprint('why it failed', file=sys.stderr)\nsys.exit(3)")
    with pytest.raises(Failed, match=r"^there: python3 exited with status 143: ended by SIGTERM$"):
        there().run_program("import os\nos.kill(os.getpid(), 15)")


def test_where_sudo_wants_a_password_it_is_asked_for_once_the_host_is_ready_for_it(carol, monkeypatch):
    host, there = carol
    make_noisy(host, "/bin/bash", BANNER)
    rule, lecture = "/etc/sudoers.d/ec2-lab-carol", "/etc/sudoers.d/lecture"
    before = host.path(rule).read_text()
    host.write(rule, "carol ALL=(ALL:ALL) ALL\n", mode=0o440)
    host.write(lecture, "Defaults lecture=always, timestamp_timeout=0, passwd_tries=1\n", mode=0o440)
    host.run("chpasswd", text="carol:correct horse\n")
    try:
        asked = []
        monkeypatch.setattr(ssh, "_password_of", lambda name: asked.append(name) or "correct horse")
        assert there().run_as_root(PROGRAM, *ARGUMENTS, given=b"given\0\xff\n") == SAID
        assert asked == ["there"]
        with (
            pytest.raises(Failed, match=r"^there: sudo requires a password there; an administrator"),
            there().holding(""),
        ):
            pass
        monkeypatch.setattr(ssh, "_password_of", lambda _: "wrong")
        with pytest.raises(Failed, match=r"^there: python3 never started .*incorrect password attempt"):
            there().run_as_root(PROGRAM)
    finally:
        host.write(rule, before, mode=0o440)
        host.path(lecture).unlink()
        host.run("passwd", "--delete", "carol")


def test_the_way_leads_through_a_jump_host_of_the_users(carol):
    host, there = carol
    make_noisy(host, "/bin/bash", BANNER)
    log = host.path(SSHD_LOG)
    before = log.read_text().count("Accepted publickey")
    way = there("Match originalhost there\n  ProxyJump gate\n")
    assert way.run_as_root(PROGRAM, *ARGUMENTS, given=b"given\0\xff\n") == SAID
    assert log.read_text().count("Accepted publickey") == before + 2


def test_lines_are_told_as_they_come_and_the_last_one_without_an_end(carol):
    _, there = carol
    heard = []
    program = "import os,time\nos.write(1, b'a\\r\\n\\nb')\ntime.sleep(0.1)\nos.write(1, b'\\xff\\n' + b'c' * 1500000)"
    there().run_as_root(program, heard=heard.append)
    assert heard[:3] == ["a\r", "", "b\ufffd"]
    assert [len(piece) > 2**20 for piece in heard[3:]] == [True, False], "a line without an end is told in pieces"
    assert "".join(heard[3:]) == "c" * 1500000


def test_what_a_program_leaves_behind_keeps_nobody_waiting(carol):
    _, there = carol
    began = time.monotonic()
    left = "import subprocess\nsubprocess.Popen(['sh', '-c', 'yes & sleep 60'])\nprint('done', flush=True)"
    assert "done\n" in there().run_program(left)
    assert time.monotonic() - began < 8


def test_without_python_or_sudo_the_error_says_that(carol):
    host, there = carol
    host.run("mv", "/usr/bin/sudo", "/usr/bin/sudo.away")
    with pytest.raises(Failed, match=r"^there: sudo is not installed there"):
        there().run_as_root("")
    host.run("mv", "/usr/bin/sudo.away", "/usr/bin/sudo")
    host.run("mv", "/usr/bin/python3", "/usr/bin/python3.away")
    with pytest.raises(Failed, match=r"^there: python3 can't be run there: .*No such file"):
        there().run("true")
    host.run("mv", "/usr/bin/python3.away", "/usr/bin/python3")
