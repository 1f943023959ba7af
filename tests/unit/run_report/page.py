"""A report's page, read as a browser reads it."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from sashiko.run_report import write_report

VOID = {"meta", "link", "br", "hr", "img", "input"}
HOSTILE = '<script>alert("x")</script>&{{ 7*7 }}'


class Page(HTMLParser):
    """What a browser would see: texts by section, ids, references, open tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.section = "top"
        self.texts: dict[str, list[str]] = {}
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "section":
            self.section = dict(attrs).get("id") or "decision"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.setdefault(self.section, []).append(data)

    def text(self, section: str) -> str:
        return " ".join(" ".join(self.texts[section]).split())


def page_of(folder: Path, **more: Any) -> Page:
    path = write_report(folder, folder.parent.parent, **more)
    assert path == folder / "report.html"
    return Page(path.read_text())


def pictures(page: Page, section: str) -> list[str]:
    """The text alternatives of a section's pictures."""
    part = page.html.split(f'<section id="{section}"')[1].split("</section>")[0]
    return re.findall(r'role="img" aria-label="([^"]*)"', part)


CUT = """[...document.querySelectorAll('.first *')]
  .filter(part => part.scrollWidth > part.clientWidth + 1 && part.clientWidth)"""
WIDTHS = (400, 1280)

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


_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# Great Expectations' pages ask for files of other hosts: without a network each would wait.
_FLAGS = ("--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking",
          "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
          "--remote-debugging-pipe", "about:blank")  # fmt: skip

# The browser reads its calls from file 3 and answers on file 4.
_EXEC = """import fcntl, os, sys
both = [fcntl.fcntl(int(file), fcntl.F_DUPFD_CLOEXEC, 10) for file in sys.argv[1:3]]
os.dup2(both[0], 3), os.dup2(both[1], 4)
os.execv(sys.argv[3], sys.argv[3:])"""

_DOMAINS = ("Page", "Runtime", "Log", "Network", "Accessibility")


def find_browser() -> str | None:
    """The path of a browser, or None where the machine has none."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


class Tab:
    """A page in the browser.

    Attributes:
        events: (method, parameters) of all events of the browser, in order.
    """

    def __init__(self, send: int, receive: int) -> None:
        self._send = send
        self._receive, self._received = receive, b""
        self._session: dict[str, str] = {}
        self._number = 0
        self.events: list[tuple[str, dict[str, Any]]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in _DOMAINS:
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Calls a method and returns its result; events that come meanwhile are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params, **self._session}
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def open(self, page: Path, *, width: int, scheme: str = "light") -> None:
        """Shows a file in a window of that width, in CSS pixels, and waits until it is loaded."""
        self.events.clear()
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media="screen", features=features)
        self._resize(width)
        self.call("Page.navigate", url=page.as_uri())
        while not any(method == "Page.loadEventFired" for method, _ in self.events):
            self._next()

    def print_on(self, *, width: int) -> None:
        """Lays the page out as for paper of that width within its margins."""
        self._resize(width)
        self.call("Emulation.setEmulatedMedia", media="print")

    def value(self, expression: str) -> Any:
        """The value of a JavaScript expression on the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"]["value"]

    def _resize(self, width: int) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900,
                  deviceScaleFactor=1, mobile=False)  # fmt: skip

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            part = os.read(self._receive, 1 << 16)
            assert part, "the browser has gone"
            self._received += part
        text, _, self._received = self._received.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        if "method" in message:
            self.events.append((message["method"], message["params"]))
        return message


@contextmanager
def browser_tab(program: str, profile: Path) -> Iterator[Tab]:
    """Starts the browser with a profile of its own, and ends it."""
    theirs, send = os.pipe()
    receive, answers = os.pipe()
    flags = [*_FLAGS, f"--user-data-dir={profile}"]
    if os.geteuid() == 0:
        flags.insert(0, "--no-sandbox")  # Chromium refuses to run as root with it
    process = subprocess.Popen(
        [sys.executable, "-c", _EXEC, str(theirs), str(answers), program, *flags],
        pass_fds=(theirs, answers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs)
    os.close(answers)
    try:
        yield Tab(send, receive)
    finally:
        os.close(send)
        process.terminate()
        process.wait()
        os.close(receive)
