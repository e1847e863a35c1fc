"""The bench's own arithmetic, page and picture; and each part runs."""

import xml.etree.ElementTree as ET
from importlib import import_module
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import launch, registry_size
from bench.__main__ import DOCUMENTS, PARTS, chosen, write
from bench.local_lab import local_lab
from bench.page import INTRODUCTION, markdown, number, page
from bench.picture import LEFT, RIGHT, WIDTH, picture
from bench.result import Goal, Result, Row, Table, keep, kept
from bench.sample import Sample
from bench.turns import in_turns
from ec2lab.errors import UserError

SECONDS = st.lists(st.floats(0.001, 1e4), min_size=1, max_size=9)
DISCOVERED = Result(
    [
        Table(
            "launch, 0 ms", "s",
            [Row("ec2-lab", Sample([1.0, 3.0, 2.0]), "4: a | b"), Row("floor", Sample([4.0, 4.0, 5.0]))],
            against="floor", noted="calls",
        )
    ],
    [Goal("launch: of the floor", 0.5, 1), Goal("--help beyond python", 130.4, 120, "ms")],
    3,
)  # fmt: skip


def parsed(svg):
    return ET.fromstring(svg)  # noqa: S314 - our own


@given(SECONDS)
def test_a_median_lies_between_the_least_and_the_most_and_half_of_the_runs_on_each_side(values):
    sample = Sample(values)
    assert sample.least <= sample.median <= sample.most
    assert sum(value <= sample.median for value in values) * 2 >= len(values)
    assert sum(value >= sample.median for value in values) * 2 >= len(values)
    assert sample.over(sample) == 1


def test_contenders_take_turns_to_begin_and_a_first_round_is_not_counted():
    seen = []
    found = in_turns({name: lambda name=name: seen.append(name) or len(seen) for name in "abc"}, 2)
    assert "".join(seen) == "abcbcacab"
    assert found == {"a": [6, 8], "b": [4, 9], "c": [5, 7]}


def test_what_is_kept_is_read_back_as_it_was(tmp_path):
    assert kept("launch", tmp_path) is None
    keep("launch", DISCOVERED, tmp_path)
    assert kept("launch", tmp_path) == DISCOVERED


def test_the_page_has_each_median_with_its_spread_and_says_which_goals_were_missed():
    text = page([("Launch", "\nWhat is measured.\n", DISCOVERED)])
    assert "| ec2-lab | 2 s | 1 s | 3 s | 0.50 x | 4: a \\| b |\n" in text
    assert "| launch: of the floor | 0.50 x | 1 x | yes |" in text
    assert "| --help beyond python | 130 ms | 120 ms | **no** |" in text
    assert DISCOVERED.instance in text
    assert DISCOVERED.date in text


@pytest.mark.parametrize(("value", "said"), [(0.1234, "0.12 s"), (12.34, "12.3 s"), (123.4, "123 s"), (7.0, "7 s")])
def test_a_number_has_as_many_digits_as_mean_something(value, said):
    assert number(value, "s") == said


def test_every_row_of_a_table_has_as_many_cells_as_its_heading():
    lines = markdown({"": "---", "median": "---:"}, [("a", "1"), ("b", "2")]).splitlines()
    assert {line.count("|") for line in lines} == {3}


@given(st.lists(SECONDS, min_size=1, max_size=5), st.text(st.characters(exclude_categories=["C"]), max_size=30))
def test_the_picture_is_svg_in_which_every_bar_fits_and_none_lies_on_another(samples, title):
    rows = [Row(f"<{number}>", Sample(values)) for number, values in enumerate(samples)]
    root = parsed(picture([Table(title, "s", rows)] * 2))
    bars = [element for element in root if element.tag.endswith("rect")]
    assert len(bars) == 2 * len(rows)
    assert all(0 <= float(bar.get("width")) <= WIDTH - LEFT - RIGHT for bar in bars)
    tops = [float(bar.get("y")) for bar in bars]
    assert all(below - above >= float(bars[0].get("height")) for above, below in pairwise(tops))
    assert tops[-1] < float(root.get("height"))


def test_bars_are_as_long_as_their_medians():
    root = parsed(picture(DISCOVERED.tables))
    ours, floor = (float(element.get("width")) for element in root if element.tag.endswith("rect"))
    assert ours / floor == pytest.approx(2 / 4, rel=0.01)


def test_all_parts_are_measured_or_those_that_are_named():
    assert chosen("") == list(PARTS)
    assert chosen("launch start-up") == ["launch", "start_up"]
    with pytest.raises(UserError, match="'nonsense' is no part of the bench"):
        chosen("launch nonsense")


def test_where_there_is_no_aws_cli_one_line_says_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"not on PATH.*pip install awscli"):
        launch.check_cli()


def test_page_and_picture_are_written_from_what_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.__main__.kept", lambda part: DISCOVERED if part == "launch" else None)
    write(tmp_path)
    assert "## Launch, status, teardown" in (tmp_path / "benchmarks.md").read_text()
    assert parsed((tmp_path / "benchmarks.svg").read_text()) is not None


def test_the_published_page_describes_each_part_as_the_bench_does():
    published = (DOCUMENTS / "benchmarks.md").read_text()
    assert published.startswith(INTRODUCTION)
    for part in map(import_module, (f"bench.{name}" for name in PARTS)):
        assert f"## {part.TITLE}\n\n{part.SAID.strip()}\n\n" in published


def test_the_registrys_part_runs():
    append, read = registry_size.measure(1, sizes=(0, 50)).tables
    assert all(row.sample.median > 0 for row in [*append.rows, *read.rows])


def test_the_launchs_part_runs_and_counts_what_each_contender_sends():
    with local_lab(launch.FILES) as local:
        contenders = launch.contenders_on(local)
        del contenders[launch.BY_HAND]  # twelve more processes, each as slow as all of ours
        tables = launch.tables_of(next(iter(launch.CASES)), local, contenders, 1, warm_up=False)
        left = [thing for thing in local.cloud.inventory() if thing["kind"] == "instance"]
    assert [table.title for table in tables] == [f"{step}, 0 ms a call" for step in launch.STEPS]
    sent = {step: contenders[launch.FLOOR].calls[step].total() for step in launch.STEPS}
    assert sent == {"launch": 3, "status": 1, "teardown": 2}
    assert contenders[launch.OURS].calls["launch"].total() - sent["launch"] <= 1
    assert {thing["state"] for thing in left} <= {"terminated"}
