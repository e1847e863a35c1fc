"""What the documents say is so."""

import re

import pytest

from tests.iam.evaluation import several
from tests.iam.policies import DAILY, DATA
from tests.lab_directory import REPOSITORY

DOCUMENTS = sorted(
    str(path.relative_to(REPOSITORY)) for folder in (REPOSITORY, REPOSITORY / "docs") for path in folder.glob("*.md")
)
TRANSLATIONS = [name for name in DOCUMENTS if name.endswith(".ja.md")]
CODE = re.compile(r"^```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
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


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_make_target_and_every_file_that_a_document_names_exists(document):
    text = (REPOSITORY / document).read_text()
    makefile = (REPOSITORY / "Makefile").read_text()
    for target in re.findall(r"(?:^|`|\$ )make ([a-z][a-z-]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{document} names make {target}"
    for name in OWN_PATH.findall(text):
        assert (REPOSITORY / name).exists() or name in EXAMPLES, f"{document} names {name}"


def test_the_index_lists_every_page_of_the_documentation():
    index = (REPOSITORY / "docs/README.md").read_text()
    pages = {path.name for path in (REPOSITORY / "docs").glob("*.md")} - {"README.md"}
    assert set(re.findall(r"\]\(([\w.-]+\.md)\)", index)) == pages


@pytest.mark.parametrize("translation", TRANSLATIONS)
def test_a_translation_has_the_sections_code_and_names_of_its_original(translation):
    original = outline((REPOSITORY / translation.replace(".ja.md", ".md")).read_text())
    for number, (ours, theirs) in enumerate(
        zip(outline((REPOSITORY / translation).read_text()), original, strict=True)
    ):
        assert ours == theirs, f"section {number} of {translation}"


@pytest.mark.parametrize("translation", TRANSLATIONS)
def test_japanese_has_one_kind_of_brackets_and_its_numbers_in_digits(translation):
    prose = re.sub(r"`[^`]+`|\]\([^)]+\)", "", CODE.sub("", (REPOSITORY / translation).read_text()))
    assert re.findall(r".*[()].*|.*[一二三四五六七八九十百](?:つ|回|台|行|分|時間|日|月|年|週).*", prose) == []


def outline(text):
    """Of each section: the level of its heading, its code without comments, the names in it, the rows of its tables."""
    code = CODE.findall(text)
    sections = re.split(r"^(?=#)", CODE.sub("\f", text), flags=re.MULTILINE)
    return [
        {
            "level": len(section) - len(section.lstrip("#")),
            "code": [re.sub(r" *#.*", "", code.pop(0)) for _ in range(section.count("\f"))],
            "names": sorted(set(re.findall(r"`([^`]+)`", section))),
            "rows": len(re.findall(r"^\|", section, re.MULTILINE)),
        }
        for section in sections
    ]


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
