"""The pictures that need runs of the shipped recipes: `make pictures`.

The live view is a screen of a terminal while a run trains, as SVG. The others are what a browser
shows first: of the report of a run that the bias gate blocked, of a run's lineage, and of the
monitor's page. Needs tmux and Chromium. The runs' state is in `build/pictures`.
"""

import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

from rich.console import Console
from rich.text import Text

from sashiko.base.parquet import read_columns

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs/images"
HOME = Path("build/pictures")
_COLUMNS, _ROWS = 118, 34
_FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_SASHIKO = Path(sys.executable).with_name("sashiko").relative_to(ROOT)


def main() -> None:
    """Makes the pictures."""
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if browser is None or shutil.which("tmux") is None:
        sys.exit("error: the pictures need tmux and Chromium (apt-get install both)")
    live_run(IMAGES / "live-run.svg")
    screen(browser, f"{_report()}#lineage", IMAGES / "lineage.png")
    screen(browser, monitored(), IMAGES / "monitor.png")
    _sashiko("run", "--recipe", "complaints-unmitigated", check=False)
    screen(browser, _report(), IMAGES / "report-blocked.png")


def live_run(path: Path) -> None:
    """Draws the terminal while Train of a fresh run of the default recipe is at work."""
    shutil.rmtree(ROOT / HOME, ignore_errors=True)
    size = ["-x", str(_COLUMNS), "-y", str(_ROWS)]
    _tmux("new-session", "-d", *size, f"{_SASHIKO} run --home {HOME}; sleep 600")
    screen = ""
    try:
        while not re.search(r"Train\s+running.*epoch", screen):
            time.sleep(0.5)
            screen = _tmux("capture-pane", "-p")
        drawn = _tmux("capture-pane", "-p", "-e")
        while not re.search(r"^(registered|blocked|failed|error|step )", screen, re.MULTILINE):
            time.sleep(2)
            screen = _tmux("capture-pane", "-p")
    finally:
        with suppress(subprocess.CalledProcessError):
            _tmux("kill-session")
    console = Console(record=True, width=_COLUMNS, file=io.StringIO())
    console.print(Text.from_ansi(drawn.rstrip()), soft_wrap=True)
    svg = console.export_svg(title="make run")
    # A README's pictures load nothing: without the web font, the reader's own fixed-width face.
    path.write_text(_FONT_FACE.sub("", svg), encoding="utf-8")


def monitored() -> str:
    """Serves the version, sends it rows of a drifted week, and judges them; returns the page."""
    _sashiko("model", "approve", "1", "--reason", "a picture of its monitoring")
    rows = ROOT / HOME / "rows.parquet"
    command = [_SASHIKO, "data", "generate", rows, "--rows", "2000", "--drift"]
    subprocess.run(command, cwd=ROOT, check=True)
    columns = ("complaint_id", "product", "channel", "complaint_text")
    sent = read_columns(rows, columns).to_pylist()
    command = [_SASHIKO, "model", "serve", "--home", HOME, "--capture", "100", "--port", "8471"]
    with subprocess.Popen(command, cwd=ROOT) as server:
        time.sleep(30)
        for start in range(0, len(sent), 100):
            ids = [row.pop("complaint_id") for row in sent[start : start + 100]]
            body = json.dumps({"inputs": sent[start : start + 100], "ids": ids})
            connection = HTTPConnection("127.0.0.1", 8471)
            connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
            connection.getresponse().read()
        server.terminate()
    _sashiko("monitor", check=False)
    return max((ROOT / HOME / "monitor").rglob("*.html"), key=lambda f: f.stat().st_mtime).as_uri()


def _report() -> str:
    return (max((ROOT / HOME / "runs").iterdir()) / "report.html").as_uri()


def screen(browser: str, page: str, path: Path) -> None:
    """Takes the first screen of a page."""
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                "--disable-background-networking", f"--user-data-dir={profile}",
                "--window-size=1280,900", f"--screenshot={path}", page,
            ],
            check=True,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip


def _sashiko(*words: str, check: bool = True) -> None:
    subprocess.run([_SASHIKO, *words, "--home", HOME], cwd=ROOT, check=check)


def _tmux(verb: str, *options: str) -> str:
    """Runs a command of tmux on a server of its own."""
    command = ["tmux", "-L", "sashiko-pictures", verb, *options]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout


if __name__ == "__main__":
    main()
