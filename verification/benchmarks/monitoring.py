"""How often monitoring raises an alarm: in quiet weeks, and in weeks with a known shift.

    OPENBLAS_NUM_THREADS=1 python -m verification.benchmarks.monitoring --write
    OPENBLAS_NUM_THREADS=1 python -m verification.benchmarks.monitoring --short

Windows are drawn from generated rows and judged by the functions and the default settings of the
monitor, all checks together: drift of two columns, the texts and the scores, disparate impact of
two facets against the reference and against the gate's bounds, and the audit. Each window of a
measured power has a reference of its own, each simulated year one for all of its weeks. Exit status
4 if a bar does not hold. `--write` writes `docs/monitoring-benchmark.md`.

The long form takes about 50 minutes of one processor, most of them for 2,400 comparisons of texts
(0.5 to 1.6 s each). With two threads these take twice the processor time: their matrices are small.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from sashiko.core.exit_status import CHECK_FAILED
from sashiko.evaluation.metrics.arrays import Ints
from sashiko.monitoring.checks import (
    BROKEN_RULE,
    INPUTS_SHARE,
    TEXT_AUC,
    Measurement,
    MonitorCheck,
    judge_measurements,
)
from sashiko.monitoring.clusters import ClusteredCounts, Clusters, effect_of_shares
from sashiko.monitoring.disparity import (
    effect_of_ratio,
    measure_disparity_bound,
    measure_disparity_change,
)
from sashiko.monitoring.drift import measure_drift
from sashiko.monitoring.input_quality import measure_share
from sashiko.monitoring.odd_texts import measure_odd_texts
from sashiko.monitoring.text_drift import measure_text_drift
from sashiko.monitoring.text_sample import TextSample
from sashiko.settings.monitor import MonitorSection
from sashiko.settings.shifts import ShiftKind
from verification.benchmarks.monitoring_audit import (
    AUDITED,
    WEEKS,
    Audit,
)
from verification.benchmarks.monitoring_page import (
    REFERENCE_ROWS,
    Bar,
    alarms_page,
    count_bar,
    share_bar,
    write_alarms,
)
from verification.benchmarks.monitoring_pools import COLUMNS, Pools, Rows
from verification.benchmarks.monitoring_traffic import Window, alone

SIZES = (200, 500, 2000, 20_000)
_SETTINGS = MonitorSection()
_GATE = (0.8, 1.25)
_EQUAL_TEXTS = Measurement(
    name="drift of the texts",
    kind="drift",
    effect=TEXT_AUC,
    rows=500,
    rows_needed=100,
    value=0.5,
    tolerance=0.55,
    p_unchanged=1.0,
    p_tolerated=1.0,
)


@dataclass(frozen=True)
class Effort:
    """How much is simulated."""

    years: int  # of quiet weeks, for each size of a window
    windows: int  # with a shift, for each size of it
    column_windows: int  # likewise, with a shift that shows without the texts
    texts: int  # quiet windows whose texts are compared; the years draw from them


LONG = Effort(years=400, windows=200, column_windows=1000, texts=200)
SHORT = Effort(years=4, windows=6, column_windows=20, texts=4)


def bars(pools: Pools, effort: Effort, *, seed: int) -> Iterator[Bar]:
    """Measures all of them, the cheap ones first."""
    yield disparity_power(pools, effort, seed=seed)
    yield from power(pools, effort, seed=seed)
    yield from tolerated(pools, effort, seed=seed)
    for rows in SIZES:
        yield false_alarms(pools, effort, rows=rows, seed=seed)


def disparity_power(pools: Pools, effort: Effort, *, seed: int) -> Bar:
    """Measures how often a fall of disparate impact from 1 to 0.75 is found, by its own check."""
    alarms = _alarms(
        pools,
        effort.windows,
        "bias",
        0.27,
        rows=5000,
        seed=seed,
        by="disparate impact of customer_gender",
    )
    name = "disparate impact 1.0 to 0.75, 5,000 rows, found by its check"
    return share_bar(name, alarms, effort.windows, "windows", least=0.9)


def power(pools: Pools, effort: Effort, *, seed: int) -> Iterator[Bar]:
    """Measures how often a shift is found in 500 rows."""
    shifts: tuple[tuple[str, ShiftKind, float], ...] = (
        ("product mix moved by .18", "covariate", 0.18),
        ("severe cases .25 to .40", "label", 0.15),
        ("a quarter new phrases", "phrases", 0.25),
    )
    for name, kind, size in shifts:
        windows = effort.windows if kind == "phrases" else effort.column_windows
        alarms = _alarms(pools, windows, kind, size, rows=500, seed=seed)
        yield share_bar(f"{name}, 500 rows, found", alarms, windows, "windows", least=0.95)


def tolerated(pools: Pools, effort: Effort, *, seed: int) -> Iterator[Bar]:
    """Measures how often a shift at its tolerance raises an alarm: no check sees a larger one."""
    for rows, most in ((500, 0.10), (2000, 0.05)):
        shifts: tuple[tuple[str, ShiftKind, float], ...] = (
            # Cohen's w of 0.1 of the products, and of the severities.
            ("product mix", "covariate", _SETTINGS.column_tolerance / math.sqrt(7.2)),
            ("severe cases", "label", 0.043),
            # Cohen's w below 0.1 of the scores, in whatever cells a draw has: 500 rows have three,
            # which see more of scores that are less certain.
            ("new phrases", "phrases", 0.077 if rows == 500 else 0.085),
        )
        for name, kind, size in shifts:
            alarms = _alarms(pools, effort.windows, kind, size, rows=rows, seed=seed)
            yield share_bar(
                f"{name} at the tolerance ({size:.3f}), {rows:,} rows, alarms",
                alarms,
                effort.windows,
                "windows",
                most=most,
            )


def false_alarms(pools: Pools, effort: Effort, *, rows: int, seed: int) -> Bar:
    """Counts alarms of quiet years, of all checks together, the audit among them."""
    generator = np.random.default_rng(seed)
    quiet = pools.of()
    texts = [
        measure_texts(
            quiet.draw(REFERENCE_ROWS, generator), alone(quiet.draw(rows, generator)), seed=number
        )
        for number in range(effort.texts)
    ]
    alarms = 0
    for _ in range(effort.years):
        reference = quiet.draw(REFERENCE_ROWS, generator)
        audit, audited = Audit(reference.confusion(REFERENCE_ROWS)), set[str]()
        for _ in range(WEEKS):
            window = quiet.draw(rows, generator)
            measured = [
                *measure_all_but_texts(pools, reference, window),
                *texts[generator.integers(len(texts))],
            ]
            alarms += has_alarm(measured, inputs=measure_rules(alone(window)))
            audit.add(window.confusion(AUDITED))
            before, audited = audited, audit.alarms()
            alarms += bool(audited - before)
    return count_bar(
        f"false alarms a year, weekly windows of {rows:,}",
        alarms,
        effort.years,
        f"{effort.years:,} years, {effort.texts:,} windows of texts",
        most=1,
    )


def _alarms(
    pools: Pools,
    windows: int,
    kind: ShiftKind,
    size: float,
    *,
    rows: int,
    seed: int,
    by: str = "",
) -> int:
    """Counts windows with an alarm, of any check or of those whose name begins with `by`."""
    generator = np.random.default_rng(seed)
    quiet, shifted = pools.of(), pools.of(kind, size)
    alarms = 0
    for number in range(windows):
        reference = quiet.draw(REFERENCE_ROWS, generator)
        window = shifted.draw(rows, generator)
        measured = measure_all_but_texts(pools, reference, window)
        # Whatever the texts' p-value is, Holm's adjusted ones of the others are at most these.
        rules = measure_rules(alone(window))
        is_certain = has_alarm([*measured, _EQUAL_TEXTS], by=by, inputs=rules)
        alarms += is_certain or has_alarm(
            [*measured, *measure_texts(reference, alone(window), seed=number)], by=by, inputs=rules
        )
    return alarms


def has_alarm(
    measured: Sequence[Measurement], *, inputs: Sequence[Measurement] = (), by: str = ""
) -> bool:
    """Judges as JudgeMonitor does; only checks whose name begins with `by` count."""
    checks = [*judge(measured), *judge_inputs(inputs)]
    return any(check.outcome == "alarm" and check.name.startswith(by) for check in checks)


def measure_all_but_texts(pools: Pools, reference: Rows, window: Rows) -> list[Measurement]:
    """Measures all but the texts, whose time is most of the simulation's, of independent rows."""
    return measure_window(pools, reference, alone(window))


def measure_window(pools: Pools, reference: Rows, window: Window) -> list[Measurement]:
    """Measures all but the rules of the inputs and the texts."""
    drift = [
        measure_drift(
            f"drift of {name}",
            reference.counts(name, cells=pools.cells[name]),
            _counted(window.rows.cells[name], window, cells=pools.cells[name]),
            ordered=name == "score",
            tolerance=_SETTINGS.column_tolerance,
        )
        for name in (*COLUMNS, "score")
    ]
    for facet in window.rows.groups:
        counts = _counted(window.rows.decisions(facet), window, cells=4, effect=effect_of_ratio)
        name = f"disparate impact of {facet}"
        drift += [
            measure_disparity_change(
                name,
                reference.by_group(facet),
                counts,
                tolerance=_SETTINGS.bias_tolerance,
                minimum_group_size=100,
            ),
            measure_disparity_bound(
                f"{name}, the gate's bounds",
                counts,
                minimum=_GATE[0],
                maximum=_GATE[1],
                minimum_group_size=100,
            ),
        ]
    return drift


def measure_rules(window: Window) -> list[Measurement]:
    """Measures the seven rules of the contract of `complaints`, one of which rows break."""
    broken = window.rows.breaks.astype(np.int64)
    return [
        measure_share(
            f"inputs: rule {number}",
            _counted(broken if number == 0 else 0 * broken, window, cells=2),
            kind="inputs",
            effect=BROKEN_RULE,
            allowed=0.0,
            tolerance=_SETTINGS.input_tolerance,
        )
        for number in range(7)
    ]


def _counted(
    places: Ints, window: Window, *, cells: int, effect: Callable[[Ints], float] = effect_of_shares
) -> ClusteredCounts:
    counts = Clusters(cells, effect=effect)
    counts.add(places, window.clusters, window.dominates)
    return counts.summarise()


def measure_texts(reference: Rows, window: Window, *, seed: int) -> list[Measurement]:
    """Measures the texts, without those of clusters that dominate."""
    chosen = ~window.dominates
    texts, clusters = window.rows.texts[chosen].tolist(), window.clusters[chosen]
    before = reference.texts.tolist()
    return [
        measure_text_drift(
            "drift of the texts",
            before,
            texts,
            clusters=clusters,
            tolerance=_SETTINGS.text_tolerance,
            seed=seed,
        ),
        measure_odd_texts(
            "odd texts",
            before,
            TextSample(texts, clusters),
            tolerance=_SETTINGS.input_tolerance,
        ),
    ]


judge: Callable[[Sequence[Measurement]], tuple[MonitorCheck, ...]] = partial(
    judge_measurements, false_alarms=_SETTINGS.false_alarms * (1 - INPUTS_SHARE)
)
judge_inputs: Callable[[Sequence[Measurement]], tuple[MonitorCheck, ...]] = partial(
    judge_measurements, false_alarms=_SETTINGS.false_alarms * INPUTS_SHARE
)


def main() -> None:
    """Prints the table, and writes the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="minutes instead of hours")
    parser.add_argument("--write", action="store_true", help="write the page")
    parser.add_argument("--pool", type=int, default=40_000, help="rows that windows are drawn from")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    started, measured = time.monotonic(), []
    pools = Pools(rows=options.pool, seed=options.seed)
    for bar in bars(pools, SHORT if options.short else LONG, seed=options.seed):
        measured.append(bar)
        print(f"{bar.measure}: {bar} ({bar.bar})", file=sys.stderr, flush=True)
    command = f"python -m verification.benchmarks.monitoring{' --short' if options.short else ''}"
    text = alarms_page(measured, command=command, minutes=(time.monotonic() - started) / 60)
    print(text)
    if options.write:
        write_alarms(text)
    if any(bar.holds == "no" for bar in measured):
        raise SystemExit(CHECK_FAILED)


if __name__ == "__main__":
    main()
