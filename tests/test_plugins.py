"""A plugin file that is dropped in is used."""

import base64
import gzip
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.lab_directory import REPOSITORY

_, PART, KIND, BACKEND, CHECK, NOTIFIER, SCRIPT = re.findall(
    r"```python\n(.*?)```", (REPOSITORY / "docs" / "plugins.md").read_text(), re.DOTALL
)
"""The examples of docs/plugins.md."""

KEY = f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{'A' * 43} alice"
HOOK = "from scripts.core.plugins import hookimpl\n@hookimpl\n"
CREATE = """
from scripts.core.session import acting_on
with acting_on("demo", "create") as session:
    data = {"InstanceType": "g5.xlarge"}
    session.cloud.ec2("us-east-1").create_launch_template(LaunchTemplateName="mine", LaunchTemplateData=data)
"""


def test_a_launch_part_dropped_into_plugins_adds_its_share(lab, cloud):
    lab.write("plugins/motd.py", PART)
    assert lab.launch().code == 0
    ec2 = cloud.client("ec2", "us-east-1")
    (instance,) = [i for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]]
    found = ec2.describe_instance_attribute(InstanceId=instance["InstanceId"], Attribute="userData")["UserData"]
    user_data = gzip.decompress(base64.b64decode(found["Value"])).decode()
    assert user_data.startswith("#cloud-config\n")
    assert '{"path": "/etc/motd", "content": "This is demo.\\n"}' in user_data


def test_a_kind_dropped_into_plugins_is_tagged_shown_and_torn_down(lab, cloud):
    lab.write("plugins/launch_template.py", KIND)
    lab.write("create.py", CREATE)
    assert lab.run_file("create.py").code == 0
    (template,) = cloud.client("ec2", "us-east-1").describe_launch_templates()["LaunchTemplates"]
    assert {"Key": "lab:experiment", "Value": "demo"} in template["Tags"]
    assert [resource["kind"] for resource in lab.status()] == ["launch-template"]
    assert lab.teardown().code == 0
    assert cloud.client("ec2", "us-east-1").describe_launch_templates()["LaunchTemplates"] == []


def test_a_registry_backend_dropped_into_plugins_keeps_the_records(lab, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    lab.write("plugins/home.py", BACKEND)
    lab.write("lab.toml", 'regions = ["us-east-1"]\nregistry = "home://speech"\n')
    assert lab.run("launch", EXP="demo", HOME=str(home)).code == 0
    assert "RunInstances" in (home / "speech-registry.json").read_text()
    assert not lab.registry.exists()
    assert lab.run("teardown", EXP="demo", HOME=str(home)).code == 0
    ended = lab.run("status", REGISTRY="home://a b", HOME=str(home))
    assert ended.error == "error: REGISTRY: 'home://a b' is no name of letters and digits (try home://speech)"


def test_a_check_dropped_into_plugins_is_made_by_the_doctor(lab):
    lab.write("plugins/uids.py", CHECK)
    lab.write("members/alice.toml", f'keys = ["{KEY}"]\n')
    ended = lab.run("doctor", JSON="1")
    (found,) = [event for event in ended.events if event.get("check") == "uids"]
    assert (found["level"], found["text"]) == ("warning", "without a uid: alice")
    assert found["remedy"] == "uid = … in each one's file in members/"


@pytest.fixture
def webhook():
    """What was posted to a real HTTP server on loopback, and its address."""
    posted = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500 if len(posted) == 1 else 204)  # what fails once is told the next all the same
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield posted, f"http://127.0.0.1:{server.server_address[1]}/hook"
    server.shutdown()
    server.server_close()


def test_a_notifier_dropped_into_plugins_is_told_what_a_watch_sees(lab, cloud, webhook):
    posted, address = webhook
    lab.write("plugins/webhook.py", NOTIFIER)
    lab.write("experiments/demo.toml", 'types = ["g5.xlarge"]\nmarkets = ["spot"]\n')
    machine = next(event["id"] for event in lab.launch().events if event["event"] == "lives")
    watching = lab.start("watch", EXP="demo", LAB_WEBHOOK=address, NO_PROXY="127.0.0.1", no_proxy="127.0.0.1")
    for line in watching.stdout:
        if f"{machine}  running" in line:
            break
    cloud.end(machine, "us-east-1", "Server.SpotInstanceTermination")
    out, err = watching.communicate(timeout=60)
    assert (watching.returncode, err) == (0, "")
    assert [event["event"] for event in posted] == ["running", "interrupted", "ended"]
    assert posted[0]["text"] == f"demo: {machine} runs (g5.xlarge in us-east-1)"
    assert (posted[1]["stage"], posted[1]["machine"], posted[1]["experiment"]) == ("taken", machine, "demo")
    assert "notifier webhook: running was not told: HTTPError: HTTP Error 500" in out
    assert address not in out + lab.registry.read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import no_such_module", "can't be loaded: ModuleNotFoundError"),
        ("raise SystemExit(3)", "can't be loaded: SystemExit: 3"),
        (HOOK + "def lab_kind(): return []", "unknown hook 'lab_kind'"),
        (HOOK + "def lab_kinds(session): return []", "can't be loaded: PluginValidationError"),
        (HOOK + "def lab_kinds(): return ['volume']", "lab_kinds: 'volume' is not a Kind"),
        (HOOK + "def lab_launch_parts(): return 1 / 0", "can't be loaded: ZeroDivisionError"),
    ],
)
def test_a_plugin_that_is_wrong_is_named_in_one_line_and_nothing_is_launched(lab, cloud, text, said):
    lab.write("plugins/wrong.py", text + "\n")
    ended = lab.launch()
    assert ended.code == 1
    assert "plugins" in ended.error
    assert said in ended.error
    assert cloud.calls() == []


def test_a_plugins_kind_takes_the_place_of_the_built_in_one_of_its_name(lab):
    lab.write("plugins/mine.py", KIND.replace('name = "launch-template"', 'name = "key-pair"'))
    lab.write("create.py", CREATE)
    lab.run_file("create.py")
    assert [resource["kind"] for resource in lab.status()] == ["key-pair"]


def test_a_script_dropped_into_plugins_is_listed_and_run(lab):
    lab.write("plugins/who_runs.py", SCRIPT)
    assert lab.run("script").out == "  who-runs             Say how many machines of each experiment live.\n"
    (listed,) = lab.run("script", JSON="1").events
    assert listed == {
        "event": "script", "name": "who-runs", "summary": "Say how many machines of each experiment live."
    }  # fmt: skip
    assert lab.launch("demo", COUNT="2").code == 0
    assert lab.run("script", SCRIPT="who-runs").out == "demo: 2\n"
    said, _ = lab.start("script", SCRIPT="who-runs", JSON="1").communicate()
    assert json.loads(said) == {"event": "running", "experiment": "demo", "count": 2}


def test_a_script_that_nobody_brings_is_refused_by_name(lab):
    assert lab.run("script").out == "no plugin brings a script: docs/plugins.md says how to write one\n"
    assert "no plugin brings 'who-runs' (no plugin brings one)" in lab.run("script", SCRIPT="who-runs").error
    lab.write("plugins/who_runs.py", SCRIPT)
    ended = lab.run("script", SCRIPT="who-run")
    assert ended.code == 1
    assert ended.error == "error: SCRIPT: no plugin brings 'who-run' (did you mean \"who-runs\"?)"


def test_a_plugins_script_fails_in_one_line_as_the_labs_own_do(lab):
    lab.write("plugins/who_runs.py", SCRIPT)
    lab.write("lab.toml", "regions = []\n")
    ended = lab.run("script", SCRIPT="who-runs")
    assert ended.code == 1
    assert ended.error == 'error: lab.toml: regions: is empty (try regions = ["us-east-1", "us-west-2"])'


def test_what_is_no_script_is_blamed_on_its_plugin(lab):
    lab.write("plugins/who_runs.py", HOOK + "def lab_scripts():\n    return ['who-runs']\n")
    assert "plugins/who_runs.py: lab_scripts: 'who-runs' is not a PluginScript" in lab.run("script").error
