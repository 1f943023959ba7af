"""Runs a coverage-guided fuzzer on the two parsers of untrusted bytes.

Progress goes to stderr, one line for each parser to stdout. Exit status: 0 nothing was found, 1
something was, and its input is kept; 130 interrupted. Both add to build/fuzz/<parser>/corpus.
"""

import argparse
import importlib.util
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from verification.fuzz import archives, requests

KEPT = Path("build/fuzz")
SCRATCH = "scratch"
_PARSERS = {archives.NAME: archives, requests.NAME: requests}
_STATUS = re.compile(r"#(\d+)\s+\S+\s+cov: (\d+) ft: (\d+)")
_WRITTEN = re.compile(r"Test unit written to (\S+)")
_FINDING = re.compile(r"Uncaught Python exception|ERROR: libFuzzer|ALARM")
_EVERY = 10  # seconds between two lines of progress
_LIMITS = ("-timeout=20", "-rss_limit_mb=1024", "-print_final_stats=1")


@dataclass
class Round:
    """The result of a fuzzer.

    Attributes:
        executions: of the parser.
        edges: branches that were taken.
        features: branches, by how often they were taken and what was compared there.
        finding: the input that broke something.
    """

    executions: int = 0
    edges: int = 0
    features: int = 0
    finding: Path | None = None


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
    """Runs a fuzzer in a process of its own and says what it did."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sashiko-fuzz-") as folder:
        command = _command(name, Path(folder), seconds=seconds)
        result = Round()
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,  # atheris' words of an exception; libFuzzer's come on stderr
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # Where a parser may write, and the fuzzer lets it.
            env={**os.environ, "TMPDIR": str(Path(folder, SCRATCH))},
        ) as process:
            try:
                _follow(name, process.stdout or (), result)
                status = process.wait()
            finally:
                process.kill()
    elapsed = time.monotonic() - started
    says = (
        f"{name}: {result.executions:,} executions in {elapsed:.0f} s, {result.edges} branches, "
        f"{result.features} features; "
    )
    if result.finding:
        print(
            f"{says}found {result.finding}; "
            f'try it: make fuzz ARGS="{name} --replay {result.finding}"'
        )
    elif status != 0:
        print(f"{says}the fuzzer ended with status {status}; the log says why: {_log(name)}")
    else:
        print(f"{says}found nothing")
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


def _follow(name: str, lines: Iterator[str], result: Round) -> None:
    """Writes the fuzzer's output to its log, and prints a summary."""
    last_report = time.monotonic()
    finding = False
    with _log(name).open("w") as log:
        for line in lines:
            log.write(line)
            log.flush()
            finding = finding or bool(_FINDING.search(line))
            if status := _STATUS.match(line):
                result.executions, result.edges, result.features = map(int, status.groups())
                if time.monotonic() - last_report > _EVERY:
                    last_report = time.monotonic()
                    print(
                        f"{name}: {result.executions:,} executions, {result.features} features",
                        file=sys.stderr,
                    )
            elif line.startswith("stat::number_of_executed_units"):
                result.executions = int(line.split()[-1])
            elif written := _WRITTEN.search(line):
                result.finding = Path(written[1])
            elif finding:
                print(line, end="", file=sys.stderr)


def _log(name: str) -> Path:
    return KEPT / name / "log.txt"


if __name__ == "__main__":
    sys.exit(main())
