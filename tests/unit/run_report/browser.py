"""A headless Chromium on the machine, driven by its DevTools protocol over two pipes."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_FLAGS = ("--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking",
          "--disable-dev-shm-usage", "--remote-debugging-pipe", "about:blank")  # fmt: skip
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
        self._received = os.fdopen(receive, "rb", closefd=False)
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

    def open(self, page: Path, *, width: int) -> None:
        """Shows a file in a window of that width, in CSS pixels, and waits until it is loaded."""
        self.events.clear()
        self.call("Emulation.setEmulatedMedia", media="screen")
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
        text = bytearray()
        while (byte := self._received.read(1)) != b"\0":
            assert byte, "the browser has gone"
            text += byte
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
