"""How often monitoring raises an alarm in quiet traffic whose rows are not independent.

    OPENBLAS_NUM_THREADS=1 python -m verification.benchmarks.monitoring_traffic_alarms --write

Each kind of traffic is judged by all checks of a window but the audit, whose draws do not depend on
it: as if rows were independent, and by clusters. `--write` writes its part of
`docs/monitoring-benchmark.md`. Exit status 4 if a bar does not hold.
"""

import argparse
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sashiko.core.exit_status import CHECK_FAILED
from sashiko.monitoring.checks import Measurement
from verification.benchmarks.monitoring import (
    has_alarm,
    measure_rules,
    measure_texts,
    measure_window,
)
from verification.benchmarks.monitoring_page import (
    Bar,
    count_bar,
    share_bar,
    traffic_part,
    write_part,
)
from verification.benchmarks.monitoring_pools import Pools
from verification.benchmarks.monitoring_traffic import (
    TRAFFIC,
    Traffic,
    Window,
    alone,
    daily_looks,
    days_alone,
    requests_of_groups,
)

_SIZES = (500, 2000)
# Larger than the default tolerance, though nothing is wrong: they have a figure and no bar.
REAL_CHANGES = ("a yearly season, product mix ±5 %", "a weekend mix, 24-hour windows")


@dataclass(frozen=True)
class Effort:
    """How much is simulated."""

    years: int  # of each kind of traffic and size
    texts: int  # windows of each whose texts are compared, evenly over the year


LONG = Effort(years=40, texts=26)
PAGE = Effort(years=5, texts=3)
SHORT = Effort(years=1, texts=1)


def bars(pools: Pools, effort: Effort, *, seed: int) -> Iterator[Bar]:
    """Measures each kind of traffic, as independent rows and by clusters."""
    for rows in _SIZES:
        for name, traffic in TRAFFIC:
            yield from _alarms(pools, effort, name, traffic, rows=rows, seed=seed)
    for name, traffic in (
        ("a weekend mix, 24-hour windows", days_alone),
        ("a weekend mix, seven days, looked at daily", daily_looks),
    ):
        yield from _alarms(pools, effort, name, traffic, rows=500, seed=seed)
    for size, alike in ((20, 0.2), (50, 0.3)):
        yield from _disparity(pools, effort, size=size, alike=alike, seed=seed)


def _alarms(
    pools: Pools, effort: Effort, name: str, traffic: Traffic, *, rows: int, seed: int
) -> Iterator[Bar]:
    """Counts alarms a year: windows, or of daily looks the first of consecutive ones."""
    generator = np.random.default_rng(seed)
    quiet = pools.of()
    alarms = {False: 0, True: 0}
    texts: dict[bool, list[list[Measurement]]] = {False: [], True: []}
    judged = windows = 0
    once = traffic is daily_looks
    for year in range(effort.years):
        drawn = traffic(quiet, rows, generator)
        stream = list(drawn.windows)
        chosen = np.linspace(0, len(stream), effort.texts, endpoint=False).astype(int)
        for by_cluster in (False, True):
            if year == 0:
                texts[by_cluster] = [
                    measure_texts(drawn.reference, _taken(stream[place], by_cluster), seed=0)
                    for place in chosen
                ]
            before = False
            for number, window in enumerate(stream):
                one = _taken(window, by_cluster)
                nearest = texts[by_cluster][number * effort.texts // len(stream)]
                measured = [*measure_window(pools, drawn.reference, one), *nearest]
                alarm = has_alarm(measured, inputs=measure_rules(one))
                alarms[by_cluster] += alarm and not (once and before)
                before = alarm
                if by_cluster:
                    judged += all(item.is_judged for item in measured[:3])
                    windows += 1
    what = f"{effort.years:,} years, {effort.texts:,} windows of texts"
    most = math.inf if name in REAL_CHANGES else 1
    name = f"{name}, {rows:,} rows"
    yield count_bar(f"{name}, taken for independent", alarms[False], effort.years, what)
    yield count_bar(f"{name}, in clusters", alarms[True], effort.years, what, most=most)
    yield share_bar(f"{name}, columns and scores judged", judged, windows, "windows")


def _disparity(
    pools: Pools, effort: Effort, *, size: int, alike: float, seed: int
) -> Iterator[Bar]:
    """Counts alarms of disparate impact a year, where requests have rows of one group."""
    generator = np.random.default_rng(seed)
    alarms = {False: 0, True: 0}
    for _ in range(effort.years):
        drawn = requests_of_groups(pools.of(), 2000, generator, size=size, alike=alike)
        for window in drawn.windows:
            for by_cluster in (False, True):
                measured = measure_window(pools, drawn.reference, _taken(window, by_cluster))
                alarms[by_cluster] += has_alarm(measured, by="disparate impact")
    name = f"requests of {size} rows of one group, decisions alike by {alike:g}, 2,000 rows"
    what = f"{effort.years:,} years"
    yield count_bar(f"{name}, taken for independent", alarms[False], effort.years, what)
    yield count_bar(f"{name}, in clusters", alarms[True], effort.years, what, most=1)


def _taken(window: Window, by_cluster: bool) -> Window:
    return window if by_cluster else alone(window.rows)


def main() -> None:
    """Prints the table, and writes the page's part if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--effort", choices=["short", "page", "long"], default="page")
    parser.add_argument("--write", action="store_true", help="write the page's part")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    effort = {"short": SHORT, "page": PAGE, "long": LONG}[options.effort]
    started, measured = time.process_time(), []
    pools = Pools(rows=40_000, seed=options.seed)
    for bar in bars(pools, effort, seed=options.seed):
        measured.append(bar)
        print(f"{bar.measure}: {bar} ({bar.bar})", file=sys.stderr, flush=True)
    text = traffic_part(measured, minutes=(time.process_time() - started) / 60)
    print(text)
    if options.write:
        write_part("Rows that are not independent", text)
    if any(bar.holds == "no" for bar in measured):
        raise SystemExit(CHECK_FAILED)


if __name__ == "__main__":
    main()
