"""What is not the lab's own is shown and never obeyed, wherever it comes out."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ec2lab.console import Console, warn
from ec2lab.events import Info
from ec2lab.events.teardown import TeardownFailed
from ec2lab.printable import RESET, SGR, printable, printable_document, printable_log, without_colors
from ec2lab.report.html import _environment
from ec2lab.terminal_layout import Column

HOSTILE = {
    "clear the screen": "\x1b[2J\x1b[H",
    "set the clipboard": "\x1b]52;c;cm0gLXJmIH4K\x07",
    "set the title": "\x1b]0;root@prod\x07",
    "a C1 control": "\x9b2J",
    "a link": "\x1b]8;;https://evil.example\x1b\\here\x1b]8;;\x1b\\",
    "over what was said": "\rall is well",
    "backwards": "\x08\x08\x08\x08",
    "in another order": "\u202egnirts",
    "isolated": "\u2066x\u2069",
    "nothing to be seen": "a\u200bb\u2060c\ufeff",
    "an end of the line": "x\x85\u2028\u2029\x0b\x0c",
    "another line": "x\nerror: all is lost",
    "no character": "\udc9b2J",
    "tags": "\U000e0041\U000e0042",
    "no more": "\x00\x7f",
}
"""What a tag, a record, a log or a host may say."""
obeyed = st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Ll"]), max_size=30)


def is_shown(text):
    """Whether a terminal shows every character, and obeys none."""
    return all(unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in text)


@given(obeyed)
def test_every_character_that_a_terminal_would_obey_is_written_out(text):
    assert is_shown(printable(text))
    assert is_shown(printable_document(text).replace("\n", "").replace("\t", ""))
    assert is_shown(without_colors(text))
    assert is_shown(SGR.sub("", printable_log(text)).replace("\t", ""))


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs", "M"])))
def test_what_is_shown_anyhow_stays_as_it_is(text):
    assert printable(text) == text


def test_a_log_has_its_colors_and_ends_them():
    assert (
        printable_log("\x1b[1;31mloss\x1b[0m 2.1\tand\x1b[2J\r\n") == f"\x1b[1;31mloss\x1b[0m 2.1\tand\\x1b[2J{RESET}"
    )
    assert printable_log("10%\r50%\r100%\n") == "100%"
    assert printable_log("plain") == "plain"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_the_console_obeys_nothing_wherever_it_is_said(text, capsys):
    console = Console()
    console.emit(Info(text=text))
    console.emit(TeardownFailed(experiment="demo", reason=text))
    console.hint(text)
    console.log([text])
    console.table((Column("a"), Column("b")), [(text, f"[bold red]{text}[/] [link=https://evil.example]")])
    warn(text)
    said = capsys.readouterr()
    assert is_shown(said.out.replace("\n", ""))
    assert is_shown(said.err.replace("\n", ""))
    assert "[bold red]" in said.out, "markup is text"
    assert "\nerror:" not in said.out + said.err, "one line stays one"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_program_is_told_it_whole_in_ascii(text, capsys):
    Console(as_json=True).emit(TeardownFailed(experiment="demo", reason=text))
    said = capsys.readouterr().out
    assert said.isascii()
    assert is_shown(said.removesuffix("\n"))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_page_shows_it_and_lets_no_markup_in(text):
    page = _environment().from_string("{{ told }}").render(told=f"{text}<script>alert(1)</script>")
    assert is_shown(page.replace("\n", ""))
    assert "<script>" not in page


def test_a_message_of_aws_without_end_is_cut_where_it_is_shown_and_whole_on_record(lab, cloud):
    message = "\n".join(f"line {number} of many" for number in range(5000))
    cloud.scenario(faults=[{"action": "RunInstances", "code": "InvalidParameterCombination", "message": message}])
    ended = lab.run("launch", EXP="demo")
    assert ended.code == 1
    assert "line 99 of many line" in ended.err
    assert max(map(len, (ended.out + ended.err).splitlines())) < 2300
    assert "more characters; DEBUG=1 shows all)" in ended.err
    (refused,) = [r for r in lab.records() if r["event"] == "error" and r["operation"] == "RunInstances"]
    assert "line 4999 of many" in refused["error"]["message"]
    assert "line 4999 of many" in lab.run("launch", EXP="demo", DEBUG="1").err
