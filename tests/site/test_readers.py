"""Four readers find their answers on the built site, from its first page: `make test-site`."""

import re
import time
from pathlib import Path

import pytest

from tests.project_root import REPOSITORY
from tests.unit.run_report.page import find_browser

SITE = REPOSITORY / "build/site"
FRONT = SITE / "index.html"
PAGES = sorted(
    page.relative_to(SITE)
    for page in SITE.rglob("*.html")
    if page.parent.name not in ("decisions", "packs") and page.stem not in ("genindex", "search")
)
PICTURES = [path for path in sorted((REPOSITORY / "docs/images").glob("*.svg"))
            if path.stem != "live-run"]  # fmt: skip

# Reader -> (question, the links that are clicked in turn, words of the answer).
READERS = {
    "engineer": (
        ("What is it, and for whom?", (), "For machine-learning teams in regulated companies"),
        ("How do I try it?", (), "make run"),
        ("Is it in use on AWS?", ("What is verified, and what is not",), "Nothing here has run on"),
        ("Why not Kedro or Metaflow?", ("How Sashiko compares",), "When to choose Sashiko"),
        ("How does it look with my data?", ("Bring your own data",), "--label"),
        ("What is a facet?", ("Concepts",), "facet"),
    ),
    "platform engineer": (
        ("What do I need in an account?", ("The first day in an account",), "Before you start"),
        ("What does it cost?", ("The first day in an account",), "81.20 a month"),
        (
            "A deploy failed: what now?",
            ("The first day in an account", "troubleshooting"),
            "you see",
        ),
        ("Which keys has a recipe?", ("Configuration",), "learning_rate"),
        ("How do merges reach prod?", ("Delivery: from a merge to the accounts",), "approves"),
        ("Back to the last model?", ("Serve a model, update it, promote it to prod",),
         "sashiko model rollback"),
    ),
    "security reviewer": (
        ("Who may read sensitive columns?", ("the security review",), "read by the bias evaluator"),
        ("Which test proves a control?", ("Security controls",), r"KMS\.4"),
        ("What can a deployer reach?", ("SECURITY.md",), "What a deployer can reach"),
        ("What holds against an administrator?", ("Policies for an AWS organization",),
         "RegionsOfTheProject"),
        ("What leaves the account?", ("the security review",), "nothing by itself"),
    ),
    "auditor": (
        ("What about the EU AI Act?", ("for the auditor",), r"Art\. 14"),
        ("Who approved, when and why?", ("for the auditor",), "time, person, reason"),
        ("How long is what kept?", ("for the auditor",), "captured requests"),
        ("What was never tried?", ("for the auditor", "verified.md"), "never tried"),
        ("What may reweighing claim?", ("what reweighing may claim",), "AI Act"),
    ),
}  # fmt: skip

LINKS = """(text) => [...document.querySelectorAll('a')].filter(
  a => a.checkVisibility() && a.textContent.trim().replace(/\\s+/g, ' ') === text)"""
# Of an element: the contrast of its text with what lies below it.
CONTRAST = """(() => {
  const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = colour => {
    const [r, g, b] = numbers(colour).map(c => c / 255)
      .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const below = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if ((numbers(colour)[3] ?? 1) > 0.9) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  return (WHICH);
})()"""
PAGE_TEXT = CONTRAST.replace("WHICH", """
  [...document.querySelectorAll('article :is(p, li, td, th, h1, h2, h3, a, code, pre span)')]
  .filter(item => item.checkVisibility() && item.textContent.trim())
  .map(item => [contrast(getComputedStyle(item).color, below(item)), item.textContent.slice(0, 40)])
  .filter(([found]) => found < 4.5).slice(0, 5)""")  # fmt: skip
PICTURE_TEXT = CONTRAST.replace("WHICH", """
  [...document.querySelectorAll('text')].filter(item => item.textContent.trim()).map(item => {
    const box = item.closest('.node, .step')
      ?.querySelector('path:not([fill=none]), polygon, rect');
    const fill = box && getComputedStyle(box).fill;
    const under = fill && fill !== 'none' ? fill : PAPER;
    return [contrast(getComputedStyle(item).fill, under), item.textContent];
  }).filter(([found]) => found < 4.5).slice(0, 5)""")  # fmt: skip
PAPER = {"light": "rgb(255, 255, 255)", "dark": "rgb(19, 20, 22)"}


@pytest.fixture(scope="module", autouse=True)
def site():
    if find_browser() is None:
        pytest.skip("no browser on PATH: the site was not read (apt-get install chromium)")
    assert FRONT.is_file(), "run `make docs-site` first"


def show(tab, page, *, width=1200, mode="light"):
    tab.open(page, width=width)
    feature = {"name": "prefers-color-scheme", "value": mode}
    tab.call("Emulation.setEmulatedMedia", media="screen", features=[feature])


def follow(tab, text):
    """Clicks the first visible link with that text, and waits for its page."""
    links = f"({LINKS})({text!r})"
    assert tab.value(f"{links}.length") > 0, f"no link {text!r} on {tab.value('location.pathname')}"
    tab.events.clear()
    tab.value(f"{links}[0].click(), true")
    # Another page is loaded, or a place on this one is shown.
    for _ in range(200):
        time.sleep(0.025)
        tab.value("true")  # takes in what the browser has told meanwhile
        ended = {method for method, _ in tab.events}
        if ended & {"Page.loadEventFired", "Page.navigatedWithinDocument"}:
            return
    raise AssertionError(f"the link {text!r} leads nowhere")


@pytest.mark.parametrize(
    ("links", "answer"),
    [
        pytest.param(links, answer, id=f"{reader}: {question}")
        for reader, questions in READERS.items()
        for question, links, answer in questions
    ],
)
def test_a_reader_finds_the_answer(tab, links, answer):
    assert len(links) <= 3
    show(tab, FRONT)
    for text in links:
        follow(tab, text)
    words = re.sub(r"\s+", " ", tab.value("document.querySelector('article').innerText"))
    assert re.search(answer, words), tab.value("location.pathname")


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_page_fits_a_phone_and_can_be_read_in_the_dark(tab, page):
    show(tab, SITE / page, width=400, mode="dark")
    assert tab.value("document.documentElement.scrollWidth") <= 400
    assert tab.value("getComputedStyle(document.body).backgroundColor") == PAPER["dark"]
    assert tab.value(PAGE_TEXT) == []


def test_the_menu_opens_on_a_phone(tab):
    show(tab, FRONT, width=400)
    link = "document.querySelector('.sidebar-tree a').getBoundingClientRect()"
    assert tab.value(f"{link}.right") <= 0
    tab.value("document.querySelector('.nav-overlay-icon').click(), true")
    time.sleep(1)
    assert 0 <= tab.value(f"{link}.left") < 400
    follow(tab, "Concepts")
    assert tab.value("document.querySelector('h1').innerText").startswith("Concepts")


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.stem)
def test_a_picture_can_be_read(tab, picture: Path, mode):
    show(tab, picture, width=800, mode=mode)
    assert tab.value("document.querySelectorAll('text').length") > 4
    assert tab.value(PICTURE_TEXT.replace("PAPER", repr(PAPER[mode]))) == []
