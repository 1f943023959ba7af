"""What evidently, NannyML and our monitor say of the same windows.

    make .venv-evidently/.done .venv-nannyml/.done
    python -m verification.benchmarks.monitoring_peers --write
    python -m verification.benchmarks.monitoring_peers --short

Ours judges each window as it is drawn, by the functions and default settings of the monitor; each
peer then judges all of them in an environment of its own. `--short` is seconds of our part alone.
`--write` writes `docs/monitoring-peers.md`.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from sashiko.core.files import write_bytes
from sashiko.monitoring.checks import MonitorCheck
from sashiko.monitoring.columns import cells_of, count_reference
from sashiko.monitoring.label_free import label_free_accuracy
from sashiko.settings.monitor import MonitorSection
from verification.benchmarks.monitoring import (
    judge,
    measure_all_but_texts,
    measure_texts,
)
from verification.benchmarks.monitoring_audit import AUDITED, Audit
from verification.benchmarks.monitoring_page import REFERENCE_ROWS
from verification.benchmarks.monitoring_peers_page import Answers, page
from verification.benchmarks.monitoring_pools import COLUMNS, Pools
from verification.benchmarks.monitoring_traffic import alone
from verification.benchmarks.monitoring_verdicts import (
    Setup,
    StreamVerdict,
    Verdict,
    read_answers,
)
from verification.benchmarks.monitoring_windows import (
    Effort,
    Pair,
    Stream,
    draw_pairs,
    draw_streams,
    write_pair,
    write_stream,
)
from verification.benchmarks.runs import machine

PAGE = Path(__file__).parents[2] / "docs/monitoring-peers.md"
PEERS = ("evidently", "nannyml")
SHORT = Effort(windows=2, texts=1, streams=2, largest=500)
_SETTINGS = MonitorSection()
_PEERS_ENVIRONMENT = {
    "DO_NOT_TRACK": "1",  # evidently and NannyML tell their makers how they are used
    "NML_DISABLE_USAGE_LOGGING": "1",
    "OMP_NUM_THREADS": "1",  # waiting threads would count as time of the processor
    "OPENBLAS_NUM_THREADS": "1",
}


def measure(pools: Pools, effort: Effort, *, seed: int, with_peers: bool) -> Answers:
    """Has all monitors judge the same windows and streams."""
    answers = Answers()
    with tempfile.TemporaryDirectory(prefix="sashiko-benchmark-") as name:
        folder = Path(name) if with_peers else None
        for pair in draw_pairs(pools, effort, seed=seed):
            answers.windows += judge_window(pools, pair)
            answers.accuracies.setdefault(pair.setting, []).append(pair.accuracy)
            if folder:
                write_pair(folder, pair)
        for stream in draw_streams(pools, effort, seed=seed):
            answers.streams.append(judge_stream(stream))
            answers.stream_accuracies.setdefault(stream.kind, []).append(stream.accuracy)
            if folder:
                write_stream(folder, stream)
        print("ours judged all windows", file=sys.stderr, flush=True)
        for peer in PEERS if folder else ():
            windows, streams = ask_peer(peer, folder)
            answers.windows += windows
            answers.streams += streams
            print(f"{peer} judged all windows", file=sys.stderr, flush=True)
    return answers


def judge_window(pools: Pools, pair: Pair) -> Iterator[Verdict]:
    """Judges a window by all checks but the texts, and then by all if its texts are compared."""
    start = time.process_time()
    measured = measure_all_but_texts(pools, pair.reference, pair.window)
    checks = judge(measured)
    seconds = time.process_time() - start
    yield Verdict(pair.setting, Setup.OURS, _alarms(checks), seconds)
    if pair.has_texts:
        texts = measure_texts(pair.reference, alone(pair.window), seed=pair.number)
        checks = judge([*measured, *texts])
        seconds = time.process_time() - start
        estimate = _label_free(pair, checks)
        yield Verdict(pair.setting, Setup.OURS_TEXTS, _alarms(checks), seconds, estimate)


def judge_stream(stream: Stream) -> StreamVerdict:
    """Adds the audited rows of each week to the test, until it raises an alarm."""
    audit = Audit(stream.reference.confusion(REFERENCE_ROWS))
    for number, week in enumerate(stream.weeks, start=1):
        audit.add(week.confusion(AUDITED))
        if audit.alarms():
            return StreamVerdict(stream.kind, Setup.OURS_AUDIT, number)
    return StreamVerdict(stream.kind, Setup.OURS_AUDIT, None)


def _alarms(checks: tuple[MonitorCheck, ...]) -> bool:
    return any(check.outcome == "alarm" for check in checks)


def _label_free(pair: Pair, checks: tuple[MonitorCheck, ...]) -> float | None:
    """Estimates the accuracy by the cells that the monitor counts scores in."""
    inputs = {f"drift of {name}" for name in (*COLUMNS, "the texts")}
    scores = pa.chunked_array([pair.reference.scores])
    cells = count_reference("score", scores)
    counted = len(cells.counts)
    right = cells_of(cells, scores)[pair.reference.right]
    window = cells_of(cells, pa.chunked_array([pair.window.scores]))
    return label_free_accuracy(
        rows=np.array(cells.counts),
        right=np.bincount(right, minlength=counted),
        window=np.bincount(window, minlength=counted),
        input_checks=[check for check in checks if check.name in inputs],
    ).value


def ask_peer(name: str, folder: Path) -> tuple[list[Verdict], list[StreamVerdict]]:
    """Has a peer judge all windows and streams of a folder, in its own environment."""
    answers = folder / f"{name}.json"
    module = f"verification.benchmarks.monitoring_{name}"
    process = subprocess.run(
        [_python(name), "-m", module, str(folder), str(answers)],
        env=os.environ | _PEERS_ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        sys.exit(f"error: {module} ended with status {process.returncode}\n{process.stderr}")
    return read_answers(answers)


def _python(peer: str) -> str:
    python = Path(f".venv-{peer}/bin/python").absolute()
    if not python.is_file():
        sys.exit(f"error: {python} is not there: run `make .venv-{peer}/.done` first")
    return str(python)


def _command() -> str:
    options = [option for option in sys.argv[1:] if option != "--write"]
    return " ".join(["python -m verification.benchmarks.monitoring_peers", *options])


def main() -> None:
    """Prints the page, and writes it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="our part alone, in seconds")
    parser.add_argument("--write", action="store_true", help="write the page")
    parser.add_argument("--windows", type=int, default=40, help="of each setting; default: 40")
    parser.add_argument("--texts", type=int, default=10, help="windows with texts; default: 10")
    parser.add_argument("--streams", type=int, default=20, help="of each kind; default: 20")
    parser.add_argument("--pool", type=int, default=40_000, help="rows that windows are drawn from")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.short and options.write:
        parser.error("the page needs the peers: leave out --short")
    effort = Effort(windows=options.windows, texts=options.texts, streams=options.streams)
    for peer in () if options.short else PEERS:
        _python(peer)
    started = time.monotonic()
    pools = Pools(rows=10_000 if options.short else options.pool, seed=options.seed)
    with threadpool_limits(1):
        answers = measure(
            pools,
            SHORT if options.short else effort,
            seed=options.seed,
            with_peers=not options.short,
        )
    text = page(
        answers,
        command=_command(),
        machine=machine(),
        minutes=(time.monotonic() - started) / 60,
    )
    print(text)
    if options.write:
        write_bytes(PAGE, text.encode())


if __name__ == "__main__":
    main()
