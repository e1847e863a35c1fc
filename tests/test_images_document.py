"""docs/images.md names only what tests exist for, and says tested only where a test ran on that distribution."""

import re

from ec2lab.config.image import DEEP_LEARNING_IMAGE
from tests.hosts.images import IMAGES
from tests.lab_directory import REPOSITORY

TEXT = (REPOSITORY / "docs/images.md").read_text()
TESTS = dict(re.findall(r"^- (T\d+) `([\w/.]+::test_\w+)`$", TEXT, re.MULTILINE))
PAGES = dict(re.findall(r"^- (P\d+) <(https://[^>]+)>", TEXT, re.MULTILINE))
FIRST_BOOT = "tests/hosts/test_first_boot.py"
PYTHON = "tests/hosts/test_python_versions.py"


def claims():
    """(distribution, aspect, how, labels) of each cell of the table."""
    _, table = TEXT.split("## What was tried")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]
    (_, *distributions), _, *rest = rows
    for aspect, *cells in rest:
        for distribution, cell in zip(distributions, cells, strict=True):
            how, _, labels = cell.partition(": ")
            yield distribution, aspect, how, labels.split(", ")


def source_of(test):
    """The text before a test's name, its marks, and the whole file."""
    file, _, name = test.partition("::")
    text = (REPOSITORY / file).read_text()
    before, found, _ = text.partition(f"\ndef {name}(")
    assert found, f"docs/images.md names {test}, which does not exist"
    return before.rpartition("\n\n")[2], text


def test_every_claim_has_its_test_or_its_page_and_none_is_left_over():
    assert len(list(claims())) > 40
    for distribution, aspect, how, labels in claims():
        known = {"tested": TESTS, "directives": TESTS, "pages": PAGES}[how]
        assert set(labels) <= known.keys(), f"{aspect} on {distribution}"
    named = {label for *_, labels in claims() for label in labels}
    assert named == TESTS.keys() | PAGES.keys()


def test_tested_is_what_ran_on_the_distribution_itself():
    for distribution, aspect, how, labels in claims():
        for marks, text, test in ((*source_of(TESTS[label]), TESTS[label]) for label in labels if how == "tested"):
            on_all = "every_release" in marks or (distribution in IMAGES and "IMAGES" in text)
            assert on_all or (distribution == "Debian 12" and test.startswith("tests/vm/")), f"{aspect}: {test}"
            assert distribution.startswith("Debian"), f"{distribution}: no test runs on it"


def test_directives_are_of_the_image_that_the_column_names():
    for distribution, aspect, how, labels in claims():
        for test in (TESTS[label] for label in labels if how == "directives"):
            laid = distribution in IMAGES and "tests/hosts/test_images.py" in test
            assert laid or test.startswith((FIRST_BOOT, PYTHON)), f"{aspect} on {distribution}: {test}"


def test_the_default_image_and_the_default_users_are_those_of_the_table():
    assert DEEP_LEARNING_IMAGE in TEXT
    for image in IMAGES.values():
        assert f"| `{image.user}` |" in TEXT
