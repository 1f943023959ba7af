"""Documents of which a part is generated: it stands between two markers."""

from pathlib import Path


def between(path: Path, markers: tuple[str, str], content: str) -> str:
    """Returns a document with `content` in place of what stands between its markers."""
    begin, end = markers
    before, _, rest = path.read_text().partition(begin)
    _, marker, after = rest.partition(end)
    if not marker:
        raise SystemExit(f"error: {path} has lost a marker: {begin}...{end}")
    return f"{before}{begin}{content}{end}{after}"
