"""sshd that takes keys alone, and nobody locked out by it."""

import shutil
from pathlib import Path

import pytest

from tests.hosts.host import PATIENCE, SSHD_LOG, holds_within

DROP_IN = "/etc/ssh/sshd_config.d/00-ec2-lab.conf"
MAIN = "/etc/ssh/sshd_config"
PASSWORD = "a password of alice's own"


@pytest.fixture
def peopled(host, alice_key):
    """An instance with alice, who has key and password, whose image lets passwords in."""
    host.write("/etc/ssh/sshd_config.d/50-cloud-init.conf", "PasswordAuthentication yes\n")
    host.accounts({"members": {"alice": {"keys": [alice_key.line], "sudo": "password"}}})
    host.run("chpasswd", text=f"alice:{PASSWORD}\n")
    host.start_sshd()
    return host


def files(host):
    paths = sorted(host.path("/etc/ssh").rglob("*"))
    return {path.name: (path.read_text(), path.stat().st_mode) for path in paths if path.is_file()}


def effective(host, *match):
    return host.run("sshd", "-T", *match).stdout.splitlines()


@pytest.mark.every_release
def test_keys_alone_open_the_instance_though_its_image_says_otherwise(peopled, alice_key):
    assert peopled.ssh("alice", "true", password=PASSWORD).worked
    told = peopled.harden("apply", "--account", "alice")
    assert told.changes == [(None, "applied", "keys alone open alice; sshd reloaded")]
    assert told.summary == {"changed": 1, "problems": 0}
    assert holds_within(PATIENCE, lambda: peopled.ssh("alice", "true", password=PASSWORD).refused)
    assert peopled.ssh("alice", "echo", "in", key=alice_key.file).output == "in\n"
    assert "passwordauthentication no" in effective(peopled)
    assert "permitrootlogin no" in effective(peopled)


def test_root_cannot_log_in_with_a_key_any_more(peopled, alice_key):
    peopled.write("/root/.ssh/authorized_keys", alice_key.line + "\n", mode=0o600)
    peopled.run("chmod", "700", "/root/.ssh")
    assert peopled.ssh("root", "true", key=alice_key.file).worked
    peopled.harden("apply")
    assert holds_within(PATIENCE, lambda: peopled.ssh("root", "true", key=alice_key.file).refused)


def test_a_second_time_nothing_is_changed_or_reloaded(peopled, alice_key):
    peopled.harden("apply")
    assert holds_within(PATIENCE, lambda: reloads(peopled) == 1)
    before = files(peopled)
    assert peopled.harden("apply").changes == [(None, "unchanged", "")]
    assert files(peopled) == before
    assert peopled.ssh("alice", "true", key=alice_key.file).worked
    assert reloads(peopled) == 1


def reloads(host):
    return host.path(SSHD_LOG).read_text().count("Received SIGHUP")


def test_rollback_brings_back_what_was(peopled):
    before = files(peopled)
    peopled.harden("apply")
    assert peopled.harden("status").changes == [(None, "unchanged", "in place")]
    assert peopled.harden("rollback").of(None) == ["rolled back"]
    assert files(peopled) == before
    assert peopled.harden("status").changes == [(None, "unchanged", "not in place")]
    assert peopled.harden("rollback").changes == [(None, "unchanged", "nothing was applied")]
    assert holds_within(PATIENCE, lambda: peopled.ssh("alice", "true", password=PASSWORD).worked)


@pytest.mark.parametrize(
    "main",
    [
        "PasswordAuthentication yes\nUsePAM yes\n",
        "PasswordAuthentication yes\nUsePAM yes\nInclude /etc/ssh/sshd_config.d/*.conf\n",
        "Include /etc/ssh/others/*.conf\nPasswordAuthentication yes\nUsePAM yes\n",
    ],
)
def test_a_configuration_that_reads_no_drop_in_first_gets_one_line_and_loses_it_again(peopled, main):
    peopled.write(MAIN, main, mode=0o600)
    told = peopled.harden("apply")
    assert told.code == 0, told.text
    assert peopled.path(MAIN).read_text() == f"Include {DROP_IN}\n{main}"
    assert peopled.path(MAIN).stat().st_mode & 0o777 == 0o600
    assert "passwordauthentication no" in effective(peopled)
    peopled.path(MAIN).write_text(peopled.path(MAIN).read_text() + "LogLevel VERBOSE\n")
    peopled.harden("rollback")
    assert peopled.path(MAIN).read_text() == f"{main}LogLevel VERBOSE\n"


def test_a_configuration_that_is_broken_already_is_left_as_it_is(peopled):
    peopled.write(MAIN, peopled.path(MAIN).read_text() + "NoSuchKeyword yes\n")
    before = files(peopled)
    told = peopled.harden("apply")
    assert told.code == 1
    assert "NoSuchKeyword" in told.detail(None, "problem")
    assert files(peopled) == before


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("Match User alice\n  PasswordAuthentication yes\n", "passwordauthentication yes for alice"),
        ("Match Address 127.0.0.0/8\n  PermitRootLogin yes\n", "permitrootlogin yes for root"),
    ],
)
def test_what_sshd_would_not_obey_is_taken_back(peopled, rule, said):
    peopled.write("/etc/ssh/sshd_config.d/60-ours.conf", rule)
    before = files(peopled)
    told = peopled.harden("apply")
    assert told.code == 1
    assert said in told.detail(None, "problem")
    assert told.detail(None, "problem").endswith("everything is as it was")
    assert files(peopled) == before


KILLS_ONCE_IN_PLACE = f"""#!/bin/sh
case "$*" in *-C*) [ ! -e {DROP_IN} ] || kill -9 $PPID ;; esac
exec "$0.real" "$@"
"""


def test_an_apply_that_was_killed_is_finished_by_the_next(peopled):
    before = files(peopled)
    sshd, real = peopled.path("/usr/sbin/sshd"), peopled.path("/usr/sbin/sshd.real")
    sshd.rename(real)
    peopled.write("/usr/sbin/sshd", KILLS_ONCE_IN_PLACE, 0o755)
    assert peopled.run("/opt/ec2-lab/sshd-hardening", "apply", check=False).stdout == ""
    real.rename(sshd)
    assert files(peopled) != before

    assert peopled.harden("apply").of(None) == ["applied"]
    assert holds_within(PATIENCE, lambda: peopled.ssh("alice", "true", password=PASSWORD).refused)
    assert peopled.harden("apply").of(None) == ["unchanged"]
    peopled.harden("rollback")
    assert files(peopled) == before


def test_it_is_refused_where_it_would_lock_everyone_out(peopled, alice_key, bob_key):
    before = files(peopled)
    peopled.accounts({"members": {"bob": {"keys": [bob_key.line]}}, "only": ["bob"], "removed": ["alice"]})
    told = peopled.harden("apply", "--account", "alice")
    assert "alice can't log in with a key" in told.detail(None, "problem")
    peopled.run("usermod", "--expiredate", "1", "bob")  # the key stays, and opens nothing
    assert "no account but root could log in" in peopled.harden("apply").detail(None, "problem")
    assert files(peopled) == before


def test_unconfirmed_it_is_taken_back_by_itself(peopled):
    before = files(peopled)
    told = peopled.harden("apply", "--confirm-within", "1")
    assert told.detail(None, "applied").endswith("reverted in 1 s unless confirmed")
    assert holds_within(PATIENCE, lambda: files(peopled) == before)
    assert holds_within(PATIENCE, lambda: peopled.ssh("alice", "true", password=PASSWORD).worked)
    assert "reverted, or never applied" in peopled.harden("confirm").detail(None, "problem")


def test_confirmed_it_stays(peopled, alice_key):
    peopled.harden("apply", "--confirm-within", "60")
    assert peopled.harden("status").changes == [(None, "unchanged", "in place, waits to be confirmed")]
    assert peopled.ssh("alice", "true", key=alice_key.file).worked
    switch = switch_of(peopled)
    assert peopled.harden("confirm").of(None) == ["confirmed"]
    assert peopled.harden("confirm").changes == [(None, "unchanged", "it was not waiting")]
    assert peopled.harden(*switch).changes == [(None, "unchanged", "it was confirmed")]
    assert peopled.harden("status").changes == [(None, "unchanged", "in place")]


SYSTEMCTL = """#!/bin/sh
echo "$@" >> /root/systemctl
case "$*" in
    "is-active --quiet sshd.service") ;;
    "reload sshd.service") kill -HUP "$(cat /run/sshd.pid)" ;;
    "stop ec2-lab-sshd-rollback.timer") pkill -f '[f]or-systemd' ;;
    *) exit 3 ;;
esac
"""
SYSTEMD_RUN = """#!/bin/sh
echo "$@" >> /root/systemd-run
while [ "${1#--}" != "$1" ]; do
    case "$1" in --on-active=*) seconds="${1#*=}" ;; esac
    shift
done
setsid sh -c 'sleep "$0"; exec "$@"; : for-systemd' "$seconds" "$@" > /dev/null 2>&1 &
"""


@pytest.fixture
def with_systemd(peopled):
    """A host with stand-ins for systemd, which no host of namespaces can run; tests/vm has the real one."""
    peopled.write("/usr/bin/systemctl", SYSTEMCTL, mode=0o755)
    peopled.write("/usr/bin/systemd-run", SYSTEMD_RUN, mode=0o755)
    peopled.run("mkdir", "-p", "/run/systemd/system")
    return peopled


def test_where_systemd_is_it_reloads_the_service_and_a_timer_takes_all_back(with_systemd):
    before = files(with_systemd)
    told = with_systemd.harden("apply", "--confirm-within", "1")
    assert "; sshd.service reloaded; " in told.detail(None, "applied")
    assert "--unit=ec2-lab-sshd-rollback" in with_systemd.path("/root/systemd-run").read_text()
    assert holds_within(PATIENCE, lambda: files(with_systemd) == before)
    assert holds_within(PATIENCE, lambda: with_systemd.ssh("alice", "true", password=PASSWORD).worked)


def test_where_systemd_is_the_timer_of_a_confirmed_change_is_stopped(with_systemd):
    with_systemd.harden("apply", "--confirm-within", "60")
    assert with_systemd.run("pgrep", "-f", "for-systemd").stdout
    assert with_systemd.harden("confirm").of(None) == ["confirmed"]
    assert not with_systemd.run("pgrep", "-f", "for-systemd", check=False).stdout
    assert with_systemd.harden("status").changes == [(None, "unchanged", "in place")]


def test_a_switch_that_another_apply_set_takes_nothing_back(peopled):
    peopled.harden("apply", "--confirm-within", "60")
    switch = switch_of(peopled)
    peopled.harden("rollback")
    peopled.run("pkill", "-f", "if-waiting")
    peopled.harden("apply", "--confirm-within", "60")
    assert peopled.harden(*switch).of(None) == ["unchanged"]
    assert peopled.harden(*switch_of(peopled)).of(None) == ["rolled back"]
    peopled.harden("apply")
    assert peopled.harden("status").changes == [(None, "unchanged", "in place")]


def switch_of(host):
    """The arguments with which the program waits to take everything back."""
    (process,) = host.run("pgrep", "-f", "if-waiting").stdout.split()
    python, isolated, program, *arguments = host.run("cat", f"/proc/{process}/cmdline").stdout.rstrip("\0").split("\0")
    assert (Path(python).name[:7], isolated, program) == ("python3", "-I", "/opt/ec2-lab/sshd-hardening")
    return arguments[:-2]


def test_the_first_boot_needs_no_running_sshd(host, alice_key):
    host.accounts({"members": {"alice": {"keys": [alice_key.line]}}})
    host.run("rm", "-r", "/run/sshd")
    done = host.run("/opt/ec2-lab/sshd-hardening", "apply", "--console")
    assert (
        done.stdout
        == "ec2-lab: sshd: applied keys alone open alice; sshd is not running yet; it will start with this\n"
    )
    host.start_sshd()
    assert host.ssh("alice", "true", key=alice_key.file).worked


@pytest.mark.skipif(not shutil.which("systemd-tmpfiles"), reason="needs systemd-tmpfiles (apt-get install systemd)")
def test_unconfirmed_it_does_not_outlive_a_reboot(peopled):
    before = files(peopled)
    peopled.harden("apply", "--confirm-within", "60")
    at_boot = peopled.path("/etc/tmpfiles.d/ec2-lab-sshd.conf")
    peopled.run_outside("systemd-tmpfiles", "--boot", "--remove", f"--root={peopled.root}", "ec2-lab-sshd.conf")
    assert files(peopled) == before
    assert not at_boot.exists()
    assert peopled.harden("status").changes == [(None, "unchanged", "not in place")]

    peopled.harden("apply", "--confirm-within", "60")
    assert at_boot.exists()
    peopled.harden("confirm")
    assert not at_boot.exists()
