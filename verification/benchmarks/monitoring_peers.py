"""What evidently, NannyML and our monitor say of the same windows.

    make .venv-evidently/.done .venv-nannyml/.done
    python -m verification.benchmarks.monitoring_peers --write
    python -m verification.benchmarks.monitoring_peers --short

Ours judges each window as it is drawn, by the functions and default settings of the monitor; each
peer then judges all of them in an environment of its own. `--windows` and `--streams` are of each
setting, `--texts` are the windows whose texts are compared. `--short` is seconds of our part alone.
`--write` writes the tables of `docs/monitoring-peers.md`.

A reference and its window have no row in common: a text that stands on both sides, or twice on one,
would tell a classifier of texts more than its words do. A larger reference, of which no text is
compared, is drawn with replacement.
"""

import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

from sashiko.evaluation.metrics.calibration import wilson_interval
from sashiko.evaluation.reference_columns import cells_of, count_reference
from sashiko.settings.shifts import ShiftKind
from sashiko_packs.monitoring.checks import MonitorCheck
from sashiko_packs.monitoring.window import label_free_accuracy
from verification.benchmarks.bench import machine, options, peer_python, show, table, write_part
from verification.benchmarks.monitoring import judge, measure_texts, measure_window
from verification.benchmarks.monitoring_audit import AUDITED, Audit
from verification.benchmarks.monitoring_pools import (
    COLUMNS,
    REFERENCE_ROWS,
    Pools,
    Rows,
    alone,
    confusion,
    draw,
)
from verification.benchmarks.monitoring_verdicts import (
    STREAMS,
    WINDOWS,
    Setup,
    StreamVerdict,
    Verdict,
    read_answers,
)

PAGE = Path(__file__).parents[2] / "docs/monitoring-peers.md"
PEERS = ("evidently", "nannyml")
WEEKS, WEEK_ROWS = 12, 500  # of a stream
STREAM_KINDS = ("quiet", "drift")
_CHUNKS = 30  # of a larger reference
_LARGEST_CHUNK = 2000  # more would ask for a reference of 600,000 labelled rows
_REVERSED = 0.085  # of the labels: the accuracy falls by 0.07
_PEERS_ENVIRONMENT = {
    "DO_NOT_TRACK": "1",  # evidently and NannyML tell their makers how they are used
    "NML_DISABLE_USAGE_LOGGING": "1",
    "OMP_NUM_THREADS": "1",  # waiting threads would count as time of the processor
    "OPENBLAS_NUM_THREADS": "1",
}
_DEFAULTS = (Setup.EVIDENTLY, Setup.EVIDENTLY_DATASET, Setup.NANNYML, Setup.NANNYML_CBPE)
_BY_HAND = (
    Setup.EVIDENTLY_TESTS, Setup.NANNYML_TEN, Setup.NANNYML_LARGER, Setup.NANNYML_CBPE_LARGER,
)  # fmt: skip
_TEXTS = (Setup.EVIDENTLY_TEXTS, Setup.EVIDENTLY_DATASET_TEXTS)
_TIMED = (
    Setup.OURS, Setup.EVIDENTLY, Setup.NANNYML, Setup.NANNYML_CBPE, Setup.OURS_TEXTS,
    Setup.EVIDENTLY_TEXTS,
)  # fmt: skip
_LABELLED = (
    Setup.OURS_AUDIT, Setup.NANNYML_REALIZED, Setup.EVIDENTLY_ACCURACY, Setup.EVIDENTLY_BOUND,
    Setup.NANNYML_CBPE,
)  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """Windows of one kind."""

    name: str
    rows: int
    kind: ShiftKind | None = None  # None: quiet
    size: float = 0.0
    has_texts: bool = False  # whether texts are compared too

    def __str__(self) -> str:
        """Names the kind of window."""
        return f"{self.name}, {self.rows:,} rows"


_TOLERATED = "product mix moved by .037, our tolerance"
SETTINGS = (
    *(Setting("quiet", rows, has_texts=True) for rows in (200, 500, 2000, 20_000)),
    Setting("product mix moved by .18", 200, "covariate", 0.18),
    Setting("product mix moved by .18", 500, "covariate", 0.18),
    Setting("product mix moved by .25", 500, "covariate", 0.25, has_texts=True),
    Setting("severe cases .25 to .40", 200, "label", 0.15),
    Setting("severe cases .25 to .40", 500, "label", 0.15, has_texts=True),
    Setting("a quarter new phrases", 200, "phrases", 0.25, has_texts=True),
    Setting("a quarter new phrases", 500, "phrases", 0.25, has_texts=True),
    *(Setting(_TOLERATED, rows, "covariate", 0.037) for rows in (500, 2000, 20_000)),
)


@dataclass(frozen=True)
class Effort:
    """How much is judged."""

    windows: int  # of each setting, two fifths of them where a window has 20,000 rows
    texts: int  # those of them whose texts are compared; fewer of large windows
    streams: int  # of each kind
    largest: int = 20_000  # rows of a window; settings with more are left out

    def windows_of(self, setting: Setting) -> int:
        """Returns the number of windows of a setting."""
        if setting.rows > self.largest:
            return 0
        return max(1, self.windows * 2 // 5) if setting.rows > _LARGEST_CHUNK else self.windows

    def texts_of(self, setting: Setting) -> int:
        """Returns how many of them have texts, whose time grows with the rows."""
        share = 2 if setting.rows >= _LARGEST_CHUNK else 1
        return max(1, self.texts // share) if setting.has_texts else 0


@dataclass(frozen=True)
class Pair:
    """A window with its reference."""

    setting: int  # its place among `SETTINGS`
    number: int
    reference: Rows
    larger: Rows | None
    window: Rows
    has_texts: bool  # whether its texts are compared

    def write(self, folder: Path) -> None:
        """Writes the window, without labels, and its references."""
        case = folder / WINDOWS / f"{self.setting:02}" / f"{self.number:04}"
        case.mkdir(parents=True)
        window = _table(self.window, texts=self.has_texts).drop_columns("label")
        pq.write_table(window, case / "window.parquet")
        pq.write_table(_table(self.reference, texts=self.has_texts), case / "reference.parquet")
        if self.larger is not None:
            pq.write_table(_table(self.larger), case / "larger.parquet")


@dataclass(frozen=True)
class Stream:
    """Weeks with one reference; the first rows of a week are the audited ones."""

    kind: str  # of `STREAM_KINDS`
    number: int
    reference: Rows
    weeks: tuple[Rows, ...]

    def write(self, folder: Path) -> None:
        """Writes the weeks, with the labels of the audited rows alone, and their reference."""
        case = folder / STREAMS / self.kind / f"{self.number:04}"
        case.mkdir(parents=True)
        is_audited = pa.array(np.arange(WEEK_ROWS) < AUDITED)
        weeks = []
        for number, week in enumerate(map(_table, self.weeks), start=1):
            labels = pc.if_else(is_audited, week["label"], pa.scalar(None, pa.int64()))
            labelled = week.drop_columns("label").append_column("label", labels)
            weeks.append(labelled.append_column("week", pa.array([number] * WEEK_ROWS)))
        pq.write_table(pa.concat_tables(weeks), case / "weeks.parquet")
        pq.write_table(_table(self.reference), case / "reference.parquet")


def draw_pair(pools: Pools, place: int, number: int, *, has_texts: bool, seed: int) -> Pair:
    """Draws a window of a setting, by a seed of its own."""
    generator = np.random.default_rng([seed, place, number])
    setting = SETTINGS[place]
    shifted = pools.of(setting.kind, setting.size)
    order = generator.permutation(len(shifted))
    larger = None
    if setting.rows <= _LARGEST_CHUNK:
        larger = draw(pools.of(), _CHUNKS * setting.rows, generator)
    reference = pools.of()[order[:REFERENCE_ROWS]]
    window = shifted[order[REFERENCE_ROWS:][: setting.rows]]
    return Pair(place, number, reference, larger, window, has_texts)


def draw_stream(pools: Pools, kind: str, number: int, *, seed: int) -> Stream:
    """Draws a stream, quiet or with labels reversed from its first week on, by its own seed."""
    generator = np.random.default_rng([seed, len(SETTINGS) + STREAM_KINDS.index(kind), number])
    rows = pools.of("concept", _REVERSED) if kind == "drift" else pools.of()
    order = generator.permutation(len(rows))
    starts = range(REFERENCE_ROWS, REFERENCE_ROWS + WEEKS * WEEK_ROWS, WEEK_ROWS)
    weeks = tuple(rows[order[start : start + WEEK_ROWS]] for start in starts)
    return Stream(kind, number, pools.of()[order[:REFERENCE_ROWS]], weeks)


def _table(rows: Rows, *, texts: bool = False) -> pa.Table:
    # A product or channel is named by its cell: no method here looks at the names.
    columns = {name: pa.array(rows[name]).cast(pa.string()) for name in COLUMNS}
    columns |= {
        "score": pa.array(rows["probability"]),
        "decision": pa.array(rows["positive"].astype(np.int64)),
        "label": pa.array((rows["positive"] == rows["right"]).astype(np.int64)),
    }
    return pa.table(columns | ({"text": pa.array(rows["text"].tolist())} if texts else {}))


@dataclass
class Answers:
    """The verdicts of all monitors, and true accuracies."""

    windows: list[Verdict] = field(default_factory=list)
    streams: list[StreamVerdict] = field(default_factory=list)
    accuracies: dict[int, list[float]] = field(default_factory=dict)  # setting -> of each window
    stream_accuracies: dict[str, list[float]] = field(default_factory=dict)  # kind -> of each

    def of(self, setting: int, setup: Setup) -> list[Verdict]:
        """Returns a monitor's verdicts on the windows of a setting."""
        return [item for item in self.windows if (item.setting, item.setup) == (setting, setup)]

    def share(self, setting: int, setup: Setup) -> float:
        """Returns the share of windows with an alarm; NaN if it judged none."""
        verdicts = self.of(setting, setup)
        return mean(item.alarm for item in verdicts) if verdicts else math.nan

    def seconds(self, setting: int, setup: Setup) -> float:
        """Returns the median seconds for a window; NaN if it judged none."""
        verdicts = self.of(setting, setup)
        return median(one.seconds for one in verdicts) if verdicts else math.nan

    def weeks(self, kind: str, setup: Setup) -> list[float]:
        """Returns the week of the first alarm in each stream, infinite where there is none."""
        of = [one.week for one in self.streams if (one.kind, one.setup) == (kind, setup)]
        return [math.inf if week is None else week for week in of]

    def late(self, setup: Setup) -> float:
        """Returns the median week of the first alarm after a drift; infinite if half have none."""
        return median(self.weeks("drift", setup) or [math.inf])


def main() -> None:
    """Prints the tables, and writes them into the page if asked to."""
    chosen = options(
        __doc__, short=False, write=False, windows=40, texts=10, streams=20, pool=40_000, seed=0
    )
    if chosen.short and chosen.write:
        sys.exit("error: the page needs the peers: leave out --short")
    effort = Effort(chosen.windows, chosen.texts, chosen.streams)
    if chosen.short:
        effort, chosen.pool = Effort(windows=2, texts=1, streams=2, largest=500), 10_000
    else:
        for peer in PEERS:
            peer_python(peer)
    started = time.monotonic()
    with threadpool_limits(1):
        pools = Pools(rows=chosen.pool, seed=chosen.seed)
        answers = _measure(pools, effort, seed=chosen.seed, with_peers=not chosen.short)
    minutes = (time.monotonic() - started) / 60
    parts = {"machine": [f"On {machine()}, in {minutes:.0f} minutes."]} | tables(answers)
    for name, lines in parts.items():
        print(f"{name}:\n")
        show([*lines, ""])
        if chosen.write:
            write_part(PAGE, name, lines)


def _measure(pools: Pools, effort: Effort, *, seed: int, with_peers: bool) -> Answers:
    """Has all monitors judge the same windows and streams."""
    answers = Answers()
    with tempfile.TemporaryDirectory(prefix="sashiko-benchmark-") as name:
        folder = Path(name)
        for place, setting in enumerate(SETTINGS):
            for number in range(effort.windows_of(setting)):
                has_texts = number < effort.texts_of(setting)
                pair = draw_pair(pools, place, number, has_texts=has_texts, seed=seed)
                answers.windows += judge_window(pools, pair)
                accuracy = float(pair.window["right"].mean())
                answers.accuracies.setdefault(place, []).append(accuracy)
                if with_peers:
                    pair.write(folder)
        for kind in STREAM_KINDS:
            for number in range(effort.streams):
                stream = draw_stream(pools, kind, number, seed=seed)
                answers.streams.append(judge_stream(stream))
                accuracy = float(np.mean([week["right"].mean() for week in stream.weeks]))
                answers.stream_accuracies.setdefault(kind, []).append(accuracy)
                if with_peers:
                    stream.write(folder)
        for peer in PEERS if with_peers else ():
            print(f"{peer} ...", file=sys.stderr, flush=True)
            windows, streams = ask_peer(peer, folder)
            answers.windows += windows
            answers.streams += streams
    return answers


def judge_window(pools: Pools, pair: Pair) -> Iterator[Verdict]:
    """Judges a window by all checks but the texts, and then by all if its texts are compared."""
    start, window = time.process_time(), alone(pair.window)
    measured = measure_window(pools, pair.reference, window)
    checks = judge(measured)
    yield Verdict(pair.setting, Setup.OURS, _alarms(checks), time.process_time() - start)
    if pair.has_texts:
        checks = judge([*measured, *measure_texts(pair.reference, window, seed=pair.number)])
        seconds = time.process_time() - start
        estimate = _label_free(pair, checks)
        yield Verdict(pair.setting, Setup.OURS_TEXTS, _alarms(checks), seconds, estimate)


def _alarms(checks: tuple[MonitorCheck, ...]) -> bool:
    return any(check.outcome == "alarm" for check in checks)


def _label_free(pair: Pair, checks: tuple[MonitorCheck, ...]) -> float | None:
    """Estimates the accuracy by the cells that the monitor counts scores in."""
    inputs = {f"drift of {name}" for name in (*COLUMNS, "the texts")}
    scores, window = (
        pa.chunked_array([rows["probability"]]) for rows in (pair.reference, pair.window)
    )
    cells = count_reference("score", scores)
    number = len(cells.counts)
    right = cells_of(cells, scores)[pair.reference["right"]]
    return label_free_accuracy(
        rows=np.array(cells.counts),
        right=np.bincount(right, minlength=number),
        window=np.bincount(cells_of(cells, window), minlength=number),
        input_checks=[check for check in checks if check.name in inputs],
    ).value


def judge_stream(stream: Stream) -> StreamVerdict:
    """Adds the audited rows of each week to the test, until it raises an alarm."""
    audit = Audit(confusion(stream.reference))
    for number, week in enumerate(stream.weeks, start=1):
        audit.add(confusion(week[:AUDITED]))
        if audit.alarms():
            return StreamVerdict(stream.kind, Setup.OURS_AUDIT, number)
    return StreamVerdict(stream.kind, Setup.OURS_AUDIT, None)


def ask_peer(name: str, folder: Path) -> tuple[list[Verdict], list[StreamVerdict]]:
    """Has a peer judge all windows and streams of a folder, in its own environment."""
    answers = folder / f"{name}.json"
    module = f"verification.benchmarks.monitoring_{name}"
    process = subprocess.run(
        [peer_python(name), "-m", module, str(folder), str(answers)],
        env=os.environ | _PEERS_ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        sys.exit(f"error: {module} ended with status {process.returncode}\n{process.stderr}")
    return read_answers(answers)


def tables(answers: Answers) -> dict[str, list[str]]:
    """Returns the lines of each written part of the page."""
    monitor = ("monitor", "streams of each kind", "quiet, with an alarm", "drift, with an alarm")
    quiet, drift = (mean(answers.stream_accuracies[kind]) for kind in STREAM_KINDS)
    estimates = ("windows", "true", "CBPE", "ours, where shown", "ours, withdrawn")
    return {
        "defaults": _alarm_table(answers, Setup.OURS, *_DEFAULTS),
        "set up by hand": _alarm_table(answers, Setup.OURS, *_BY_HAND),
        "texts": _alarm_table(answers, Setup.OURS_TEXTS, *_TEXTS),
        "concept drift": [
            f"The accuracy is {quiet:.3f} without the drift and {drift:.3f} with it.",
            "",
            *table((*monitor, "median week"), _streams(answers)),
        ],
        "accuracy without labels": list(table(estimates, _estimates(answers))),
        "time": list(table(("rows of a window", *_TIMED), _seconds(answers))),
        "where ours is behind": list(_losses(answers)) or ["Nowhere in this run."],
    }


def _alarm_table(answers: Answers, *setups: Setup) -> list[str]:
    rows = (
        (setting, len(judged), *(_share([one.alarm for one in answers.of(place, setup)])
                                 for setup in setups))
        for place, setting in enumerate(SETTINGS)
        if (judged := answers.of(place, setups[0]))
    )  # fmt: skip
    return list(table(("windows", "judged", *setups), rows))


def _streams(answers: Answers) -> Iterator[tuple[object, ...]]:
    for setup in _LABELLED:
        weeks = [answers.weeks(kind, setup) for kind in STREAM_KINDS]
        shares = [_share([math.isfinite(week) for week in of]) for of in weeks]
        late = answers.late(setup)
        yield setup, len(weeks[1]), *shares, "none" if math.isinf(late) else f"{late:g}"


def _estimates(answers: Answers) -> Iterator[tuple[object, ...]]:
    for place, setting in enumerate(SETTINGS):
        if ours := [one.estimate for one in answers.of(place, Setup.OURS_TEXTS)]:
            cbpe = [one.estimate for one in answers.of(place, Setup.NANNYML_CBPE)]
            withdrawn = f"{ours.count(None)} of {len(ours)}"
            yield setting, *map(_mean, (answers.accuracies[place], cbpe, ours)), withdrawn


def _seconds(answers: Answers) -> Iterator[tuple[object, ...]]:
    for place, setting in enumerate(SETTINGS):
        if setting.kind is None and answers.of(place, Setup.OURS):
            seconds = [answers.seconds(place, setup) for setup in _TIMED]
            yield f"{setting.rows:,}", *("" if math.isnan(s) else f"{s:.3g}" for s in seconds)


def _losses(answers: Answers) -> Iterator[str]:
    """Yields where a peer finds a shift more often than ours, and where it is faster."""
    quiet = {item.rows: place for place, item in enumerate(SETTINGS) if item.kind is None}
    for place, setting in enumerate(SETTINGS):
        for setup in (*_DEFAULTS, *_BY_HAND, *_TEXTS) if setting.kind else ():
            own = Setup.OURS_TEXTS if setup in _TEXTS else Setup.OURS
            theirs, ours = answers.share(place, setup), answers.share(place, own)
            if theirs > ours:
                without = answers.share(quiet[setting.rows], setup)
                false = "" if math.isnan(without) else (
                    f"; in quiet windows of that size {without:.2f}"
                )  # fmt: skip
                yield f"- {setting}: `{setup}` {theirs:.2f}, `{own}` {ours:.2f}{false}."
    ours = answers.late(Setup.OURS_AUDIT)
    for setup in _LABELLED:
        if (theirs := answers.late(setup)) < ours:
            yield (
                f"- concept drift: `{setup}` in week {theirs:g}, `{Setup.OURS_AUDIT}` in week "
                f"{ours:g}."
            )
    for rows, place in quiet.items():
        for setup in _TIMED:
            own = Setup.OURS_TEXTS if setup in _TEXTS else Setup.OURS
            theirs, ours = answers.seconds(place, setup), answers.seconds(place, own)
            if theirs < ours:
                yield f"- {rows:,} rows: `{setup}` takes {theirs:.3g} s, `{own}` {ours:.3g} s."


def _share(alarms: Sequence[bool]) -> str:
    if not alarms:
        return ""
    low, high = wilson_interval(mean(alarms), len(alarms))
    return f"{mean(alarms):.2f} [{low:.2f}, {high:.2f}]"


def _mean(values: Sequence[float | None]) -> str:
    numbers = [value for value in values if value is not None]
    return f"{mean(numbers):.3f}" if numbers else ""


if __name__ == "__main__":
    main()
