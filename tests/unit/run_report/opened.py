"""A page, opened in a real browser, that must be whole."""

import pytest

from tests.unit.run_report.browser import browser_tab, find_browser

CUT = """[...document.querySelectorAll(':is(.first, .beside) .scroll')]
  .filter(table => table.scrollWidth > table.clientWidth)"""
WIDTHS = (400, 1200)
OUTSIDE = """[...document.querySelectorAll('figure svg text')].filter(text => {
  const [inner, outer] = [text, text.closest('svg')].map(item => item.getBoundingClientRect());
  return inner.left < outer.left - 4 || inner.right > outer.right + 4;
}).map(text => text.textContent)"""
# A4 within the style sheet's margins, in CSS pixels.
PAPER = (int((210 - 26) / 25.4 * 96), int((297 - 28) / 25.4 * 96))
SHOWN = """[...document.querySelectorAll('main section')].filter(
  section => section.checkVisibility() && section.getBoundingClientRect().height > 60
).map(section => section.id)"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    program = find_browser()
    if program is None:
        pytest.skip("no browser on PATH: the page was not tried in one (apt-get install chromium)")
    with browser_tab(program, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def opens_whole(tab, page, *, width, sections):
    """Opens a page and holds that it is all there, says nothing to the console, loads nothing."""
    tab.open(page, width=width)
    assert tab.value(SHOWN) == sections
    assert tab.value("document.documentElement.scrollWidth") <= width
    assert tab.value(f"{CUT}.length") == 0
    console = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
    assert [event for event in tab.events if event[0] in console] == []
    urls = [
        event["request"]["url"] for method, event in tab.events
        if method == "Network.requestWillBeSent"
    ]  # fmt: skip
    assert urls[0] == page.as_uri()
    assert all(url.startswith("data:") for url in urls[1:])
    assert page.stat().st_size < 2_000_000
