"""How often monitoring raises an alarm in quiet traffic whose rows are not independent.

    OPENBLAS_NUM_THREADS=1 python -m verification.benchmarks.monitoring_traffic_alarms --write

Rows of clients, of requests, sent again, by a bot, of a season: in none of it does the task change,
labels depend on rows as they did, and groups are treated alike. Each kind of traffic is judged by
all checks of a window but the audit, whose draws do not depend on it: as if rows were independent,
and by clusters. `--effort` is short, page or long; `--write` writes its part of
`verification/results/monitoring.md`. Exit status 4 if a bar does not hold.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko_packs.monitoring.checks import Measurement
from sashiko_packs.monitoring.clusters import least_dominant
from verification.benchmarks.bench import options
from verification.benchmarks.monitoring import (
    has_alarm,
    measure_rules,
    measure_texts,
    measure_window,
)
from verification.benchmarks.monitoring_audit import WEEKS
from verification.benchmarks.monitoring_pools import (
    FACETS,
    REFERENCE_ROWS,
    Bar,
    Pools,
    Rows,
    Window,
    alone,
    count_bar,
    draw,
    report,
    share_bar,
)

_CLIENTS = 20
# Of the products that a client's rows are about. With it clients whose volumes differ raise as
# many alarms, where rows are taken for independent, as were found in another simulation.
_CONCENTRATION = 10.0
_WEEKEND = 0.15  # of the rows of Saturday and Sunday are moved to one product
_DAILY = "a weekend mix, seven days, looked at daily"
# Larger than the default tolerance, though nothing is wrong: they have a figure and no bar.
_REAL_CHANGES = ("a yearly season, product mix ±5 %", "a weekend mix, 24-hour windows")

Generator = np.random.Generator
# A reference, and the windows of a year.
Year = tuple[Rows, list[Window]]
Traffic = Callable[[Rows, int, Generator], Year]


@dataclass(frozen=True)
class Effort:
    """How much is simulated."""

    years: int  # of each kind of traffic and size
    texts: int  # windows of each whose texts are compared, evenly over the year


_EFFORTS = {"long": Effort(years=40, texts=26), "page": Effort(5, 3), "short": Effort(1, 1)}


def main() -> None:
    """Prints the table, and writes it into the page if asked to."""
    chosen = options(__doc__, effort="page", write=False, seed=0)
    pools = Pools(rows=40_000, seed=chosen.seed)
    bars = _bars(pools, _EFFORTS[chosen.effort], seed=chosen.seed)
    report("traffic", bars, write=chosen.write)


def _bars(pools: Pools, effort: Effort, *, seed: int) -> Iterator[Bar]:
    """Measures each kind of traffic, as independent rows and by clusters."""
    kinds = [(rows, name, traffic) for rows in (500, 2000) for name, traffic in _TRAFFIC]
    kinds += [(500, "a weekend mix, 24-hour windows", _days_alone), (500, _DAILY, _daily_looks)]
    for rows, name, traffic in kinds:
        yield from _alarms(pools, effort, name, traffic, rows=rows, seed=seed)
    for size, alike in ((20, 0.2), (50, 0.3)):
        yield from _disparity(pools, effort, size=size, alike=alike, seed=seed)


def _alarms(
    pools: Pools, effort: Effort, name: str, traffic: Traffic, *, rows: int, seed: int
) -> Iterator[Bar]:
    """Counts alarms a year: windows, or of daily looks the first of consecutive ones."""
    generator = np.random.default_rng(seed)
    alarms = {False: 0, True: 0}
    texts: dict[bool, list[list[Measurement]]] = {}
    judged = windows = 0
    for _ in range(effort.years):
        reference, stream = traffic(pools.of(), rows, generator)
        chosen = np.linspace(0, len(stream), effort.texts, endpoint=False).astype(int)
        for by_cluster in (False, True):
            taken = stream if by_cluster else [alone(window.rows) for window in stream]
            if by_cluster not in texts:
                texts[by_cluster] = [measure_texts(reference, taken[at], seed=0) for at in chosen]
            before = False
            for number, window in enumerate(taken):
                nearest = texts[by_cluster][number * effort.texts // len(stream)]
                measured = [*measure_window(pools, reference, window), *nearest]
                alarm = has_alarm(measured, inputs=measure_rules(window))
                alarms[by_cluster] += alarm and not (name == _DAILY and before)
                before = alarm
                judged += by_cluster and all(item.is_judged for item in measured[:3])
        windows += len(stream)
    what = f"{effort.years:,} years, {effort.texts:,} windows of texts"
    most = math.inf if name in _REAL_CHANGES else 1
    name = f"{name}, {rows:,} rows"
    yield count_bar(f"{name}, taken for independent", alarms[False], effort.years, what)
    yield count_bar(f"{name}, in clusters", alarms[True], effort.years, what, most=most)
    yield share_bar(f"{name}, columns and scores judged", judged, windows, "windows")


def _disparity(
    pools: Pools, effort: Effort, *, size: int, alike: float, seed: int
) -> Iterator[Bar]:
    """Counts alarms of disparate impact a year, where requests have `size` rows of one group.

    `alike` is the correlation of two decisions of a request.
    """
    generator, pool, rows = np.random.default_rng(seed), pools.of(), 2000
    share, concentration = float(pool["positive"].mean()), 1 / alike - 1
    requests = rows // size
    numbers = np.repeat(np.arange(requests), size)

    def window() -> Window:
        taken = draw(pool, rows, generator)
        chances = generator.beta(share * concentration, (1 - share) * concentration, requests)
        for facet in FACETS:
            taken[facet] = (generator.random(requests) < pool[facet].mean())[numbers]
        taken["positive"] = generator.random(rows) < chances[numbers]
        return _clustered(taken, numbers)

    alarms = {False: 0, True: 0}
    for _ in range(effort.years):
        reference = draw(pool, REFERENCE_ROWS, generator)
        for _ in range(WEEKS):
            clustered = window()
            for by_cluster in (False, True):
                one = clustered if by_cluster else alone(clustered.rows)
                measured = measure_window(pools, reference, one)
                alarms[by_cluster] += has_alarm(measured, by="disparate impact")
    name = f"requests of {size} rows of one group, decisions alike by {alike:g}, 2,000 rows"
    what = f"{effort.years:,} years"
    yield count_bar(f"{name}, taken for independent", alarms[False], effort.years, what)
    yield count_bar(f"{name}, in clusters", alarms[True], effort.years, what, most=1)


def _season(pool: Rows, rows: int, generator: Generator, *, size: float) -> Year:
    """Moves a share of the rows to one product and from it, over the year."""
    reference = draw(pool, REFERENCE_ROWS, generator)
    moves = (size * np.sin(2 * np.pi * week / WEEKS) for week in range(WEEKS))
    return reference, [alone(_moved(pool, rows, move, generator)) for move in moves]


def _weekends(pool: Rows, rows: int, generator: Generator) -> Year:
    """Draws weeks, whose weekends have another mix of products than their working days."""
    reference = _week(pool, REFERENCE_ROWS, generator)
    return reference, [alone(_week(pool, rows, generator)) for _ in range(WEEKS)]


def _daily_looks(pool: Rows, rows: int, generator: Generator) -> Year:
    """Draws the seven days before each day."""
    days = [_day(pool, rows // 7, number, generator) for number in range(7 * WEEKS + 6)]
    reference = _week(pool, REFERENCE_ROWS, generator)
    weeks = (days[number : number + 7] for number in range(7 * WEEKS))
    return reference, [alone(np.concatenate(week)) for week in weeks]


def _days_alone(pool: Rows, rows: int, generator: Generator) -> Year:
    """Draws days, compared with a reference of whole weeks."""
    reference = _week(pool, REFERENCE_ROWS, generator)
    days = (_day(pool, rows, number, generator) for number in range(7 * WEEKS))
    return reference, [alone(day) for day in days]


def _clients(pool: Rows, rows: int, generator: Generator, *, spread: float) -> Year:
    """Draws rows of 20 clients of own mixes of products, whose volumes differ by week."""
    base = np.bincount(pool["product"]) / len(pool)
    mixes = generator.dirichlet(np.maximum(base, 1e-6) * _CONCENTRATION, _CLIENTS)

    def window(volumes: Floats, number: int) -> Window:
        sizes = generator.multinomial(number, volumes / volumes.sum())
        parts = [
            _of_mix(pool, size, mix, generator) for size, mix in zip(sizes, mixes, strict=True)
        ]
        return _clustered(np.concatenate(parts), np.repeat(np.arange(_CLIENTS), sizes))

    reference = window(np.ones(_CLIENTS), REFERENCE_ROWS).rows
    volumes = (np.exp(generator.normal(0, spread, _CLIENTS)) for _ in range(WEEKS))
    return reference, [window(volume, rows) for volume in volumes]


def _again(
    pool: Rows, rows: int, generator: Generator, *, times: Callable[[int, Generator], Ints]
) -> Year:
    """Sends rows several times, without ids."""
    reference = draw(pool, REFERENCE_ROWS, generator)

    def window() -> Window:
        places = np.repeat(np.arange(rows), times(rows, generator))
        return _clustered(draw(pool, rows, generator)[places], places)

    return reference, [window() for _ in range(WEEKS)]


def _retries(rows: int, generator: Generator, *, share: float) -> Ints:
    """Sends a share of the rows 3 to 20 times."""
    times = np.ones(rows, dtype=np.int64)
    again = generator.random(rows) < share
    times[again] = generator.integers(3, 21, int(again.sum()))
    return times


def _bot(rows: int, generator: Generator, *, share: float) -> Ints:  # noqa: ARG001 - as `_retries`
    """Sends one row again and again, as a share of the window; each week another one."""
    times = np.ones(rows, dtype=np.int64)
    times[0] = round(share / (1 - share) * (rows - 1))
    return times


def _bulk(pool: Rows, rows: int, generator: Generator) -> Year:
    """Sends half of the rows in one request, all about one product; the others alone."""
    product, half = pool["product"], rows // 2
    reference = draw(pool, REFERENCE_ROWS, generator)

    def window() -> Window:
        like = np.flatnonzero(product == product[generator.integers(len(product))])
        one = pool[generator.choice(like, rows - half)]
        numbers = np.minimum(np.arange(rows), half)
        return _clustered(np.concatenate([draw(pool, half, generator), one]), numbers)

    return reference, [window() for _ in range(WEEKS)]


_TRAFFIC: tuple[tuple[str, Traffic], ...] = (
    ("a weekend mix in 7-day windows", _weekends),
    ("a yearly season, product mix ±3 %", partial(_season, size=0.03)),
    ("a yearly season, product mix ±5 %", partial(_season, size=0.05)),
    ("20 clients, volumes lognormal .3", partial(_clients, spread=0.3)),
    ("20 clients, volumes lognormal .6", partial(_clients, spread=0.6)),
    ("20 clients, volumes lognormal 1.0", partial(_clients, spread=1.0)),
    ("1 % of rows sent 3 to 20 times", partial(_again, times=partial(_retries, share=0.01))),
    ("5 % of rows sent 3 to 20 times", partial(_again, times=partial(_retries, share=0.05))),
    ("a bot, one row is 3 %", partial(_again, times=partial(_bot, share=0.03))),
    ("a bot, one row is 5 %", partial(_again, times=partial(_bot, share=0.05))),
    ("one request has half of the rows", _bulk),
)


def _clustered(rows: Rows, clusters: Ints) -> Window:
    """Finds the clusters that dominate."""
    sizes = np.bincount(clusters)
    occurring, numbers = np.unique(sizes[sizes > 0], return_counts=True)
    least = least_dominant(occurring, numbers)
    dominates = np.zeros(len(clusters), np.bool_) if least is None else sizes[clusters] >= least
    return Window(rows, clusters, dominates)


def _week(pool: Rows, rows: int, generator: Generator) -> Rows:
    weekend = rows * 2 // 7
    days = _moved(pool, rows - weekend, 0.0, generator)
    return np.concatenate([days, _moved(pool, weekend, _WEEKEND, generator)])


def _day(pool: Rows, rows: int, number: int, generator: Generator) -> Rows:
    return _moved(pool, rows, _WEEKEND if number % 7 >= 5 else 0.0, generator)


def _moved(pool: Rows, rows: int, size: float, generator: Generator) -> Rows:
    """Draws rows of which a share is moved to the most frequent product, or from it if negative."""
    mix = np.bincount(pool["product"]) / len(pool)
    most = int(np.argmax(mix))
    others = np.arange(len(mix)) != most
    mix[others] *= (1 - mix[most] - size) / (1 - mix[most])
    mix[most] += size
    return _of_mix(pool, rows, mix, generator)


def _of_mix(pool: Rows, rows: int, mix: Floats, generator: Generator) -> Rows:
    """Draws rows of a mix of products, in random order."""
    order = np.argsort(pool["product"], kind="stable")
    starts = np.searchsorted(pool["product"][order], np.arange(len(mix) + 1))
    present = np.diff(starts) > 0
    shares = np.where(present, mix, 0.0)
    drawn = generator.choice(len(mix), rows, p=shares / shares.sum())
    places = starts[drawn] + generator.integers(np.diff(starts)[drawn])
    return pool[order[places]]


if __name__ == "__main__":
    main()
