"""A watch asks the instance itself, over ssh, how its command gets on."""

import json
import signal
import threading

from tests.waiting import wait_until


def test_it_tells_the_last_line_the_time_left_and_the_commands_end_and_puts_it_on_record(running, cloud):
    lab, host, variables, instance, region = running
    running.prints("epoch 3\n")
    host.run("mkdir", "-p", "/etc/systemd/system/ec2-lab-time-to-live.timer.d")
    host.write("/etc/systemd/system/ec2-lab-time-to-live.timer.d/deadline.conf", "[Timer]\nOnCalendar=@4102444800\n")
    watching = lab.start("watch", EXP="demo", JSON="1", **variables)
    alarm = threading.Timer(90, watching.kill)
    alarm.start()

    def following(name):
        return next(event for line in watching.stdout if (event := json.loads(line))["event"] == name)

    progress = following("run-progress")
    assert progress["line"] == "epoch 3"
    assert progress["seconds_left"] > 3600
    running.ends(3)
    ended = following("command-exited")
    assert (ended["instance"], ended["exit_code"]) == (instance, 3)
    cloud.end(instance, region, "Server.SpotInstanceTermination")
    assert following("experiment-ended")["exit_code"] == 3
    assert watching.wait(30) == 0
    alarm.cancel()
    assert [r["annotation"]["exited"] for r in lab.records() if "exited" in r.get("annotation", {})] == [
        {"exit_code": 3}
    ]


def test_logs_and_wait_hear_the_command_alone_and_leave_nothing_there_when_they_are_ended(running):
    lab, host, variables, _, _ = running
    running.prints("epoch 3\n")
    following = lab.start("logs", EXP="demo", **variables)
    assert following.stdout.readline() == "epoch 3\n"
    following.send_signal(signal.SIGINT)
    following.communicate(timeout=20)
    programs = ("pgrep", "-f", "sys.stdin.buffer.read")
    wait_until(lambda: host.run(*programs, check=False).returncode == 1)
    running.ends(3)
    shown = lab.run("logs", EXP="demo", **variables)
    assert (shown.code, shown.out) == (0, "epoch 3\n"), shown.err
    assert lab.run("wait", EXP="demo", **variables).code == 3


def test_an_instance_that_may_not_be_logged_in_to_is_watched_all_the_same(running, cloud):
    lab, _, variables, instance, region = running
    (lab.path.parent / "home/.ssh/config").write_text("Match host 127.0.0.1\n  Port 1\n")
    watching = lab.start("watch", EXP="demo", JSON="1", **variables)
    alarm = threading.Timer(90, watching.kill)
    alarm.start()
    events = []
    for line in watching.stdout:
        events.append(json.loads(line))
        if events[-1]["event"] == "warning":
            cloud.end(instance, region, "Server.SpotInstanceTermination")
    alarm.cancel()
    assert watching.wait(30) == 0, watching.stderr.read()
    assert [event["event"] for event in events] == [
        "instance-running",
        "warning",
        "instance-state-changed",
        "interrupted",
        "experiment-ended",
    ]
    assert "demo: " in events[1]["message"]
    assert events[-1]["exit_code"] is None
