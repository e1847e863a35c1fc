"""What happens is sent where lab.toml says, by addresses that stand nowhere, and what can't be sent stops nothing."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event as Flag
from threading import Thread
from typing import get_args

import pytest
import yaml

from ec2lab.config.lab_sections import NOTIFIED
from ec2lab.events.schema import EVENTS
from ec2lab.watch.notification_destinations import is_allowed, post
from tests.aws_cli import is_installed

TOPIC = "arn:aws:sns:us-east-1:{account}:ec2-lab-lab"


@contextmanager
def receiver(status=200, location="", held=None):
    """A web server on loopback; gives its address, and what was posted to it."""
    posted = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            posted.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            if held:
                held.wait(60)
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.end_headers()

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/services/T0/secret-part", posted
    finally:
        server.shutdown()
        server.server_close()


def configure(lab, notify):
    lab.write("lab.toml", f'name = "r-d"\nregions = ["us-east-1"]\n[notify]\n{notify}\n')
    lab.write("experiments/demo.toml", 'instance_types = ["g5.xlarge"]\n')


def everything_kept(lab):
    return "".join(
        p.read_text(errors="replace") for p in lab.path.rglob("*") if p.is_file() and ".local-cloud" not in p.parts
    )


def test_a_launch_tells_slack_a_webhook_and_a_topic_and_keeps_no_address(lab, cloud):
    sns, sqs = cloud.client("sns", "us-east-1"), cloud.client("sqs", "us-east-1")
    topic = sns.create_topic(Name="ec2-lab-r-d")["TopicArn"]
    queue = sqs.create_queue(QueueName="seen")["QueueUrl"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=sqs.get_queue_attributes(
        QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])  # fmt: skip
    with receiver() as (address, posted):
        cloud.client("ssm", "us-east-1").put_parameter(Name="/lab/hook", Value=f"{address}?all", Type="SecureString")
        configure(lab, f'slack = "env:HOOK"\nwebhook = "ssm:/lab/hook"\ntopic = "{topic}"')
        ended = lab.launch(HOOK=address)
    assert (ended.code, ended.err) == (0, "")
    told = dict(posted)
    (one,) = [event for event in ended.events if event["event"] == "instance-running"]
    assert told["/services/T0/secret-part"]["text"].startswith("[r-d] demo runs after ")
    assert (told["/services/T0/secret-part?all"]["event"], told["/services/T0/secret-part?all"]["id"]) == (
        "instance-running", one["id"],
    )  # fmt: skip
    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    published = json.loads(message["Body"])
    assert published["Subject"].startswith("[r-d] demo runs after ")
    assert one["id"] in published["Message"]
    assert "secret-part" not in everything_kept(lab) + ended.out


def test_a_search_in_vain_is_told_and_only_events_that_are_wanted(lab, cloud):
    cloud.scenario(capacity=[{}])
    with receiver() as (address, posted):
        configure(lab, 'webhook = "env:HOOK"')
        assert lab.launch(HOOK=address).code == 1
        configure(lab, 'webhook = "env:HOOK"\nevents = ["launch-rejected"]')
        assert lab.launch(HOOK=address).code == 1
    first, *others = [content["event"] for _, content in posted]
    assert first == "capacity-exhausted"
    assert set(others) == {"launch-rejected"}


@pytest.mark.parametrize(
    ("status", "hook", "said"),
    [
        (500, None, "instance-running was not sent: UserError: the response is 500"),
        (302, None, "the response is 302"),
        (200, "", "lab.toml: notify.slack: env:HOOK: is not set in the environment"),
        (
            200,
            "http://hooks.example.com/secret-part",
            "does not hold an https:// address (http:// is for loopback only)",
        ),
        (200, "http://127.0.0.1:9/secret-part", "Connection refused"),
    ],
)
def test_what_cannot_be_told_is_one_warning_without_the_address_and_the_launch_goes_on(lab, status, hook, said):
    with receiver() as (elsewhere, arrived), receiver(status, elsewhere) as (address, _):
        configure(lab, 'slack = "env:HOOK"')
        ended = lab.launch(HOOK=address if hook is None else hook)
        assert ended.code == 0
        assert said in ended.error
        assert arrived == []
    assert "secret-part" not in ended.err + everything_kept(lab)


def test_one_that_hangs_is_given_up(lab):
    let_go = Flag()
    with receiver(held=let_go) as (address, posted):
        configure(lab, 'slack = "env:HOOK"')
        lab.write("hanging.py", HANGING.format(address=address))
        ended = lab.run_file("hanging.py")
        let_go.set()
    assert (ended.code, len(posted)) == (0, 1)
    assert "warning: notifier slack: did not receive all events, because it does not return" in ended.err


HANGING = """
import os
os.environ["HOOK"] = "{address}"
from ec2lab.events.watch import CommandExited
from ec2lab.session import open_session
from ec2lab.watch import notification_destinations as destinations, notifier
notifier.NotificationDispatcher.__init__.__defaults__ = (0.2,)
with open_session("test") as session, destinations.notifying(session, print) as emit:
    emit(CommandExited(experiment="demo", instance="i-1", exit_code=0))
"""


def test_an_address_in_lab_toml_is_refused_and_not_repeated(lab):
    configure(lab, 'slack = "https://hooks.example.com/secret-part"')
    error = lab.run("launch", EXP="demo").error
    assert "lab.toml: notify.slack: this is not a place" in error
    assert "secret-part" not in error


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("https://hooks.example.com/x", True), ("http://localhost:8080/x", True), ("http://[::1]/x", True),
        ("http://10.0.0.7/x", False), ("ftp://hooks.example.com", False), ("https://", False),
        ("file:///etc/passwd", False),
        ("https://a b", False), ("https://hooks.example.com:x/", False), ("http://127.0.0.1.example.com/", False),
    ],
)  # fmt: skip
def test_addresses_are_https_or_of_this_computer(address, allowed):
    assert is_allowed(address) is allowed


def test_what_is_for_this_computer_is_shown_to_no_proxy(monkeypatch):
    with receiver() as (proxy, passed_on), receiver() as (address, posted):
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        post(address, {"text": "it runs"})
    assert (passed_on, [content for _, content in posted]) == ([], [{"text": "it runs"}])


def test_every_event_for_notifiers_can_be_chosen_in_lab_toml():
    assert set(get_args(NOTIFIED)) == {name for name, event in EVENTS.items() if event.notify}


NOTIFY = '[notify]\nemail = ["alice@example.org", "bob@example.org"]\n'


LAB = f'name = "r-d"\nregions = ["us-east-1"]\n{NOTIFY}'


def subscribed(cloud, topic):
    """Subscribe a queue to a topic; return what returns the messages since the last call."""
    sns, sqs = cloud.client("sns", "us-east-1"), cloud.client("sqs", "us-east-1")
    queue = sqs.create_queue(QueueName="seen")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=attributes["QueueArn"])

    def received():
        found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", ())
        for message in found:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in found]

    return received


@pytest.fixture
def received(lab, cloud):
    """What returns the messages of a lab's topic since the last call."""
    lab.write("lab.toml", LAB)
    return subscribed(cloud, cloud.client("sns", "us-east-1").create_topic(Name="ec2-lab-r-d")["TopicArn"])


def test_setup_makes_the_topic_once_with_its_subscribers_and_the_instances_right_to_publish(lab, cloud):
    lab.write("lab.toml", LAB)
    shown = lab.run("setup_aws").out
    assert "  the topic ec2-lab-r-d, for e-mail" in shown
    assert "its subscriber bob@example.org, who gets a link to confirm" in shown
    assert lab.run("setup_aws", YES="1").code == 0
    (topic,) = [one["id"] for one in cloud.inventory() if one["kind"] == "topic"]
    told = cloud.client("sns", "us-east-1").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert [one["Endpoint"] for one in told] == ["alice@example.org", "bob@example.org"]
    again = lab.run("setup_aws", YES="1", JSON="1").events
    assert [one["created"] for one in again if one["event"] == "setup-complete"] == [0]
    role = {"RoleName": "ec2-lab-r-d-log-writer", "PolicyName": "deliver-logs"}
    document = cloud.client("iam", "us-east-1").get_role_policy(**role)["PolicyDocument"]
    assert document["Statement"] == [{"Effect": "Allow", "Action": "sns:Publish", "Resource": topic}]
    received = subscribed(cloud, topic)
    lab.write("experiments/demo.toml", 'instance_types = ["g5.xlarge"]\n')
    assert lab.launch().code == 0
    (message,) = received()
    assert message["Subject"].startswith("[r-d] demo runs after ")
    assert lab.teardown().code == 0
    removed = lab.run("teardown_aws", REGIONS="us-east-1", YES="1")
    assert removed.code == 0, removed.err
    assert [one for one in cloud.inventory() if one["kind"] in ("topic", "role")] == []


def test_a_topic_of_that_name_that_is_somebody_elses_is_left_alone(lab, cloud):
    cloud.client("sns", "us-east-1").create_topic(Name="ec2-lab-lab")
    lab.write("lab.toml", f'regions = ["us-east-1"]\n{NOTIFY}')
    assert "that is not this lab's" in lab.run("setup_aws", YES="1").error


WATCHED = """
from ec2lab.events.watch import CommandExited
from ec2lab.session import open_session
from ec2lab.watch import notification_destinations as destinations
with open_session("test") as session, destinations.notifying(session, lambda _: None) as emit:
    emit(CommandExited(experiment="demo", instance="i-1", exit_code=7))
"""
PROFILE = 'instance_profile = "ec2-lab-r-d-logs"\n'
EXPERIMENT = 'instance_types = ["g5.xlarge"]\ncommand = "true"\nttl = "1h"\n'


@pytest.mark.skipif(not is_installed(), reason="the AWS CLI is not installed: pip install awscli")
def test_an_instance_publishes_its_end_by_itself(lab, cloud, received, aws_cli, tmp_path):
    lab.write("experiments/demo.toml", EXPERIMENT + PROFILE)
    (request,) = [one for one in lab.run("plan", EXP="demo", JSON="1").events if one["event"] == "planned-request"]
    files = {one["path"]: one["content"] for one in yaml.safe_load(request["cloud_init"])["write_files"]}
    units = "/etc/systemd/system"
    assert "ExecStopPost=-+/opt/ec2-lab/notify-end command" in files[f"{units}/experiment.service.d/notify.conf"]
    assert "ExecStartPre=-/opt/ec2-lab/notify-end %i" in files[f"{units}/ec2-lab-power-off@.service.d/notify.conf"]
    (tmp_path / "notify.json").write_text(files["/opt/ec2-lab/notify.json"])
    (tmp_path / "i-1").mkdir()
    (tmp_path / "i-1/ended.json").write_text('{"exit_code": 7}')
    (tmp_path / "instance").symlink_to("i-1")
    program = files["/opt/ec2-lab/notify-end"].replace("/opt/ec2-lab", str(tmp_path))
    program = program.replace("/var/lib/ec2-lab/instance", str(tmp_path / "instance"))
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    for reason in ("command", "completion", "ttl", "idle"):
        subprocess.run([sys.executable, "-c", program, reason], check=True, env={**inherited, **cloud.credentials()})
    assert sorted(one["Subject"] for one in received()) == [
        "[r-d] demo: it terminates: it was idle (i-1)", "[r-d] demo: it terminates: its ttl is over (i-1)",
        "[r-d] demo: its command exited with status 7 (i-1)",
    ]  # fmt: skip


def test_what_the_instance_publishes_the_watch_does_not_publish_again(lab, cloud, received):
    cloud.client("iam", "us-east-1").create_instance_profile(InstanceProfileName="ec2-lab-r-d-logs")
    lab.write("watched.py", WATCHED)
    for profile, count in ((PROFILE, 0), ("", 1)):
        lab.write("experiments/demo.toml", EXPERIMENT + profile)
        assert lab.launch().code == 0
        received()
        assert lab.run_file("watched.py").code == 0
        assert len(received()) == count
        assert lab.teardown().code == 0
