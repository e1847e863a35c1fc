"""The report in a real browser: no overflow, no request, readable, and worked by keyboard and screen reader."""

import re
from datetime import timedelta
from itertools import pairwise

import pytest

from ec2lab.report.html import report_html
from tests.browser import chromium
from tests.generated_registry import GeneratedRegistry
from tests.test_report_page import HOSTILE, page_of

WINDOWS = [(width, dark) for width in (360, 1280) for dark in (False, True)]
PAGES = ("nothing", "much")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The addresses of a page with nothing, and of one with much, hostile text among it."""
    directory = tmp_path_factory.mktemp("pages")
    much = GeneratedRegistry().team(sweep=200)
    begin = much.now - timedelta(days=9)
    much.run("vision-large", begin, 900, ended=False)
    much.run("x" * 63, begin, 30, refusals=3, message="y" * 4000)
    much.run(HOSTILE.replace("\ud800", ""), begin, 30, refusals=2, message=HOSTILE, by=HOSTILE)
    found = {}
    team = GeneratedRegistry().team(sweep=30)
    for name, generated in (("nothing", GeneratedRegistry()), ("much", much), ("team", team)):
        path = directory / f"{name}.html"
        path.write_text(report_html(page_of(generated)), encoding="utf-8")
        found[name] = path.as_uri()
    return found


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


TOO_WIDE = """[...document.body.querySelectorAll('*')].filter(e => e.checkVisibility()
    && !e.closest('.scroll, .skip, svg') && e.getBoundingClientRect().right > innerWidth + 0.5)
    .map(e => e.outerHTML.slice(0, 120))"""

CONTRASTS = """(() => {
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const known = new Map(), once = (key, find) => known.get(key) ?? known.set(key, find()).get(key);
    const rgba = color => once(color, () => {
        canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data]; });
    const light = color => rgba(color).slice(0, 3).map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = e => once(e, () => { const own = getComputedStyle(e).backgroundColor;
        return rgba(own)[3] || !e.parentElement ? own : behind(e.parentElement); });
    const found = {};
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node; node = walker.nextNode();) {
        const e = node.parentElement;
        if (!node.data.trim() || e.closest('title, desc') || !e.checkVisibility()) continue;
        const style = getComputedStyle(e), inSvg = e.closest('svg');
        const [a, b] = [light(inSvg ? style.fill : style.color), light(behind(e))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        found[(inSvg ? style.fill : style.color) + ' on ' + behind(e)] = ratio;
    }
    return found;
})()"""
"""The contrast of each text with what is behind it (https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio)."""


@pytest.mark.parametrize("name", PAGES)
def test_it_fits_its_window_is_readable_light_and_dark_and_asks_the_network_for_nothing(browser, pages, name):
    backgrounds = set()
    for width, dark in WINDOWS:
        browser.show(pages[name], width=width, dark=dark)
        browser.ask("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert browser.ask("document.documentElement.scrollWidth") == width
        assert browser.ask(TOO_WIDE) == []
        contrasts = browser.ask(CONTRASTS)
        assert len(contrasts) >= 3
        assert {pair: ratio for pair, ratio in contrasts.items() if ratio < 4.5} == {}
        backgrounds.add(browser.ask("getComputedStyle(document.body).backgroundColor"))
        assert browser.requests() == [pages[name]]
        assert browser.complaints() == []
    assert len(backgrounds) == 2, "light and dark"


def test_on_a_phone_what_is_live_shows_its_state_place_and_price_without_scrolling(browser, pages):
    browser.show(pages["much"], width=390)
    heads = browser.ask("[...document.querySelectorAll('.live thead th')].filter(e => e.checkVisibility())"
                        ".map(e => e.textContent)")  # fmt: skip
    assert heads == ["experiment", "state", "where", "$/hour"]
    assert browser.ask("document.querySelectorAll('.live tbody tr').length") >= 1
    assert browser.ask("(e => e.scrollWidth - e.clientWidth)(document.querySelector('.live'))") == 0


def test_a_teams_month_prints_on_one_page_on_white(browser, pages):
    browser.show(pages["team"], width=1280, dark=True)
    assert len(re.findall(rb"/Type\s*/Page\b", browser.printed())) == 1
    browser.tell("Emulation.setEmulatedMedia", media="print", features=[])
    assert browser.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    browser.tell("Emulation.setEmulatedMedia", media="")


def test_its_style_is_let_in_and_no_other_and_no_script(browser, pages):
    browser.show(pages["much"], width=1280)
    assert browser.ask("document.scripts.length + document.images.length") == 0
    assert browser.ask("getComputedStyle(document.querySelector('.sum')).display") == "grid"
    assert browser.complaints() == []
    smuggled = "<style>.sum{display:none}</style><img src=https://x.test/>"
    browser.ask(f"document.body.insertAdjacentHTML('beforeend', '{smuggled}')")
    assert browser.ask("getComputedStyle(document.querySelector('.sum')).display") == "grid"
    assert sum("Content Security Policy" in said for said in browser.complaints()) == 2, "the style, and the picture"


@pytest.mark.parametrize("name", PAGES)
def test_a_screen_reader_finds_headings_in_order_landmarks_and_tables_with_captions(browser, pages, name):
    browser.show(pages[name], width=1280)
    levels = browser.ask("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    headings = browser.ask("[...document.querySelectorAll('h2')].map(h => h.textContent)")
    assert headings == ["Live resources", "Timeline", "Costs", "Datasets", "Audit"]
    assert browser.ask("document.documentElement.lang") == "en"
    nodes = [node for node in browser.tell("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]]
    roles = [node["role"]["value"] for node in nodes]
    assert [roles.count(role) for role in ("banner", "navigation", "main", "contentinfo")] == [1, 1, 1, 1]
    named = [node for node in nodes if node["role"]["value"] in ("image", "img", "table", "article", "region", "link")]
    assert [node for node in named if not node.get("name", {}).get("value")] == []
    tables = "[...document.querySelectorAll('table')]"
    assert browser.ask(f"{tables}.filter(t => !t.caption || !t.caption.textContent.trim()).length") == 0
    assert (
        browser.ask("[...document.querySelectorAll('th')].filter(h => !['col', 'row'].includes(h.scope)).length") == 0
    )
    assert browser.ask(f"{tables}.filter(t => [...t.tBodies[0].rows].some(r => !r.querySelector('th'))).length") == 0
    if name == "much":
        assert browser.ask(f"{tables}.length") > 15
        assert browser.ask("document.querySelectorAll('article svg[role=img] > title + desc').length") >= 5
    ids = browser.ask("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    meant = (
        "[...document.querySelectorAll('[aria-labelledby]')].flatMap(e => e.getAttribute('aria-labelledby').split(' '))"
    )
    assert set(browser.ask(meant)) <= set(ids)


FOCUSED = """((e, place) => ({name: e.tagName, text: e.textContent.trim().slice(0, 30), top: place.top + scrollY,
    outline: getComputedStyle(e).outlineStyle, seen: place.bottom > 0 && place.top < innerHeight}))
    (document.activeElement, document.activeElement.getBoundingClientRect())"""


def test_the_keyboard_gets_everywhere_and_out_again(browser, pages):
    browser.show(pages["much"], width=1280, height=900)
    browser.tell("Page.bringToFront")
    reachable = browser.ask(
        "[...document.querySelectorAll('a, summary, [tabindex=\"0\"]')].filter(e => e.checkVisibility()).length"
    )
    visited = []
    for _ in range(reachable):
        browser.press("Tab", 9)
        visited.append(browser.ask(FOCUSED))
    assert visited[0]["text"] == "To the report"
    assert [one["text"] for one in visited[1:6]] == ["Live resources", "Timeline", "Costs", "Datasets", "Audit"]
    assert {one["name"] for one in visited} == {"A", "SUMMARY", "DIV"}
    assert all(one["outline"] != "none" and one["seen"] for one in visited)
    tops = [one["top"] for one in visited[1:]]
    assert tops == sorted(tops), "from the top down"
    browser.press("Tab", 9)
    assert browser.ask("document.activeElement === document.body || document.activeElement.className === 'skip'")


def test_details_open_and_the_skip_link_skips_by_keyboard_alone(browser, pages):
    browser.show(pages["much"], width=360)
    browser.tell("Page.bringToFront")
    browser.press("Tab", 9)
    browser.press("Enter", 13, text="\r")
    assert browser.ask("[location.hash, document.activeElement.id]") == ["#main", "main"]
    browser.ask("document.querySelector('summary').focus()")
    browser.press("Enter", 13, text="\r")
    assert browser.ask("document.querySelector('details').open") is True
    assert browser.ask("document.querySelector('details table').checkVisibility()") is True
