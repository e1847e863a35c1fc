"""Bad input is one clear line, a non-zero exit, and nothing made in AWS."""

import importlib
import os
import resource
import subprocess
import sys

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from ec2lab.errors import UserError
from tests.lab_directory import REPOSITORY
from tests.live_resources import living_in

EXPERIMENT = 'instance_types = ["g5.xlarge"]\n'


def refused(lab, cloud, ended):
    """Return the line of a launch that was refused before anything was made."""
    assert ended.code == 1, ended.out + ended.err
    changing = [c["action"] for c in cloud.calls() if not c["action"].startswith(("Describe", "Get"))]
    assert changing == []
    assert living_in(cloud, "us-east-1", "instance") == []
    return ended.error


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('instance_typse = ["g5.xlarge"]\n', "error: experiments/foo.toml: instance_typse: unknown key (did you mean"),
        ("instance_types = 3\n", "error: experiments/foo.toml: instance_types: should be a valid list, not 3"),
        ("instance_types = [\n", "error: experiments/foo.toml: not TOML"),
        (f"x = {'9' * 5000}\n", "error: experiments/foo.toml: not TOML: Exceeds the limit (4300 digits)"),
        (f"x = {'[' * 9000}{']' * 9000}\n", "error: experiments/foo.toml: not TOML: is nested too deeply"),
        (f"x = '{'x' * 1024 * 1024}'\n", "error: experiments/foo.toml: can't be read: is larger than 1 MiB"),
        (EXPERIMENT + '[[data]]\ndataset = "nothing"\nmount = "/data"\n', "error: foo: no region is usable: dataset"),
        (EXPERIMENT + 'image = { us-east-2 = "ami-12345678" }\n', "error: foo: no region is usable: image: no image"),
        (EXPERIMENT + 'image = { owner = "self", name = "none" }\n', "error: foo: no region is usable: image: self"),
        (EXPERIMENT + 'root_volume = { device = "/dev/sdf" }\n[[data]]\ndataset = "speech"\nmount = "/data"\n',
         "error: volumes: /dev/sdf is used twice"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_experiment_file(lab, cloud, text, said):
    lab.write("experiments/foo.toml", text)
    assert refused(lab, cloud, lab.launch("foo")).startswith(said)


@pytest.mark.parametrize("name", ["experiments/foo.toml", "lab.toml", "members/alice.toml", "members/alice.pub"])
def test_what_never_ends_is_no_file_of_the_labs(lab, cloud, name):
    """git brings links along with a branch, and a link may lead to a device."""
    lab.write("experiments/foo.toml", EXPERIMENT)
    lab.write("members/alice.toml", "")
    (lab.path / name).unlink(missing_ok=True)
    (lab.path / name).symlink_to("/dev/zero")
    assert refused(lab, cloud, lab.launch("foo")) == f"error: {name}: can't be read: is not a regular file"


@pytest.mark.parametrize("name", ["a/b", "a b; c", "$(touch x)", "../demo", "-x", "Demo", "x" * 64, "a\nb"])
def test_a_name_that_can_not_be_one(lab, cloud, name):
    line = refused(lab, cloud, lab.launch(name))
    assert line.startswith("error: EXP: ")
    assert "is not a name of lower-case letters" in line


def test_no_name_at_all(lab, cloud):
    assert refused(lab, cloud, lab.run("launch")) == "error: EXP: which experiment? (experiments/ has demo)"


def test_an_unknown_experiment_names_the_closest_and_the_command_that_makes_one(lab, cloud):
    line = refused(lab, cloud, lab.launch("dmo"))
    assert line == (
        'error: experiments/dmo.toml: no such experiment (did you mean "demo"?); '
        "`make new EXP=dmo` writes one to start from"
    )


@pytest.mark.parametrize(
    "script",
    ["status", "history", "stop", "start", "teardown", "wait", "logs", "watch", "ssh", "exec", "ttl_set", "rerun"],
)
def test_a_name_that_is_neither_here_nor_in_the_registry_names_the_closest(lab, cloud, script):
    more = {"exec": {"CMD": "ls"}, "ttl_set": {"TTL": "4h"}, "rerun": {"NEW_EXP": "again"}}.get(script, {})
    lab.write("experiments/demo-2.toml", 'instance_types = ["g5.xlarge"]\n')
    ended = lab.run(script, EXP="demoo", JSON="1", **more)
    expected = 'EXP: \'demoo\' is in neither experiments/ nor the registry (did you mean "demo" or "demo-2"?)'
    assert refused(lab, cloud, ended) == f"error: {expected}"


@pytest.mark.parametrize("script", ["status", "teardown", "wait"])
def test_a_pattern_that_no_experiment_ever_matched_is_an_error(lab, cloud, script):
    line = refused(lab, cloud, lab.run(script, EXP="speech-*", JSON="1"))
    assert line == "error: EXP: 'speech-*' is in neither experiments/ nor the registry (known: demo)"


def test_a_variable_that_a_target_does_not_take_is_refused(lab, cloud):
    given = r"s -- REGISTRY=x PARAMS=lr=0.1\ COUNT=3 EXPP=demo EXP=demo"
    ended = lab.run("status", EXP="demo", GOALS="status", MAKEFLAGS=given)
    assert ended.error == "error: make status takes no PARAMS, EXPP; it takes EXP, JSON, WIDE"
    assert (ended.code, ended.out) == (2, "")
    launched = lab.launch("demo", GOALS="launch", MAKEFLAGS="s -- EXP=demo REGIONS=us-west-2")
    assert launched.error.startswith("error: make launch takes no REGIONS; it takes BASE, ")
    assert living_in(cloud, "us-east-1", "instance") == []
    assert lab.run("status", EXP="demo", GOALS="plan status", MAKEFLAGS=given).err == ""


def test_a_directory_without_a_lab(tmp_path, lab, cloud):
    (lab.path / "lab.toml").unlink()
    assert "lab.toml: not found" in refused(lab, cloud, lab.launch())


def test_a_wrong_tag_of_the_team(lab, cloud):
    lab.write("lab.toml", 'regions = ["us-east-1"]\n[tags]\n"aws:team" = "x"\n')
    ended = lab.launch()
    assert ended.code == 1
    assert "lab.toml: tags: 'aws:team'" in ended.error


def test_a_member_file_with_options_in_front_of_the_key(lab, cloud):
    lab.write("members/eve.toml", 'keys = ["command=\\"sh\\" ssh-ed25519 AAAA"]\n')
    assert refused(lab, cloud, lab.launch()).startswith("error: members/eve.toml: keys[0]: ")


def test_a_plugin_that_can_not_be_loaded(lab, cloud):
    lab.write("plugins/broken.py", "import no_such_module\n")
    assert refused(lab, cloud, lab.launch()).startswith(
        "error: plugins/broken.py: can't be loaded: ModuleNotFoundError"
    )


def on_aws(lab, *lines):
    lab.write(
        "lab.toml",
        "\n".join(
            ['cloud = "aws"', 'regions = ["us-east-1"]', *lines, "[network]", 'ssh_allowed_cidrs = ["10.0.0.0/8"]']
        ),
    )


def test_no_credentials(lab, cloud, tmp_path):
    on_aws(lab)
    ended = lab.launch(AWS_CONFIG_FILE=str(tmp_path / "none"), AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "none"))
    line = refused(lab, cloud, ended)
    assert "Unable to locate credentials" in line
    assert "aws configure sso" in line


def test_an_unknown_profile(lab, cloud, tmp_path):
    on_aws(lab, 'profile = "nobody"')
    ended = lab.launch(AWS_CONFIG_FILE=str(tmp_path / "none"), AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "none"))
    assert "lab.toml: profile: there is no profile 'nobody' in ~/.aws/config" in refused(lab, cloud, ended)
    on_aws(lab)
    ended = lab.launch(AWS_PROFILE="nobody", AWS_CONFIG_FILE=str(tmp_path / "none"))
    assert "AWS_PROFILE: there is no profile 'nobody'" in ended.error


def test_an_endpoint_that_can_not_be_reached(lab, cloud):
    on_aws(lab)
    ended = lab.launch(
        AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", AWS_ENDPOINT_URL="http://127.0.0.1:1", AWS_MAX_ATTEMPTS="1"
    )
    assert "Could not connect to the endpoint URL" in refused(lab, cloud, ended)


@pytest.mark.bare
def test_a_read_only_registry(lab, cloud):
    lab.registry.write_text("[\n]\n")
    lab.registry.chmod(0o400)
    lab.path.chmod(0o555)
    ended = run_by_somebody_else(lab, "launch")
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: ")
    assert "Traceback" not in ended.stderr
    assert cloud.calls("RunInstances") == []


@pytest.mark.bare
@pytest.mark.parametrize(
    ("script", "directory", "file"),
    [("launch", ".", "lab.toml"), ("doctor", ".", "lab.toml"), ("launch", "experiments", "experiments/demo.toml")],
    ids=lambda value: value.replace("/", "-"),
)
def test_files_that_may_not_be_read(lab, cloud, script, directory, file):
    lab.path.chmod(0o777)
    (lab.path / directory).chmod(0o600)
    ended = run_by_somebody_else(lab, script)
    (lab.path / directory).chmod(0o700)
    assert (ended.returncode, ended.stderr) == (1, f"error: {file}: can't be read: Permission denied\n")


def run_by_somebody_else(lab, script):
    """Run a script for the demo; root may read and write anything, so as root by another user, who comes to the lab."""
    user = {"user": 65534, "group": 65534} if os.getuid() == 0 else {}
    for directory in lab.path.parents:
        if os.getuid() == 0 and directory.stat().st_uid == 0 and not directory.stat().st_mode & 0o005:
            directory.chmod(directory.stat().st_mode | 0o005)
    return subprocess.run(
        [sys.executable, "-m", f"scripts.{script}"], cwd=lab.path, env=lab.environment(EXP="demo"),
        capture_output=True, text=True, check=False, **user,
    )  # fmt: skip


@pytest.mark.bare
def test_a_disk_that_is_full(lab, cloud):
    """A limit on the size of files stands for the disk: the registry can't grow beyond it."""
    lab.registry.write_text("[\n]\n")
    ended = subprocess.run(
        [sys.executable, "-m", "scripts.launch"], cwd=lab.path, env=lab.environment(EXP="demo"),
        capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64)),
    )  # fmt: skip
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "registry.json" in line
    assert cloud.calls("RunInstances") == []
    assert lab.records() == []


def test_debug_shows_the_traceback_and_otherwise_there_is_none(lab):
    assert "Traceback" not in lab.launch("dmo").err
    assert "Traceback" in lab.launch("dmo", DEBUG="1").err


@pytest.mark.parametrize(
    ("registry", "said"),
    [
        ("/", "error: REGISTRY: / is a directory"),
        ("/nonexistent/r.json", "error: REGISTRY: /nonexistent does not exist"),
    ],
)
def test_a_registry_that_can_not_be(lab, cloud, registry, said):
    assert refused(lab, cloud, lab.launch(REGISTRY=registry)).startswith(said)


@pytest.mark.parametrize("mount", ["//", "/.", "/etc", "/usr/local/data", "/home", "/data/../etc", "data", "/da ta"])
def test_a_mount_point_that_can_not_be(lab, cloud, mount):
    lab.write(
        "experiments/demo.toml", f'instance_types = ["g5.xlarge"]\n[[data]]\ndataset = "speech"\nmount = "{mount}"\n'
    )
    assert refused(lab, cloud, lab.launch()).startswith("error: experiments/demo.toml: data[0].mount: ")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("size_gib = 10", "error: dataset speech: size_gib = 10 is less than the 500 of its snapshot"),
        ("throughput = 2000", "error: volume /dev/sdf: throughput: gp3 allows 1 MiB/s for every 4 iops"),
    ],
)
def test_a_volume_that_aws_would_refuse(lab, cloud, keys, said):
    lab.write(
        "experiments/demo.toml",
        f'instance_types = ["g5.xlarge"]\n[[data]]\ndataset = "speech"\nmount = "/data"\n{keys}\n',
    )
    assert refused(lab, cloud, lab.launch()).startswith(said)


def test_more_volumes_than_an_instance_has_names_for(lab, cloud):
    data = "".join(f'[[data]]\ndataset = "speech"\nmount = "/d{n}"\n' for n in range(12))
    lab.write("experiments/demo.toml", EXPERIMENT + data)
    assert "12 volumes; an instance can have 11" in refused(lab, cloud, lab.launch())


def test_zones_outside_the_regions(lab, cloud):
    lab.write("experiments/demo.toml", EXPERIMENT + 'zones = ["eu-west-1a"]\n')
    assert "zones: eu-west-1a is in none of its regions" in refused(lab, cloud, lab.launch())


def test_no_code_takes_what_it_can_not_see_for_absent():
    """Since Python 3.14 Path.exists() does; ec2lab.files.exists() raises."""
    for path in (path for room in ("scripts", "ec2lab") for path in (REPOSITORY / room).rglob("*.py")):
        if path.name not in ("environment.py", "files.py"):
            assert ".exists()" not in path.read_text(), path


def test_a_user_whose_name_is_no_text_launches_and_finds_it_again(lab, cloud):
    """Logins of other systems may be of any bytes; what a record could not be read with would be forgotten."""
    ended = lab.run("launch", EXP="demo", LOGNAME=b"b\xffb".decode(errors="surrogateescape"))
    assert ended.code == 0, ended.err
    assert "set aside" not in lab.run("status").err
    assert "b?b" in {record["actor"].partition("@")[0] for record in lab.records()}
    assert lab.teardown().code == 0


@pytest.mark.parametrize(
    ("script", "variables", "line"),
    [
        ("launch", {"EXP": "demo", "COUNT": "abc"}, "error: COUNT: 'abc' is not a whole number (try COUNT=1)"),
        ("launch", {"EXP": "demo", "COUNT": "0"}, "error: COUNT: 0 is less than 1"),
        ("dataset_prune", {"KEEP_LAST": "x"}, "error: KEEP_LAST: 'x' is not a whole number (try KEEP_LAST=1)"),
        ("teardown", {"EXP": "demo", "YES": "perhaps"}, "error: YES: 'perhaps' is neither yes nor no (YES=1 is yes; "),
    ],
)
def test_a_value_of_the_wrong_type_is_one_line_and_wrong_usage(lab, script, variables, line):
    ended = lab.run(script, **variables)
    assert ended.code == 2
    assert ended.error.startswith(line)


def options():
    """Every option of every script."""
    for path in sorted((REPOSITORY / "scripts").glob("*.py")):
        if "app = script(" in path.read_text():
            app = importlib.import_module(f"scripts.{path.stem}").app
            yield from ((path.stem, app, option) for option in get_command(app).params if option.envvar)


def test_no_option_of_any_script_answers_a_wrong_value_with_usage(monkeypatch, tmp_path):
    """Only the options are read: nothing here is a lab, so what comes after them fails, in one line as well."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    tried = 0
    for script, app, option in options():
        for value in ("perhaps", "-1", "1.5", "a b;$(x)", "\x1b[2J", "x" * 3000):
            ended = CliRunner().invoke(app, env={option.envvar: value})
            where = f"{script} {option.envvar}={value[:20]!r}: {ended.output}{ended.exception!r}"
            assert isinstance(ended.exception, UserError) or ended.exit_code == 0, where
            assert "\n" not in str(ended.exception), where
            assert "Usage" not in ended.output, where
            tried += 1
    assert tried > 600


def test_a_region_that_does_not_exist_is_named_with_the_one_that_is_meant(lab):
    taking = {script for script, _, option in options() if option.envvar == "REGIONS"}
    assert len(taking) >= 9
    for script in sorted(taking):
        ended = lab.run(script, REGIONS="us-wset-2", DATASET="speech", SOURCE="./experiments", KEEP_LAST="2")
        said = "error: REGIONS: 'us-wset-2' is not a region (did you mean \"us-west-2\"?)"
        assert (ended.code, ended.error) == (1, said), script
    for script, variable in (("registry_push", "DEST"), ("registry_pull", "SOURCE"), ("status", "REGISTRY")):
        address = "dynamodb://us-wset-2/lab"
        assert 'did you mean "us-west-2"' in lab.run(script, **{variable: address}).error
    lab.write("lab.toml", 'regions = ["us-wset-2"]\n')
    assert 'did you mean "us-west-2"' in lab.run("status").error


def test_a_toml_error_shows_the_line_and_a_caret_and_says_that_quotes_are_missing(lab):
    lab.write("experiments/demo.toml", 'ttl = "1h"\ninstance_types = [g5.xlarge]\n')
    ended = lab.run("plan", EXP="demo")
    where, line, caret = ended.err.splitlines()
    assert where == 'error: experiments/demo.toml:2: not TOML: Invalid value: text needs quotes: "g5.xlarge"'
    assert line[caret.index("^") :] == "g5.xlarge]"


def test_a_byte_order_mark_and_the_line_ends_of_windows_are_read(lab):
    (lab.path / "experiments/demo.toml").write_bytes(b'\xef\xbb\xbfinstance_types = ["g5.xlarge"]\r\nttl = "1h"\r\n')
    assert lab.run("plan", EXP="demo").code == 0
