"""The commands that the pages show."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "verification/*.md")
    for path in ROOT.glob(pattern)
    # Past releases; made from the help texts; those of installed packages.
    if path.name not in {"CHANGELOG.md", "cli.md"}
    and path.parent.name != "packs"
    and "node_modules" not in path.parts
)
_FENCE = re.compile(r"^ *```[a-z]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)  # in lists too
_INLINE = re.compile(r"`([^`\n]+)`")
_COMMAND = re.compile(r"(?:^|&& |; |\$\()((?:\.venv/bin/)?(?:sashiko|make|python -m) [^&;|)]*)")


def commands(text: str) -> Iterator[str]:
    """Yields the commands of a page: whole lines of blocks, and what stands between backticks."""
    blocks = [
        line for block in _FENCE.findall(text) for line in block.replace("\\\n", "").split("\n")
    ]
    for line in (*blocks, *_INLINE.findall(_FENCE.sub("", text))):
        for command in _COMMAND.findall(line.partition("  #")[0].strip()):
            yield command.strip()
