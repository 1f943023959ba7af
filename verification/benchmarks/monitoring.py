"""How often monitoring raises an alarm: in quiet weeks, and in weeks with a known shift.

    OPENBLAS_NUM_THREADS=1 python -m verification.benchmarks.monitoring --write
    OPENBLAS_NUM_THREADS=1 python -m verification.benchmarks.monitoring --short

Windows are drawn from generated rows and judged by the functions and the default settings of the
monitor, all checks together: drift of two columns, the texts and the scores, disparate impact of
two facets against the reference and against the gate's bounds, and the audit. Each window of a
measured power has a reference of its own, each simulated year one for all of its weeks. Exit status
4 if a bar does not hold. `--write` writes its part of `verification/results/monitoring.md`.

The long form takes about 50 minutes of one processor, most of them for 2,400 comparisons of texts
(0.5 to 1.6 s each). With two threads these take twice the processor time: their matrices are small.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sashiko.evaluation.metrics.arrays import Ints
from sashiko.settings.shifts import ShiftKind
from sashiko_packs.monitoring.checks import (
    BROKEN_RULE,
    INPUTS_SHARE,
    TEXT_AUC,
    Measurement,
    MonitorCheck,
    judge_measurements,
)
from sashiko_packs.monitoring.clusters import ClusteredCounts, Clusters, effect_of_shares
from sashiko_packs.monitoring.disparity import (
    effect_of_ratio,
    measure_disparity_bound,
    measure_disparity_change,
)
from sashiko_packs.monitoring.settings import MonitorSection
from sashiko_packs.monitoring.steps.drift import measure_drift, measure_odd_texts
from sashiko_packs.monitoring.steps.input_quality import measure_share
from sashiko_packs.monitoring.text_drift import TextSample, measure_text_drift
from verification.benchmarks import monitoring_pools as shared
from verification.benchmarks.bench import options
from verification.benchmarks.monitoring_audit import AUDITED, WEEKS, Audit
from verification.benchmarks.monitoring_pools import Bar, Pools, Rows, Window, alone, draw

_SETTINGS = MonitorSection()
_EQUAL_TEXTS = Measurement(
    name="drift of the texts", kind="drift", effect=TEXT_AUC, rows=500, rows_needed=100, value=0.5,
    tolerance=0.55, p_unchanged=1.0, p_tolerated=1.0,
)  # fmt: skip
Shifts = tuple[tuple[str, ShiftKind, float], ...]


@dataclass(frozen=True)
class Effort:
    """How much is simulated."""

    years: int  # of quiet weeks, for each size of a window
    windows: int  # with a shift, for each size of it
    column_windows: int  # likewise, with a shift that shows without the texts
    texts: int  # quiet windows whose texts are compared; the years draw from them


def main() -> None:
    """Prints the table, and writes it into the page if asked to."""
    chosen = options(__doc__, short=False, write=False, pool=40_000, seed=0)
    effort = Effort(years=400, windows=200, column_windows=1000, texts=200)
    if chosen.short:
        effort = Effort(years=4, windows=6, column_windows=20, texts=4)
    pools = Pools(rows=chosen.pool, seed=chosen.seed)
    shared.report("monitoring", _bars(pools, effort, seed=chosen.seed), write=chosen.write)


def _bars(pools: Pools, effort: Effort, *, seed: int) -> Iterator[Bar]:
    """Measures all of them, the cheap ones first."""
    yield disparity_power(pools, effort, seed=seed)
    yield from power(pools, effort, seed=seed)
    yield from _tolerated(pools, effort, seed=seed)
    for rows in (200, 500, 2000, 20_000):
        yield false_alarms(pools, effort, rows=rows, seed=seed)


def disparity_power(pools: Pools, effort: Effort, *, seed: int) -> Bar:
    """Measures how often a fall of disparate impact from 1 to 0.75 is found, by its own check."""
    by = "disparate impact of customer_gender"
    alarms = _alarms(pools, effort.windows, "bias", 0.27, rows=5000, seed=seed, by=by)
    name = "disparate impact 1.0 to 0.75, 5,000 rows, found by its check"
    return shared.share_bar(name, alarms, effort.windows, "windows", least=0.9)


def power(pools: Pools, effort: Effort, *, seed: int) -> Iterator[Bar]:
    """Measures how often a shift is found in 500 rows."""
    shifts: Shifts = (
        ("product mix moved by .18", "covariate", 0.18),
        ("severe cases .25 to .40", "label", 0.15),
        ("a quarter new phrases", "phrases", 0.25),
    )
    for name, kind, size in shifts:
        windows = effort.windows if kind == "phrases" else effort.column_windows
        alarms = _alarms(pools, windows, kind, size, rows=500, seed=seed)
        yield shared.share_bar(f"{name}, 500 rows, found", alarms, windows, "windows", least=0.95)


def _tolerated(pools: Pools, effort: Effort, *, seed: int) -> Iterator[Bar]:
    """Measures how often a shift at its tolerance raises an alarm: no check sees a larger one."""
    for rows, most in ((500, 0.10), (2000, 0.05)):
        shifts: Shifts = (
            # Cohen's w of 0.1 of the products, and of the severities.
            ("product mix", "covariate", _SETTINGS.column_tolerance / math.sqrt(7.2)),
            ("severe cases", "label", 0.043),
            # Cohen's w below 0.1 of the scores, in whatever cells a draw has: 500 rows have three,
            # which see more of scores that are less certain.
            ("new phrases", "phrases", 0.077 if rows == 500 else 0.085),
        )
        for name, kind, size in shifts:
            alarms = _alarms(pools, effort.windows, kind, size, rows=rows, seed=seed)
            measure = f"{name} at the tolerance ({size:.3f}), {rows:,} rows, alarms"
            yield shared.share_bar(measure, alarms, effort.windows, "windows", most=most)


def false_alarms(pools: Pools, effort: Effort, *, rows: int, seed: int) -> Bar:
    """Counts alarms of quiet years, of all checks together, the audit among them."""
    generator = np.random.default_rng(seed)
    quiet = pools.of()
    texts = []
    for number in range(effort.texts):
        reference = draw(quiet, shared.REFERENCE_ROWS, generator)
        texts.append(measure_texts(reference, alone(draw(quiet, rows, generator)), seed=number))
    alarms = 0
    for _ in range(effort.years):
        reference = draw(quiet, shared.REFERENCE_ROWS, generator)
        audit, audited = Audit(shared.confusion(reference)), set[str]()
        for _ in range(WEEKS):
            window = alone(draw(quiet, rows, generator))
            measured = [
                *measure_window(pools, reference, window),
                *texts[generator.integers(len(texts))],
            ]
            alarms += has_alarm(measured, inputs=measure_rules(window))
            audit.add(shared.confusion(window.rows[:AUDITED]))
            before, audited = audited, audit.alarms()
            alarms += bool(audited - before)
    name, years = f"false alarms a year, weekly windows of {rows:,}", effort.years
    return shared.count_bar(
        name, alarms, years, f"{years:,} years, {effort.texts:,} windows of texts", most=1
    )


def _alarms(
    pools: Pools, windows: int, kind: ShiftKind, size: float, *, rows: int, seed: int, by: str = ""
) -> int:
    """Counts windows with an alarm, of any check or of those whose name begins with `by`."""
    generator = np.random.default_rng(seed)
    quiet, shifted = pools.of(), pools.of(kind, size)
    alarms = 0
    for number in range(windows):
        reference = draw(quiet, shared.REFERENCE_ROWS, generator)
        window = alone(draw(shifted, rows, generator))
        measured, rules = measure_window(pools, reference, window), measure_rules(window)
        # Whatever the texts' p-value is, Holm's adjusted ones of the others are at most these.
        is_certain = has_alarm([*measured, _EQUAL_TEXTS], by=by, inputs=rules)
        alarms += is_certain or has_alarm(
            [*measured, *measure_texts(reference, window, seed=number)], by=by, inputs=rules
        )
    return alarms


def has_alarm(
    measured: Sequence[Measurement], *, inputs: Sequence[Measurement] = (), by: str = ""
) -> bool:
    """Judges as JudgeMonitor does; only checks whose name begins with `by` count."""
    rate = _SETTINGS.false_alarms * INPUTS_SHARE
    checks = [*judge(measured), *judge_measurements(inputs, false_alarms=rate)]
    return any(check.outcome == "alarm" and check.name.startswith(by) for check in checks)


def judge(measured: Sequence[Measurement]) -> tuple[MonitorCheck, ...]:
    """Judges all but the rules of the inputs, which have a share of the false alarms."""
    return judge_measurements(measured, false_alarms=_SETTINGS.false_alarms * (1 - INPUTS_SHARE))


def measure_window(pools: Pools, reference: Rows, window: Window) -> list[Measurement]:
    """Measures all but the rules of the inputs and the texts."""
    measured = [
        measure_drift(
            f"drift of {name}",
            np.bincount(reference[name], minlength=pools.cells[name]),
            _counted(window.rows[name], window, cells=pools.cells[name]),
            ordered=name == "score",
            tolerance=_SETTINGS.column_tolerance,
        )
        for name in (*shared.COLUMNS, "score")
    ]
    for facet in shared.FACETS:
        counts = _counted(
            shared.decisions(window.rows, facet), window, cells=4, effect=effect_of_ratio
        )
        name = f"disparate impact of {facet}"
        measured += [
            measure_disparity_change(
                name, shared.by_group(reference, facet), counts, tolerance=_SETTINGS.bias_tolerance,
                minimum_group_size=100,
            ),
            measure_disparity_bound(
                f"{name}, the gate's bounds", counts, minimum=0.8, maximum=1.25,
                minimum_group_size=100,
            ),
        ]  # fmt: skip
    return measured


def measure_rules(window: Window) -> list[Measurement]:
    """Measures the seven rules of the contract of `complaints`, one of which rows break."""
    broken = window.rows["breaks"].astype(np.int64)
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
    """Measures the texts; those of clusters that dominate are left out."""
    chosen = ~window.dominates
    texts, clusters = window.rows["text"][chosen].tolist(), window.clusters[chosen]
    before = reference["text"].tolist()
    return [
        measure_text_drift(
            "drift of the texts", before, texts, clusters=clusters,
            tolerance=_SETTINGS.text_tolerance, seed=seed,
        ),
        measure_odd_texts(
            "odd texts", before, TextSample(texts, clusters), tolerance=_SETTINGS.input_tolerance
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
