"""Long work shows at a terminal what it is at; what is piped, or read by a program, is spared it."""

import contextlib
import os
import re
import sys
import threading
import time

import pytest

from ec2lab import progress
from ec2lab.aws.region_queries import RegionQueries
from ec2lab.console import Console, warn
from ec2lab.progress import LINE, progress_bars, working


@pytest.fixture
def at_terminal(monkeypatch):
    """Begins to send this process's output to a terminal 40 columns wide, which is shown all work at once."""
    ours, theirs = os.openpty()
    os.set_blocking(ours, False)
    monkeypatch.setattr(progress, "terminal_width", lambda _: 40)
    monkeypatch.setattr(progress, "SOON", 0)
    monkeypatch.setattr(progress, "TICK", 0.001)
    monkeypatch.setattr(LINE, "is_quiet", False)
    with os.fdopen(theirs, "w") as stream:

        def begin():  # pytest sets these again between a test's setup and the test itself
            monkeypatch.setattr(sys, "stdout", stream)
            monkeypatch.setattr(sys, "stderr", stream)
            return Terminal(ours)

        yield begin
    os.close(ours)


class Terminal:
    def __init__(self, ours):
        self.ours, self.sent = ours, ""

    def read(self):
        with contextlib.suppress(BlockingIOError):
            self.sent += os.read(self.ours, 1 << 16).decode()
        return self.sent

    def until(self, text):
        began = time.monotonic()
        while text not in self.read():
            assert time.monotonic() - began < 10, self.sent
        return self.sent

    @property
    def screen(self):
        """What stands there at last, line by line."""
        lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.read()).replace("\r\n", "\n").split("\n")
        return [line.rpartition("\r")[2] for line in lines]


def test_what_is_awaited_is_shown_with_how_far_it_is_and_goes_away(at_terminal):
    terminal = at_terminal()
    with working("reading the registry") as at:
        terminal.until("  reading the registry (0 s)")
        with working("waiting for") as regions:
            regions("us-east-1")
            terminal.until("  waiting for us-east-1 (0 s)")
        at("7 of 9")
        terminal.until("  reading the registry 7 of 9 (0 s)")
    assert terminal.screen == [""]


def test_a_single_call_is_shown_while_nothing_else_is(at_terminal):
    terminal = at_terminal()
    with working("waiting for AWS", is_background=True):
        terminal.until("waiting for AWS")
        with working("reading the registry"):
            terminal.until("reading the registry")
            terminal.sent = ""
            with working("waiting for AWS", is_background=True):
                terminal.until("reading the registry")
            assert "AWS" not in terminal.read()
    assert terminal.screen == [""]


def test_a_line_is_cut_where_the_terminal_ends_and_obeys_nothing(at_terminal):
    terminal = at_terminal()
    with working("x" * 60 + "\x1b[2J"):
        sent = terminal.until("x" * 37)
    assert "x" * 38 not in sent
    assert "[2J" not in sent


def test_whatever_is_printed_takes_the_place_of_the_line(at_terminal):
    terminal = at_terminal()
    console = Console()
    for say, text in ((console.hint, "a line"), (warn, "careful")):
        with working("busy"):
            terminal.until("busy")
            say(text)
        terminal.sent = re.sub("busy", "", terminal.sent)
    assert terminal.screen == ["a line", "warning: careful", ""]


def test_nothing_is_drawn_while_something_else_has_the_terminal(at_terminal):
    terminal = at_terminal()
    with working("busy"), LINE.paused():
        terminal.read()
        before = terminal.sent
        time.sleep(0)
        LINE.show("more")
        assert terminal.read() == before
    with working("building"), progress_bars(Console()) as bars:
        terminal.until("building")
        bars.show("blocks", 512, 1024, "half")
        terminal.until("blocks")
        assert "building" not in terminal.screen[-1]


@pytest.mark.parametrize("reader", ["a program", "a pipe"])
def test_a_program_and_a_pipe_are_spared_it(at_terminal, reader, monkeypatch, tmp_path):
    terminal = at_terminal()
    if reader == "a program":
        Console(as_json=True)
    else:
        monkeypatch.setattr(sys, "stdout", (tmp_path / "out").open("w"))
    with working("busy"):
        LINE.show("busy")
        RegionQueries(timeout=1).run({("us-east-1", "x"): lambda: 1})
    assert terminal.read() == ""


def test_regions_that_are_awaited_are_named(at_terminal):
    terminal = at_terminal()
    gate = threading.Event()
    queries = {("us-east-1", "x"): gate.wait}
    asking = threading.Thread(target=RegionQueries(timeout=5).run, args=[queries])
    asking.start()
    terminal.until("waiting for us-east-1 (")
    gate.set()
    asking.join()
    assert terminal.screen == [""]
