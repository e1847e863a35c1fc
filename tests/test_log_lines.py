"""What a log's reader sees: lines as they come, a progress bar as it was drawn last, nothing that a terminal obeys."""

import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ec2lab import clock
from ec2lab.console import Console
from ec2lab.errors import UserError
from ec2lab.runs.logs import LONGEST, QUIET, LogLines, LogPrinter, Piece, pieces_in

OUTER, INNER = b"\repoch: %d%%|# |", b"\n\rbatch: %d%%|# |\x1b[A"
"""As tqdm draws two bars, one below the other (position=0 and 1)."""


def in_chunks(data, sizes):
    """Cut some bytes at arbitrary places."""
    for size in sizes:
        yield data[:size]
        data = data[size:]
    yield data


def lines_of(chunks):
    lines = LogLines()
    told = [line for chunk in chunks for line in lines.taken(chunk)]
    return [*told, *lines.rest()]


@given(
    st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"").replace(b"\r", b""))),
    st.lists(st.integers(0, 9)),
)
def test_lines_are_the_same_however_they_come(lines, sizes):
    lines = [line.replace(b"\x1b[A", b"") for line in lines]
    data = b"".join(line + b"\n" for line in lines)
    assert lines_of(in_chunks(data, sizes)) == [line.decode(errors="replace") for line in lines]


@given(st.lists(st.sampled_from([b"\r", b"\n", b" 10%", b"\xcf\x80", b"|##|"])), st.lists(st.integers(0, 5)))
def test_what_is_drawn_over_is_dropped_wherever_it_is_cut(words, sizes):
    data = b"".join(words)
    whole = [line.rstrip("\r").rpartition("\r")[2] for line in data.decode().split("\n")]
    assert lines_of(in_chunks(data, sizes)) == (whole if whole[-1] else whole[:-1])


@given(st.lists(st.tuples(st.integers(0, 10**12), st.binary(max_size=50))), st.lists(st.integers(0, 20)))
def test_pieces_arrive_as_they_were_sent_however_the_stream_is_cut(sent, sizes):
    stream = b"".join(b"%d %d runs\n%b" % (place, len(data), data) for place, data in sent)
    assert list(pieces_in(in_chunks(stream, sizes), "speech")) == [Piece(*one) for one in sent]
    assert list(pieces_in([stream + b"7 100 runs\nabc"], "speech")) == [Piece(*one) for one in sent]


@pytest.mark.parametrize(
    "stream", [b"welcome to my instance, which greets whoever comes", b"0 9999999 runs\n", b"0 " + b"1" * 50]
)
def test_a_stream_that_is_none_of_ours_is_one_clear_error(stream):
    with pytest.raises(UserError, match="speech: its log comes in an unknown form"):
        list(pieces_in([stream], "speech"))


def test_a_line_of_a_hundred_megabytes_is_shown_in_pieces_cut_between_characters():
    lines, told = LogLines(), []
    chunk = "π".encode() * (1 << 19) + b"x"
    for _ in range(100):
        told += lines.taken(chunk)
    assert len(lines.unfinished.encode()) <= LONGEST
    told += lines.taken(b"\n")
    assert max(map(len, told)) <= LONGEST
    assert "".join(told).encode() == chunk * 100


def test_bars_below_bars_are_one_line_that_changes():
    lines = LogLines()
    drawn = [lines.taken(OUTER % 1 + INNER % step) for step in range(100)]
    assert drawn == [[]] * 100
    assert lines.unfinished == "batch: 99%|# |"
    assert lines.taken(b"\r\repoch: 100%|##|\nall done\n") == ["epoch: 100%|##|", "all done"]


class Screen(io.TextIOWrapper):
    """Standard output, which may be a terminal."""

    is_terminal = False

    def isatty(self):
        return self.is_terminal


@pytest.fixture
def printing(monkeypatch):
    """A function that prints a log that comes in time, and returns what was printed."""

    def printed(*came, terminal=False, **options):
        screen = Screen(io.BytesIO(), encoding="utf-8", write_through=True)
        screen.is_terminal = terminal
        monkeypatch.setattr(sys, "stdout", screen)
        now = 0.0
        monkeypatch.setattr(clock, "monotonic", lambda: now)
        printer = LogPrinter(Console(as_json=options.pop("as_json", False)), "speech", **options)
        for pause, data in came:
            now += pause
            printer(data)
        printer.end()
        return screen.buffer.getvalue()

    return printed


BAR = [
    (1.0, b"begins\n"),
    *((1.0, b"\r%3d%%|####" % step) for step in range(100)),
    (1.0, b"\r100%|####\n"),
    (0, b"done"),
]


def test_on_a_terminal_a_progress_bar_is_one_line_that_changes_as_it_goes(printing):
    shown = printing(*BAR, terminal=True).decode()
    assert shown.count("\n") == 3
    assert all(f"\r{step:3}%|####\x1b[K" in shown for step in range(100))
    assert shown.endswith("\r\x1b[K100%|####\n\rdone\x1b[K\r\x1b[Kdone\n")


def test_a_pipe_gets_a_progress_bar_at_its_end_and_now_and_then_before(printing):
    lines = printing(*BAR).decode().splitlines()
    assert lines[0] == "begins"
    assert lines[-2:] == ["100%|####", "done"]
    assert [line.strip() for line in lines[1:-2]] == ["29%|####", "59%|####", "89%|####"], f"every {QUIET:.0f} s"
    quick = [(0.1, data) for _, data in BAR]
    assert printing(*quick) == b"begins\n100%|####\ndone\n"


def test_a_program_is_told_which_lines_are_unfinished(printing):
    events = [json.loads(line) for line in printing(*BAR, as_json=True, raw=True).splitlines()]
    assert [event["text"].strip() for event in events if event["event"] == "partial-log-line"] == [
        "29%|####", "59%|####", "89%|####",
    ]  # fmt: skip
    assert [event["text"] for event in events if event["event"] == "log-line"] == ["begins", "100%|####", "done"]


def test_raw_it_is_every_byte_at_once(printing):
    data = [b"\0\xff\r1%", b"\x1b[2J", b"\n\n"]
    assert printing(*((0, one) for one in data), raw=True) == b"".join(data)


def test_what_bars_need_for_their_drawing_is_neither_obeyed_nor_shown(printing):
    came = (0, b"\x1b[?25l\x1b[2K\r\x1b[32m50%\x1b[0m\x1b[K\n\x00\xff\x1b[2J\x07\x9b\n")
    assert printing(came) == "50%\n\\x00\ufffd\\x1b[2J\\x07\ufffd\n".encode()
