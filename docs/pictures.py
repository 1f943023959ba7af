"""The pictures that need runs of the shipped recipes: `make pictures`.

The live view is a screen of a terminal while a run trains, as SVG. The others are what a browser
shows first: of the report of a run that the bias gate blocked, and of the pages of the monitor and
a selection. Needs tmux and Chromium. The runs' state is in `build/pictures`.
"""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path

from rich.console import Console
from rich.text import Text

from sashiko.base.parquet import read_columns

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs/images"
HOME = Path("build/pictures")
_COLUMNS = 118
_FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_SASHIKO = Path(sys.executable).with_name("sashiko").relative_to(ROOT)


def main() -> None:
    """Makes the pictures."""
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if browser is None or shutil.which("tmux") is None:
        sys.exit("error: the pictures need tmux and Chromium (apt-get install both)")
    os.environ["SASHIKO_HOME"] = str(HOME)
    live_run(IMAGES / "live-run.svg")
    screen(browser, monitored(), IMAGES / "monitor.png")
    _sashiko("run", "--recipe", "complaints-unmitigated", check=False)
    report = max((ROOT / HOME / "runs").iterdir()) / "report.html"
    screen(browser, report.as_uri(), IMAGES / "report-blocked.png")
    screen(browser, selected(), IMAGES / "selection.png")


def live_run(path: Path) -> None:
    """Draws the terminal while Train of a fresh run of the default recipe is at work."""
    shutil.rmtree(ROOT / HOME, ignore_errors=True)
    # When the run ends, so does the session, and the `wait-for` below returns.
    command = f"{_SASHIKO} run; tmux wait-for -S done"
    _tmux("new-session", "-d", "-x", str(_COLUMNS), "-y", "34", command)
    while not re.search(r"Train\s+running.*epoch", _tmux("capture-pane", "-p")):
        time.sleep(0.5)
    drawn = _tmux("capture-pane", "-p", "-e")
    _tmux("wait-for", "done")
    console = Console(record=True, width=_COLUMNS, file=io.StringIO())
    console.print(Text.from_ansi(drawn.rstrip()), soft_wrap=True)
    svg = console.export_svg(title="make run")
    # A README's pictures load nothing: without the web font, the reader's own fixed-width face.
    path.write_text(_FONT_FACE.sub("", svg), encoding="utf-8")


def monitored() -> str:
    """Serves the version, sends it rows of a drifted week, and judges them; returns the page."""
    _sashiko("model", "approve", "1", "--reason", "a picture of its monitoring")
    rows = ROOT / HOME / "rows.parquet"
    _sashiko("data", "generate", str(rows), "--rows", "2000", "--drift")
    columns = ("complaint_id", "product", "complaint_text")
    sent = read_columns(rows, columns).to_pylist()
    command = [_SASHIKO, "model", "serve", "--capture", "100", "--port", "8471"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as server:
        next(line for line in server.stderr or () if line.startswith("ready on"))
        for start in range(0, len(sent), 100):
            ids = [row.pop("complaint_id") for row in sent[start : start + 100]]
            body = json.dumps({"inputs": sent[start : start + 100], "ids": ids})
            connection = HTTPConnection("127.0.0.1", 8471)
            connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
            connection.getresponse().read()
        server.terminate()
    _sashiko("monitor", check=False)
    return max((ROOT / HOME / "monitor").rglob("*.html"), key=lambda f: f.stat().st_mtime).as_uri()


def selected() -> str:
    """Compares the encoders of both recipes and the linear model; returns the page."""
    text = (ROOT / "selections/complaints.yaml").read_text(encoding="utf-8")
    # A causal LM would take 20 minutes; the runs of both encoders are here.
    text = text.replace("{recipe: complaints-llm}", "{recipe: complaints}")
    text = text.replace("an encoder and a causal LM", "and an encoder with and without weights")
    text = text.replace("llm:", "unweighted:").replace("complaints-llm}", "complaints-unmitigated}")
    file = ROOT / HOME / "complaints.yaml"
    file.write_text(text, encoding="utf-8")
    _sashiko("select", str(file))
    return next((ROOT / HOME / "selections").rglob("*.html")).as_uri()


def screen(browser: str, page: str, path: Path) -> None:
    """Takes the first screen of a page."""
    flags = "--headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1280,900"
    with tempfile.TemporaryDirectory() as profile:
        flags += f" --disable-background-networking --user-data-dir={profile} --screenshot={path}"
        subprocess.run([browser, *flags.split(), page], check=True, stderr=subprocess.DEVNULL)


def _sashiko(*words: str, check: bool = True) -> None:
    subprocess.run([_SASHIKO, *words], cwd=ROOT, check=check)


def _tmux(verb: str, *options: str) -> str:
    """Runs a command of tmux on a server of its own."""
    command = ["tmux", "-L", "sashiko-pictures", verb, *options]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout


if __name__ == "__main__":
    main()
