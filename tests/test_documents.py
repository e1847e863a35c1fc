"""What the documents say is so."""

import re

import pytest

from tests.iam.evaluation import several
from tests.iam.policies import DAILY, DATA
from tests.lab_directory import REPOSITORY

READMES = ["README.md", "README.ja.md", "CONTRIBUTING.md", "CHANGELOG.md"]
EXAMPLES = ("experiments/foo.toml", "members/bob.toml", "plugins/motd.py")
"""Files that a reader would write."""
OWN_PATH = re.compile(
    r"`((?:scripts|ec2lab|local_cloud|docs|templates|tests|bench|members|experiments|plugins)/[\w./-]*)`"
)
ALLOWED = {action for statement in DAILY for action in several(statement["Action"])}
FOR_DATA = {action for statement in DATA for action in several(statement["Action"])}


def test_the_policy_allows_every_call_of_a_launch_with_failover_a_status_and_a_teardown(lab, cloud):
    cloud.scenario(capacity=[{"region": "us-east-1"}, {"region": "us-west-2", "calls": 2}])
    assert lab.launch().code == 0
    lab.status()
    assert lab.teardown().code == 0
    called = {f"{call['service']}:{call['action']}" for call in cloud.calls()}
    assert "ec2:DescribeInstanceTypeOfferings" in called
    assert called <= ALLOWED


def test_the_policy_allows_every_call_that_data_sets_and_kept_volumes_need(lab, cloud):
    lab.write("files/a.txt", "a")
    lab.write("more/a.txt", "b")
    lab.write(
        "experiments/demo.toml",
        'instance_types = ["g5.xlarge"]\n[[data]]\ndataset = "speech"\nmount = "/data"\ndeletion_policy = "snapshot"\n'
        '[[scratch]]\nmount = "/scratch"\nsize_gib = 4\ndeletion_policy = "retain"\n'
        'retain_for = "30d"\nreason = "for a test"\n',
    )
    for script, variables in (
        ("launch", {"EXP": "demo"}),
        ("teardown", {"EXP": "demo"}),
        ("dataset_build", {"DATASET": "talks", "SOURCE": "./files"}),
        ("dataset_build", {"DATASET": "talks", "SOURCE": "./more"}),
        ("dataset_verify", {"DATASET": "talks"}),
        ("snapshot_copy", {"DATASET": "talks", "REGIONS": "eu-west-1"}),
        ("datasets", {}),
        ("dataset_prune", {"KEEP_LAST": "1", "YES": "1"}),
    ):
        ended = lab.run(script, **variables)
        assert ended.code == 0, f"{script}: {ended.err}"
    called = {f"{call['service']}:{call['action']}" for call in cloud.calls()}
    assert {"ec2:CreateTags", "ec2:CreateSnapshot", "ec2:DeleteSnapshot", "ebs:PutSnapshotBlock"} <= called
    assert called <= ALLOWED | FOR_DATA


@pytest.mark.parametrize("document", [*READMES, *sorted(p.name for p in (REPOSITORY / "docs").glob("*.md"))])
def test_every_make_target_and_every_file_that_a_document_names_exists(document):
    path = next(p for p in (REPOSITORY / document, REPOSITORY / "docs" / document) if p.exists())
    text = path.read_text()
    makefile = (REPOSITORY / "Makefile").read_text()
    for target in re.findall(r"(?:^|`|\$ )make ([a-z][a-z-]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{document} names make {target}"
    for name in OWN_PATH.findall(text):
        assert (REPOSITORY / name).exists() or name in EXAMPLES, f"{document} names {name}"


def test_the_plugin_that_the_readme_shows_is_the_one_that_is_tested():
    """tests/test_plugins.py takes it out of docs/plugins.md and launches with it."""
    (shown,) = re.findall(r"```python\n.*?```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    assert shown in (REPOSITORY / "docs/plugins.md").read_text()
    assert shown.count("\n") <= 20


def test_every_failure_that_is_told_of_is_held_by_a_test_that_exists():
    rows = [line for line in (REPOSITORY / "docs/failures.md").read_text().splitlines() if line.startswith("| ")]
    rows = [row for row in rows if not row.startswith("| What happens")]
    assert len(rows) > 30
    for row in rows:
        held_by = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", row.split("|")[-2].strip())
        assert held_by, f"no test is named: {row}"
        assert f"\ndef {held_by[2]}(" in (REPOSITORY / held_by[1]).read_text(), row
