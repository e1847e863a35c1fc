"""What a person sees at a terminal: nothing is wider than it, nothing is broken, and what is piped is whole."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from ec2lab.terminal_layout import Column, table_lines, wrapped
from tests.lab_directory import REPOSITORY

SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
NUMBER = re.compile(r"[0-9.,:]+")


def lines_on(screen):
    """What stands on the screen at the end: a line that was drawn over is not there any more."""
    return [line.rpartition("\r")[2] for line in SEQUENCE.sub("", screen).split("\n")]


def words(text):
    return {word for word in text.replace("─", "").split() if not NUMBER.fullmatch(word) and "…" not in word}


TABLES = {
    "status": {},
    "ps": {},
    "plan": {"EXP": "demo"},
    "cost": {},
    "datasets": {},
    "history": {"EXP": "demo"},
    "audit": {"REGIONS": "us-east-1"},
    "doctor": {},
}


@pytest.fixture
def busy_lab(lab, cloud):
    """A lab with two instances, a volume without an owner, an orphan and a pool that is out: every table has rows."""
    lab.write("experiments/demo.toml", 'ttl = "12h"\n' + (REPOSITORY / "experiments/demo.toml").read_text())
    cloud.scenario(quotas={"Running On-Demand P instances": 8})
    assert lab.launch(COUNT="2").code == 0
    ec2 = cloud.client("ec2", "us-east-1")
    ec2.create_volume(AvailabilityZone="us-east-1a", Size=100)
    ec2.allocate_address()  # its id is the longest
    return lab


def test_every_table_fits_80_columns_and_no_word_of_it_is_broken(busy_lab):
    for script, variables in TABLES.items():
        shown = busy_lab.at_terminal(script, **variables)
        piped = busy_lab.run(script, **variables)
        assert shown.code == piped.code, script
        too_long = [line for line in lines_on(shown.out) if len(line) > 80 > len(line.split()[-1])]
        assert too_long == [], script
        assert words("\n".join(lines_on(shown.out))) - words(piped.out + piped.err) == set(), script


def test_a_sweep_fits_80_columns_and_prints_a_line_for_each_trial(lab):
    name = "speech-with-a-long-name"
    lab.write(f"experiments/{name}.toml", 'instance_types = ["g5.xlarge"]\nmatrix.learning_rate = [0.1, 0.01]\n')
    shown = lines_on(lab.at_terminal("sweep", EXP=name).out)
    assert max(map(len, shown)) <= 80
    ended = "\n".join(shown)
    for trial in (f"{name}-learning_rate0_1", f"{name}-learning_rate0_01"):
        assert re.search(rf"  {trial}\s+i-[0-9a-f]+, g5.xlarge in", ended)


def test_what_is_piped_or_wide_has_all_columns_and_a_line_for_each_row(busy_lab):
    piped = busy_lab.run("status").out.splitlines()
    wide = lines_on(busy_lab.at_terminal("status", WIDE="1").out)
    assert re.split(r"  +", piped[0]) == [
        "name", "id", "state", "by", "where", "address", "type", "data", "since (UTC)", "left", "$/hour", "$ so far",
    ]  # fmt: skip
    assert [line.split()[0] for line in piped[2:4]] == ["demo-1", "demo-2"]
    assert {len(line) for line in (piped[1], wide[1])} == {len(piped[1])}
    assert len(piped[1]) > 120


def test_a_status_shows_who_launched_what_its_name_for_ssh_and_the_time_that_is_left(busy_lab):
    shown = "\n".join(lines_on(busy_lab.at_terminal("status").out))
    (first, second) = (event for event in busy_lab.run("status", JSON="1").events if event["event"] == "resource")
    assert (first["host"], second["host"]) == ("demo-1", "demo-2")
    for told in (first["host"], first["id"], first["created_by"], "us-east-1a", "11h59m", "5.74"):
        assert told in shown
    assert first["created_by"].count("@") == 1


def test_exp_selects_what_a_status_shows(lab):
    lab.write("experiments/demo.toml", 'instance_types = ["g5.xlarge"]\n')
    for name in ("demo", "speech-a", "speech-b"):
        assert lab.launch(name, **({} if name == "demo" else {"BASE": "demo"})).code == 0

    def shown(**variables):
        return [e["experiment"] for e in lab.run("status", JSON="1", **variables).events if e["event"] == "resource"]

    assert shown() == ["demo", "speech-a", "speech-b"]
    assert shown(EXP="demo") == ["demo"]
    assert shown(EXP="speech-*") == ["speech-a", "speech-b"]
    assert lab.run("status", EXP="dmo").error.endswith('neither experiments/ nor the registry (did you mean "demo"?)')
    assert "0.42 dollars" not in lab.run("status", EXP="demo").out.replace("1.", "")


WORD = st.text(st.sampled_from("abc-é字"), min_size=1, max_size=12)
CELL = st.lists(WORD, max_size=5).map(" ".join)


@given(st.lists(st.tuples(WORD, CELL, CELL, CELL), min_size=1, max_size=4), st.integers(40, 120))
def test_a_table_is_as_wide_as_its_terminal_allows_and_loses_nothing_but_what_may_be_dropped(rows, width):
    columns = (Column("id"), Column("name", narrow=12), Column("data", below="name", narrow=8), Column("why", drop=1))
    whole, fitted = table_lines(columns, rows), table_lines(columns, rows, width)
    assert len(whole) == 2 + len(rows), "a line each"
    assert {row[0] for row in rows} <= set(" ".join(fitted).split()), "no id is cut"
    assert max(map(cell_len, fitted)) <= width


@given(st.lists(WORD, min_size=1, max_size=30).map(" ".join), st.integers(20, 80))
def test_a_line_breaks_at_blanks_alone_and_keeps_its_words(line, width):
    broken = wrapped(f"  ok  {line}", width).splitlines()
    assert " ".join(broken).split() == ["ok", *line.split()]
    assert all(cell_len(one) <= max(width, 30) for one in broken)
    assert "`make launch EXP=demo`" in wrapped("it is there: `make launch EXP=demo` starts it again", 30)


def test_a_call_that_takes_long_is_shown_while_it_does(lab, cloud):
    assert lab.launch().code == 0
    cloud.scenario(latency={"DescribeInstances": 1.2})
    shown = lab.at_terminal("status").out
    assert re.search(r"waiting for us-east-1 \(\d s\)", shown)
    assert not any("waiting" in line for line in lines_on(shown))
