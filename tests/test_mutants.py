"""What `make mutants` is told of is there, and it makes the changes that it says."""

import pytest

from tests.lab_directory import REPOSITORY
from tests.mutants import modules
from tests.mutants.changes import changes
from tests.mutants.explained import explained


@pytest.mark.parametrize("module", modules.TESTS)
def test_each_module_its_tests_and_what_is_explained_of_it_are_there(module):
    assert all((REPOSITORY / path).is_file() for path in modules.tests_of(module))
    source = {line.strip() for line in (REPOSITORY / module).read_text().splitlines()}
    taken_away = {line[2:] for change in explained(module) for line in change if line.startswith("- ")}
    assert taken_away <= source


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("f(x)\n", "pass\n"),
        ("raise x\n", "pass\n"),
        ("x |= y\n", "pass\n"),
        ("try: a\nexcept (b.Error, c): d\n", "try: a\nexcept (b.CosmicRayTestingException, c): d\n"),
        ("z = [x for x in y if x]\n", "z = [x for x in y if not ( x)]\n"),
        ("x in y\n", "x not in y\n"),
        ("x not in y\n", "x in y\n"),
        ("a = b < c\n", "a = b <= c\n"),
    ],
)
def test_what_decides_is_turned_round_or_left_out(source, changed):
    assert changed in {change.source for change in changes(source)}


@pytest.mark.parametrize(
    "source",
    [
        "if TYPE_CHECKING:\n    import x\n",
        "@decorated(True)\ndef f(a: int | None, *, b: X | Y) -> A | B:\n    return a\n",
        "a: A | B = b\n",
        '"""Text."""\n',
    ],
)
def test_what_is_only_a_type_a_decorator_or_a_text_is_not_changed(source):
    assert list(changes(source)) == []
