"""A plugin file that is dropped in is used."""

import base64
import gzip
import json
import os
import pkgutil
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ec2lab.errors import PluginFailed
from ec2lab.launch.part import launch_parts
from ec2lab.plugin_interfaces import Hooks
from ec2lab.plugins import Plugins, PluginScript
from tests.lab_directory import REPOSITORY

_, PART, KIND, PRICER, BACKEND, CHECK, NOTIFIER, SCRIPT = re.findall(
    r"```python\n(.*?)```", (REPOSITORY / "docs" / "plugins.md").read_text(), re.DOTALL
)
"""The examples of docs/plugins.md."""

KEY = f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{'A' * 43} alice"
HOOK = "from ec2lab.plugins import hookimpl\n@hookimpl\n"
CREATE = """
from ec2lab.session import locked_session
with locked_session("demo", "create") as session:
    data = {"InstanceType": "g5.xlarge"}
    session.cloud.ec2("us-east-1").create_launch_template(LaunchTemplateName="mine", LaunchTemplateData=data)
"""


def test_each_hook_names_the_class_that_plugins_are_held_to():
    hooks = [hook for name, hook in vars(Hooks).items() if name.startswith("lab_")]
    names = [re.search(r"`(ec2lab\.[\w.]+)`\.$", hook.__doc__)[1] for hook in hooks]
    classes = [pkgutil.resolve_name(name) for name in names]
    assert [one for one in classes if not hasattr(one, "results")] == [PluginScript]


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
    assert [resource["resource_type"] for resource in lab.status()] == ["launch-template"]
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
    assert (found["severity"], found["message"]) == ("warning", "without a uid: alice")
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
    lab.write("experiments/demo.toml", 'instance_types = ["g5.xlarge"]\nmarkets = ["spot"]\n')
    instance = next(event["id"] for event in lab.launch().events if event["event"] == "instance-running")
    watching = lab.start("watch", EXP="demo", LAB_WEBHOOK=address, NO_PROXY="127.0.0.1", no_proxy="127.0.0.1")
    for line in watching.stdout:
        if f"{instance} runs" in line:
            break
    cloud.end(instance, "us-east-1", "Server.SpotInstanceTermination")
    out, err = watching.communicate(timeout=60)
    assert (watching.returncode, err) == (0, "")
    assert [event["event"] for event in posted] == ["instance-running", "interrupted", "experiment-ended"]
    assert posted[0]["text"].startswith(f"demo: {instance} runs (g5.xlarge in us-east-1")
    assert (posted[1]["stage"], posted[1]["instance"], posted[1]["experiment"]) == ("terminated", instance, "demo")
    assert "notifier webhook: instance-running was not sent: HTTPError: HTTP Error 500" in out
    assert address not in out + lab.registry.read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import no_such_module", "can't be loaded: ModuleNotFoundError"),
        ("raise SystemExit(3)", "can't be loaded: SystemExit: 3"),
        (HOOK + "def lab_kind(): return []", "unknown hook 'lab_kind'"),
        (HOOK + "def lab_resource_types(session): return []", "can't be loaded: PluginValidationError"),
        (HOOK + "def lab_resource_types(): return ['volume']", "lab_resource_types: 'volume' is not a ResourceType"),
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


ESC = "\\x1b]0;x\\x07"
"""Escaped in Python's text."""
RAISES = f"raise ValueError('no{ESC}')"
BAD_PART = """
from ec2lab.launch.part import LaunchPart, Prerequisite, LaunchFragment
from ec2lab.plugins import hookimpl

class Bad(LaunchPart):
    name = "bad"

    def share(self, site):
        BODY

@hookimpl
def lab_launch_parts():
    return [Bad()]
"""


MADE_FIRST = "return LaunchFragment(prerequisites=(Prerequisite('it', lambda: MAKE),))"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (RAISES, r"plugins/bad.py:9: Bad.share: ValueError: no\x1b]0;x\x07"),
        (MADE_FIRST.replace("MAKE", "1 / 0"), "plugins/bad.py:9: Bad.share: ZeroDivisionError"),
        (
            "return LaunchFragment(request={'Magic': 1})",
            "Bad.share: ParamValidationError: Parameter validation failed: Unknown",
        ),
        (
            "return LaunchFragment(request={'BlockDeviceMappings': [{}]})",
            "a block device mapping without its DeviceName",
        ),
    ],
)
def test_a_launch_part_that_fails_is_one_line_that_names_it_and_nothing_is_left(lab, cloud, body, said):
    lab.write("plugins/bad.py", BAD_PART.replace("BODY", body))
    ended = lab.launch()
    assert ended.code == 1
    assert said in ended.err.splitlines()[-1]
    assert "Traceback" not in ended.err
    assert "\x1b" not in ended.err
    assert cloud.calls("RunInstances") == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return None", "Bad.share: returned None, not a LaunchFragment"),
        ("yield 1", "Bad.share: returned <generator object Bad.share at"),
        ("raise SystemExit(3)", "plugins/bad.py:9: Bad.share: SystemExit: 3"),
        ("return LaunchFragment(request=[1])", "Bad.share: LaunchFragment.request is [1], not a mapping"),
        ("return LaunchFragment(efa_types='p5')", "Bad.share: LaunchFragment.efa_types is 'p5', not a frozenset"),
        (
            "return LaunchFragment(cloud_init={'runcmd': 'reboot'})",
            "LaunchFragment.cloud_init: runcmd is 'reboot', not a list",
        ),
        ("return LaunchFragment(cloud_init={'a': {1, 2}})", "TypeError: Object of type set is not JSON serializable"),
        ("return LaunchFragment(tags={'a': 1})", "Bad.share: LaunchFragment.tags: 'a': 1 is no text"),
        ("return LaunchFragment(prerequisites=(1,))", "Bad.share: returned 1, not a Prerequisite"),
        (MADE_FIRST.replace("MAKE", "1"), "Bad.share: returned 1, not a LaunchFragment"),
    ],
)
def test_what_a_launch_part_returns_is_checked_where_it_comes_from(lab, body, said):
    lab.write("plugins/bad.py", BAD_PART.replace("BODY", body))
    (part,) = [part for part in launch_parts(Plugins(lab.path / "plugins")) if part.name == "bad"]
    with pytest.raises(PluginFailed) as failed:
        part.share(None).prepared()
    assert said in str(failed.value)


def test_a_plugin_that_fails_after_an_instance_was_made_has_it_taken_down_like_any_error(lab, cloud):
    preparing = MADE_FIRST.replace("MAKE", "1 / 0 if site.region == 'us-west-2' else LaunchFragment()")
    lab.write("plugins/bad.py", BAD_PART.replace("BODY", preparing))
    lab.write("lab.toml", 'regions = ["us-east-1", "us-west-2"]\n')
    lab.write("experiments/demo.toml", 'instance_types = ["g5.xlarge"]\n')
    cloud.scenario(capacity=[{"region": "us-east-1", "available": 1}])
    ended = lab.launch(COUNT="2")
    assert ended.code == 1
    assert "plugins/bad.py:9: Bad.share: ZeroDivisionError: division by zero" in ended.err
    assert len(cloud.calls("TerminateInstances")) == 1
    assert lab.status() == []


BAD_KIND = KIND.replace(
    'return cloud.ec2(region).describe_launch_templates(Filters=filters)["LaunchTemplates"]', "FIND"
).replace("cloud.ec2(resource.region).delete_launch_template(LaunchTemplateId=resource.id)", "DELETE")


def test_a_resource_type_that_fails_hides_and_keeps_nothing_else(lab, cloud):
    assert lab.launch().code == 0
    assert KIND != BAD_KIND
    lab.write("plugins/bad.py", BAD_KIND.replace("FIND", "return cloud.no_such_thing").replace("DELETE", "pass"))
    lab.write("create.py", CREATE)
    assert lab.run_file("create.py").code == 0
    said = "LaunchTemplate.find: AttributeError: 'Cloud' object has no attribute"
    shown = lab.run("status", JSON="1")
    assert shown.code == 3
    assert "instance" in [event["resource_type"] for event in shown.events if event["event"] == "resource"]
    assert said in shown.out
    ended = lab.run("teardown", EXP="demo")
    assert ended.code == 1
    assert said in ended.err
    assert {one["state"] for one in cloud.inventory() if one["kind"] == "instance"} == {"terminated"}
    lab.write("plugins/bad.py", BAD_KIND.replace("FIND", "return None").replace("DELETE", "pass"))
    assert "LaunchTemplate.find: returned None, not mappings" in lab.run("teardown", EXP="demo").err
    lab.write("plugins/bad.py", KIND)
    assert lab.teardown().code == 0


def test_a_price_that_fails_is_unknown_and_hides_no_other(lab):
    lab.launch()
    lab.write("plugins/bad.py", KIND)
    lab.write(
        "plugins/price.py", PRICER.replace("nat-gateway", "launch-template").replace("return 0", "return 'much' or 0")
    )
    lab.write("create.py", CREATE)
    lab.run_file("create.py")
    shown = lab.run("status")
    assert (shown.code, shown.out.count("launch-template")) == (0, 1)
    assert "what each launch-template costs is unknown: plugins/price.py" in shown.err
    assert "NatGatewayPricer.monthly: returned 'much', not a number" in shown.err


def test_what_a_plugin_prints_does_not_come_between_the_events(lab, cloud):
    lab.write(
        "plugins/loud.py",
        f"print('loading{ESC}')\n" + PART.replace("        return", "        print('asked')\n        return"),
    )
    ended = lab.launch()
    assert ended.code == 0
    assert len(ended.events) > 2, "all of standard output is JSON"
    assert {r"loading\x1b]0;x\x07", "asked"} <= set(ended.err.splitlines())


@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        (
            KIND.replace('    tag_type = "launch-template"\n', ""),
            "lab_resource_types: LaunchTemplate: tag_type is missing",
        ),
        (KIND.replace('("instance",)', '"instance"'), "LaunchTemplate: deleted_after is 'instance', not a list of"),
        (PART.replace("order = 60", 'order = "last"'), "Motd: order is 'last', not a whole number"),
    ],
)
def test_what_a_plugin_lacks_is_named(lab, plugin, said):
    lab.write("plugins/wrong.py", plugin)
    ended = lab.run("launch", EXP="demo")
    assert ended.code == 1
    assert "plugins/wrong.py" in ended.error
    assert said in ended.error


def test_a_registry_backend_that_fails_is_named_whenever_it_does(lab):
    lines = ["", "class Bad(FileRegistry):", "    def append(self, record):", "        1 / 0", "return Bad("]
    failing = "\n        ".join(lines)
    lab.write("plugins/home.py", BACKEND.replace("return FileRegistry(", "return str("))
    assert "plugins/home.py: Home.open: returned '" in lab.run("launch", EXP="demo", REGISTRY="home://speech").error
    lab.write("plugins/home.py", BACKEND.replace("return FileRegistry(", failing))
    ended = lab.run("launch", EXP="demo", REGISTRY="home://speech")
    assert (ended.code, "Traceback" in ended.err) == (1, False)
    assert "Bad.append: ZeroDivisionError: division by zero" in ended.err


def test_a_plugin_that_is_no_file_is_not_opened(lab):
    (lab.path / "plugins").mkdir()
    os.mkfifo(lab.path / "plugins" / "endless.py")
    assert "plugins/endless.py: is not a file" in lab.run("status").error


def test_a_plugins_script_that_fails_is_one_line_that_names_it(lab):
    lab.write("plugins/who_runs.py", SCRIPT.replace("console = Console", "1 / 0\n    console = Console"))
    assert "plugins/who_runs.py:24: ZeroDivisionError: division by zero" in lab.run("script", SCRIPT="who-runs").error
    assert "Traceback" in lab.run("script", SCRIPT="who-runs", DEBUG="1").err


def test_a_plugins_kind_takes_the_place_of_the_built_in_one_of_its_name(lab):
    lab.write("plugins/mine.py", KIND.replace('name = "launch-template"', 'name = "key-pair"'))
    lab.write("create.py", CREATE)
    lab.run_file("create.py")
    assert [resource["resource_type"] for resource in lab.status()] == ["key-pair"]


def test_a_script_dropped_into_plugins_is_listed_and_run(lab):
    lab.write("plugins/who_runs.py", SCRIPT)
    assert lab.run("script").out == "  who-runs             Show how many live instances each experiment has.\n"
    (listed,) = lab.run("script", JSON="1").events
    assert listed == {
        "event": "script-info", "name": "who-runs", "summary": "Show how many live instances each experiment has."
    }  # fmt: skip
    assert lab.launch("demo", COUNT="2").code == 0
    assert lab.run("script", SCRIPT="who-runs").out == "demo: 2\n"
    said, _ = lab.start("script", SCRIPT="who-runs", JSON="1").communicate()
    counted = {"event": "instance-count", "text": "demo: 2", "experiment": "demo", "count": 2}
    assert json.loads(said).items() >= counted.items()


def test_a_script_that_nobody_brings_is_refused_by_name(lab):
    assert lab.run("script").out == "no plugin defines a script: docs/plugins.md explains how to write one\n"
    assert "no plugin defines 'who-runs' (no plugin defines one)" in lab.run("script", SCRIPT="who-runs").error
    lab.write("plugins/who_runs.py", SCRIPT)
    ended = lab.run("script", SCRIPT="who-run")
    assert ended.code == 1
    assert ended.error == "error: SCRIPT: no plugin defines 'who-run' (did you mean \"who-runs\"?)"


def test_a_plugins_script_fails_in_one_line_as_the_labs_own_do(lab):
    lab.write("plugins/who_runs.py", SCRIPT)
    lab.write("lab.toml", "regions = []\n")
    ended = lab.run("script", SCRIPT="who-runs")
    assert ended.code == 1
    assert ended.error == 'error: lab.toml: regions: is empty (try regions = ["us-east-1", "us-west-2"])'


def test_what_is_no_script_is_blamed_on_its_plugin(lab):
    lab.write("plugins/who_runs.py", HOOK + "def lab_scripts():\n    return ['who-runs']\n")
    assert "plugins/who_runs.py: lab_scripts: 'who-runs' is not a PluginScript" in lab.run("script").error
