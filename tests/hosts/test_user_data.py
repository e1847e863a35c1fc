"""Whatever members and experiments hold, user data is what cloud-init takes, and arrives literally or is refused."""

import shutil
import subprocess

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ec2lab.capacity_pools import ON_DEMAND, Pool
from ec2lab.launch.part import LaunchFragment, total
from ec2lab.launch.run_instances_request import answering_for_all, build_request
from tests.full import examples

HOSTILE = [
    'x"; rm -rf / #', "$(reboot)", "`reboot`", "{{ 7 * 7 }}", "{% raw %}", "a: b\n- c", "'", '"', "\\", "\u2028", "é",
    "&anchor", "!!python/object",
]  # fmt: skip
KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIJxR4ST9gzHWkqQ6fLzXYzOHO7cBGVmvJAcBxJYzKMrF"
POOL = Pool("us-east-1", "g5.xlarge", ON_DEMAND)


def document(commands, texts):
    """The user data of a launch whose parts hold these commands and file contents."""
    files = [{"path": f"/etc/file{number}", "content": text} for number, text in enumerate(texts)]
    share = total([LaunchFragment(cloud_init={"users": ["default"], "write_files": files, "runcmd": commands})])
    return build_request(share, POOL)["UserData"].decode()


def judged(root, command, name, text, tmp_path):
    """Run a checker of a Debian root on a text."""
    directory = tmp_path / name
    directory.write_text(text)
    bind = f'mount --bind "{tmp_path}" "{root}/mnt" && exec chroot "{root}" {command} /mnt/{name}'
    return subprocess.run(["unshare", "--mount", "sh", "-c", bind], capture_output=True, text=True, check=False)


def test_cloud_inits_own_schema_takes_hostile_values_and_they_read_back_as_they_are(cloud_init, tmp_path):
    text = document([["echo", value] for value in HOSTILE], HOSTILE)
    found = judged(cloud_init, "cloud-init schema --config-file", "user-data", text, tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr
    assert [file["content"] for file in yaml.safe_load(text)["write_files"]] == HOSTILE


def test_yamllint_has_no_error_to_tell(cloud_init, tmp_path):
    off = ("line-length", "document-start", "braces", "brackets", "commas", "comments")
    rules = ", ".join(f"{rule}: disable" for rule in off)
    text = document([["echo", value] for value in HOSTILE], HOSTILE)
    found = judged(cloud_init, f"yamllint -d '{{extends: default, rules: {{{rules}}}}}'", "user-data", text, tmp_path)
    assert found.returncode == 0, found.stdout


def test_shellcheck_finds_no_error_in_what_runs_at_boot(cloud_init, tmp_path):
    script = "#!/bin/sh\n" + "\n".join(answering_for_all([["echo", value] for value in HOSTILE])) + "\n"
    found = judged(cloud_init, "shellcheck -S warning", "runcmd", script, tmp_path)
    assert found.returncode == 0, found.stdout


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
@given(st.lists(st.lists(words, min_size=1, max_size=3), min_size=1, max_size=3))
@settings(max_examples=examples(30), deadline=None)
def test_what_runs_at_boot_is_a_shell_script_whatever_the_commands_hold(commands):
    script = "\n".join(answering_for_all(commands)) + "\n"
    assert subprocess.run(["bash", "-n"], input=script.encode(), capture_output=True, check=False).returncode == 0


@given(st.lists(words, min_size=1, max_size=4))
@settings(max_examples=examples(30), deadline=None)
def test_a_files_content_reads_back_as_itself(texts):
    assert [file["content"] for file in yaml.safe_load(document([["true"]], texts))["write_files"]] == texts


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('keys = ["ssh-dss AAAAB3NzaC1kc3MAAACBAL8 x"]', "is a DSA key"),
        (f'keys = ["no-pty ssh-ed25519 {KEY}"]', "has text in front of the key"),
        (f'keys = ["ssh-ed25519 {KEY[:-4]}"]', "is not a whole ssh-ed25519 key"),
        (f'keys = ["ssh-ed25519 {KEY} a\\nb"]', "is of several lines"),
        ('shell = "/bin/sh; reboot"', "shell"),
        ('groups = ["sudo,root"]', "groups[0]"),
        ("uid = 0", "uid"),
    ],
)  # fmt: skip
def test_a_hostile_members_file_is_refused_with_its_name(lab, toml, said):
    key = f'keys = ["ssh-ed25519 {KEY} eve"]\n'
    lab.write("members/eve.toml", toml if "keys" in toml else key + toml)
    ended = lab.launch()
    assert ended.code == 1
    assert "members/eve.toml" in ended.error
    assert said in ended.error
