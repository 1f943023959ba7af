"""Runs a coverage-guided fuzzer on the two parsers of untrusted bytes.

libFuzzer's own words go to stderr, one line for each parser to stdout. Exit status: 0 nothing was
found, 1 something was, and its input is kept; 130 interrupted. Adds to build/fuzz/<parser>/corpus.
"""

import argparse
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from verification.fuzz import archives, requests

KEPT = Path("build/fuzz")
SCRATCH = "scratch"
_PARSERS = {archives.NAME: archives, requests.NAME: requests}
_LIMITS = ("-timeout=20", "-rss_limit_mb=1024", "-print_final_stats=1")


def main() -> int:
    """Fuzzes, or replays one input."""
    parser = argparse.ArgumentParser(prog="python -m verification.fuzz", description=__doc__)
    parser.add_argument("parsers", nargs="*", help=f"of {', '.join(_PARSERS)}; default: both")
    parser.add_argument("--seconds", type=int, default=60, help="for each parser (default: 60)")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="try one input, of one parser")
    options = parser.parse_args()
    names = options.parsers or list(_PARSERS)
    if unknown := [name for name in names if name not in _PARSERS]:
        parser.error(f"no such parser: {unknown[0]}; there are {', '.join(_PARSERS)}")
    if options.replay:
        if len(options.parsers) != 1:
            parser.error("--replay needs the one parser to try the input on")
        return replay(names[0], options.replay)
    if importlib.util.find_spec("atheris") is None:
        print("error: atheris is not installed; run make fuzz", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        # All are run, also after a finding.
        return max([fuzz(name, seconds=options.seconds) for name in names])
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def replay(name: str, file: Path) -> int:
    """Tries one input; a traceback, and what Python ends with then, is what it breaks."""
    try:
        data = file.read_bytes()
    except OSError as error:
        print(f"error: {file} cannot be read: {error.strerror}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="sashiko-fuzz-") as scratch:
        _PARSERS[name].check(data, Path(scratch))
    print(f"{name}: nothing comes of {file} that should not")
    return 0


def fuzz(name: str, *, seconds: int) -> int:
    """Runs a fuzzer in a process of its own and says what it found."""
    kept = KEPT / name
    with tempfile.TemporaryDirectory(prefix="sashiko-fuzz-") as folder:
        command = _command(name, Path(folder), seconds=seconds)
        earlier = set(kept.iterdir())
        # Where a parser may write, and the fuzzer lets it. atheris says on stdout what was raised.
        environ = os.environ | {"TMPDIR": str(Path(folder, SCRATCH))}
        status = subprocess.run(command, stdout=sys.stderr, env=environ, check=False).returncode
    for finding in sorted(set(kept.iterdir()) - earlier):
        print(f'{name}: found {finding}; try it: make fuzz ARGS="{name} --replay {finding}"')
        return 1
    print(f"{name}: {f'the fuzzer ended with status {status}' if status else 'found nothing'}")
    return int(status != 0)


def _command(name: str, folder: Path, *, seconds: int) -> list[str]:
    parser, corpus = _PARSERS[name], KEPT / name
    seeds, scratch, words = folder / "seeds", folder / SCRATCH, folder / "words"
    for directory in (corpus / "corpus", seeds, scratch):
        directory.mkdir(parents=True, exist_ok=True)
    for seed, content in parser.seeds().items():
        (seeds / seed.replace(" ", "-")).write_bytes(content)
    lines = ("".join(f"\\x{byte:02x}" for byte in word) for word in parser.WORDS)
    words.write_text("".join(f'"{line}"\n' for line in lines))
    return [
        sys.executable, "-m", "verification.fuzz.target", name, str(scratch),
        f"-max_total_time={seconds}", f"-max_len={parser.LONGEST}", f"-dict={words}",
        f"-artifact_prefix={corpus}/", *_LIMITS, str(corpus / "corpus"), str(seeds),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
