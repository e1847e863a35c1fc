"""An instance whose set-up fails, one that is idle, and one whose time is over, end as their experiments say."""

import pytest

pytestmark = pytest.mark.vm

OVER = "ec2-lab: powering off: ttl"
IDLE = "ec2-lab: idle for 60 s, this instance ends"
PLUGIN = """
from ec2lab.launch.part import LaunchPart, LaunchFragment
from ec2lab.plugins import hookimpl


class Failing(LaunchPart):
    name = "failing"
    order = 60

    def share(self, site):
        return LaunchFragment(cloud_init={"runcmd": [["ls", "/nowhere"], ["touch", "/after"]]})


@hookimpl
def lab_launch_parts():
    return [Failing()]
"""


def test_a_failing_command_is_reported_with_its_words_and_the_instance_is_taken_down(laboratory):
    laboratory.directory.write("plugins/failing.py", PLUGIN)
    laboratory.directory.write(
        "experiments/failing.toml",
        'instance_types = ["g5.xlarge"]\non_boot_failure = "teardown"\n[[data]]\ndataset = "speech"\nmount = "/data"\n',
    )
    instance, ended = laboratory.launch("failing")
    assert ended.code == 1
    assert "cloud-init failed" in ended.error
    assert "FAILED: ls /nowhere" in ended.error, "what failed is named from the console"
    assert "NOT MOUNTED: /data: its volume" in ended.error, "its disk was never attached"
    assert "torn down, as experiments/failing.toml says" in ended.error
    assert [line for line in laboratory.directory.status() if line["experiment"] == "failing"] == []
    assert "FAILED: touch" not in instance.console, "what came after it ran"
    instance.stop()  # as the teardown would


def test_an_instance_powers_itself_off_when_it_was_idle_or_its_time_is_over(laboratory):
    laboratory.directory.write(
        "experiments/short.toml", 'instance_types = ["g5.xlarge"]\nttl = "12h"\nidle_timeout = "1m"\n'
    )
    (laboratory.directory.path / "plugins/failing.py").unlink(missing_ok=True)
    instance, ended = laboratory.launch("short")
    assert ended.code == 0, ended.err
    assert "denied" in inhibited(laboratory, "short", "block").lower(), "not even root can power it off by logind"
    instance.wait_until_off()
    assert instance.console.count(IDLE) == 1
    assert instance.console.count("ec2-lab: powering off: idle") == 1
    assert OVER not in instance.console
    logins = instance.console.count("login:")
    instance.boot()
    instance.wait_for_console("login:", times=logins + 1)
    with laboratory.logged_in("short"):  # or it would be idle again
        inhibited(laboratory, "short", "block")
        extended = laboratory.run("ttl_set", EXP="short", TTL="1m")
        assert extended.code == 0, extended.err
        instance.wait_until_off()
    assert instance.console.count(OVER) == 1
    instance.boot()  # as an instance that was stopped and is started when its time has passed
    instance.wait_until_off()
    assert instance.console.count(OVER) == 2, "its time began again, as long as was last set"
    assert instance.console.count(IDLE) == 1


def inhibited(laboratory, experiment, mode):
    """Let something on an instance inhibit its shutdown; return what systemctl says to a root who wants it off."""
    holds = f"systemd-inhibit --what=shutdown --who=backup --mode={mode} sleep infinity"
    waits = "until systemd-inhibit --list | grep backup; do sleep 0.2; done"
    return laboratory.ssh(experiment, f"sudo systemd-run --quiet {holds}; {waits}; sudo systemctl poweroff 2>&1").stdout
