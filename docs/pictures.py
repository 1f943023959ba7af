"""The README's pictures, from runs of the shipped recipes: `make pictures`.

The live view is a screen of a terminal while a run trains, as SVG. The report is what a browser
shows first of a run that the bias gate blocked. Needs tmux and Chromium. The runs' state is in
`build/pictures`.
"""

import io
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs/images"
HOME = Path("build/pictures")
_COLUMNS, _ROWS = 118, 34
_BROWSER_WINDOW = "1280,900"
_FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_SESSION = "pictures"


def main() -> int:
    """Makes both pictures; returns the exit status."""
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if browser is None or shutil.which("tmux") is None:
        print("error: the pictures need tmux and Chromium (apt-get install both)", file=sys.stderr)
        return 1
    live_run(IMAGES / "live-run.svg")
    report(IMAGES / "report-blocked.png", browser=browser, recipe="complaints-unmitigated")
    return 0


def live_run(path: Path) -> None:
    """Draws the terminal while Train of a fresh run of the default recipe is at work."""
    shutil.rmtree(ROOT / HOME, ignore_errors=True)
    sashiko = Path(sys.executable).with_name("sashiko").relative_to(ROOT)
    size = ["-x", str(_COLUMNS), "-y", str(_ROWS)]
    _tmux("new-session", "-d", *size, f"{sashiko} run --home {HOME}; sleep 600")
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
            _tmux("kill-session", "-t", _SESSION)
    console = Console(record=True, width=_COLUMNS, file=io.StringIO())
    console.print(Text.from_ansi(drawn.rstrip()), soft_wrap=True)
    svg = console.export_svg(title="make run")
    # A README's pictures load nothing: without the web font, the reader's own fixed-width face.
    path.write_text(_FONT_FACE.sub("", svg), encoding="utf-8")


def report(path: Path, *, browser: str, recipe: str) -> None:
    """Takes the first screen of the report of a recipe's run."""
    command = [str(Path(sys.executable).with_name("sashiko")), "run", "--home", str(HOME)]
    subprocess.run([*command, "--recipe", recipe], cwd=ROOT, check=False)
    page = max((ROOT / HOME / "runs").iterdir()) / "report.html"
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                "--disable-background-networking", f"--user-data-dir={profile}",
                f"--window-size={_BROWSER_WINDOW}", f"--screenshot={path}", page.as_uri(),
            ],
            check=True,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip


def _tmux(verb: str, *options: str) -> str:
    """Runs a command of tmux on a server of its own."""
    target = ["-t", _SESSION] if verb != "new-session" and "-t" not in options else []
    named = ["-s", _SESSION] if verb == "new-session" else target
    command = ["tmux", "-L", f"sashiko-{_SESSION}", verb, *named, *options]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
