"""Quiet traffic as it comes: rows of clients, of requests, sent again, by a bot, of a season.

In none of it does the task change: labels depend on rows as they did, and groups are treated alike.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from sashiko.evaluation.metrics.arrays import Bools, Floats, Ints
from sashiko.monitoring.clusters import least_dominant
from verification.benchmarks.monitoring_page import REFERENCE_ROWS
from verification.benchmarks.monitoring_pools import Rows

WEEKS = 52
_CLIENTS = 20
# Of the products that a client's rows are about. With it clients whose volumes differ raise as
# many alarms, where rows are taken for independent, as were found in another simulation.
_CONCENTRATION = 10.0
_WEEKEND = 0.15  # of the rows of Saturday and Sunday are moved to one product


@dataclass(frozen=True)
class Window:
    """Rows of a window as ReadCapture hands them on."""

    rows: Rows
    clusters: Ints
    dominates: Bools


@dataclass(frozen=True)
class Year:
    """Windows with one reference."""

    reference: Rows
    windows: Iterator[Window]


Generator = np.random.Generator
Traffic = Callable[[Rows, int, Generator], Year]


def independent(pool: Rows, rows: int, generator: Generator) -> Year:
    """Draws windows whose rows have nothing in common."""
    return Year(
        pool.draw(REFERENCE_ROWS, generator),
        (alone(pool.draw(rows, generator)) for _ in range(WEEKS)),
    )


def season(pool: Rows, rows: int, generator: Generator, *, size: float) -> Year:
    """Moves a share of the rows to one product and from it, over the year."""
    return Year(
        pool.draw(REFERENCE_ROWS, generator),
        (
            alone(_moved(pool, rows, size * np.sin(2 * np.pi * week / WEEKS), generator))
            for week in range(WEEKS)
        ),
    )


def weekends(pool: Rows, rows: int, generator: Generator) -> Year:
    """Draws weeks, whose weekends have another mix of products than their working days."""
    return Year(
        _week(pool, REFERENCE_ROWS, generator),
        (alone(_week(pool, rows, generator)) for _ in range(WEEKS)),
    )


def daily_looks(pool: Rows, rows: int, generator: Generator) -> Year:
    """Draws the seven days before each day."""
    days = [_day(pool, rows // 7, number, generator) for number in range(7 * WEEKS + 6)]
    return Year(
        _week(pool, REFERENCE_ROWS, generator),
        (alone(joined(days[number : number + 7])) for number in range(7 * WEEKS)),
    )


def days_alone(pool: Rows, rows: int, generator: Generator) -> Year:
    """Draws days, compared with a reference of whole weeks."""
    return Year(
        _week(pool, REFERENCE_ROWS, generator),
        (alone(_day(pool, rows, number, generator)) for number in range(7 * WEEKS)),
    )


def clients(pool: Rows, rows: int, generator: Generator, *, spread: float) -> Year:
    """Draws rows of 20 clients of own mixes of products, whose volumes differ by week."""
    product = pool.cells["product"]
    base = np.bincount(product) / len(product)
    mixes = generator.dirichlet(np.maximum(base, 1e-6) * _CONCENTRATION, _CLIENTS)

    def drawn(volumes: Floats, number: int) -> Window:
        sizes = generator.multinomial(number, volumes / volumes.sum())
        parts = [
            _of_mix(pool, size, mix, generator) for size, mix in zip(sizes, mixes, strict=True)
        ]
        return clustered(joined(parts), np.repeat(np.arange(_CLIENTS), sizes))

    reference = drawn(np.ones(_CLIENTS), REFERENCE_ROWS).rows
    return Year(
        reference,
        (drawn(np.exp(generator.normal(0, spread, _CLIENTS)), rows) for _ in range(WEEKS)),
    )


def retries(pool: Rows, rows: int, generator: Generator, *, share: float) -> Year:
    """Sends a share of the rows 3 to 20 times, without ids."""

    def drawn() -> Window:
        times = np.ones(rows, dtype=np.int64)
        again = generator.random(rows) < share
        times[again] = generator.integers(3, 21, int(again.sum()))
        places = np.repeat(np.arange(rows), times)
        return clustered(pool.draw(rows, generator).take(places), places)

    return Year(pool.draw(REFERENCE_ROWS, generator), (drawn() for _ in range(WEEKS)))


def bot(pool: Rows, rows: int, generator: Generator, *, share: float) -> Year:
    """Sends one row again and again, as a share of the window; each week another one."""

    def drawn() -> Window:
        times = np.ones(rows, dtype=np.int64)
        times[0] = round(share / (1 - share) * (rows - 1))
        places = np.repeat(np.arange(rows), times)
        return clustered(pool.draw(rows, generator).take(places), places)

    return Year(pool.draw(REFERENCE_ROWS, generator), (drawn() for _ in range(WEEKS)))


def bulk(pool: Rows, rows: int, generator: Generator) -> Year:
    """Sends half of the rows in one request, all about one product; the others alone."""
    product = pool.cells["product"]

    def drawn() -> Window:
        half = rows // 2
        like = np.flatnonzero(product == product[generator.integers(len(product))])
        one = pool.take(generator.choice(like, rows - half))
        numbers = np.minimum(np.arange(rows), half)
        return clustered(joined([pool.draw(half, generator), one]), numbers)

    return Year(pool.draw(REFERENCE_ROWS, generator), (drawn() for _ in range(WEEKS)))


TRAFFIC: tuple[tuple[str, Traffic], ...] = (
    ("a weekend mix in 7-day windows", weekends),
    ("a yearly season, product mix ±3 %", partial(season, size=0.03)),
    ("a yearly season, product mix ±5 %", partial(season, size=0.05)),
    ("20 clients, volumes lognormal .3", partial(clients, spread=0.3)),
    ("20 clients, volumes lognormal .6", partial(clients, spread=0.6)),
    ("20 clients, volumes lognormal 1.0", partial(clients, spread=1.0)),
    ("1 % of rows sent 3 to 20 times", partial(retries, share=0.01)),
    ("5 % of rows sent 3 to 20 times", partial(retries, share=0.05)),
    ("a bot, one row is 3 %", partial(bot, share=0.03)),
    ("a bot, one row is 5 %", partial(bot, share=0.05)),
    ("one request has half of the rows", bulk),
)


def alone(rows: Rows) -> Window:
    """Takes each row for a cluster."""
    number = len(rows.right)
    return Window(rows, np.arange(number), np.zeros(number, dtype=np.bool_))


def clustered(rows: Rows, clusters: Ints) -> Window:
    """Finds the clusters that dominate."""
    sizes = np.bincount(clusters)
    occurring, numbers = np.unique(sizes[sizes > 0], return_counts=True)
    least = least_dominant(occurring, numbers)
    dominates = np.zeros(len(clusters), dtype=np.bool_)
    if least is not None:
        dominates = sizes[clusters] >= least
    return Window(rows, clusters, dominates)


def joined(parts: list[Rows]) -> Rows:
    """Puts rows together."""
    return Rows(
        cells={
            name: np.concatenate([part.cells[name] for part in parts]) for name in parts[0].cells
        },
        scores=np.concatenate([part.scores for part in parts]),
        texts=np.concatenate([part.texts for part in parts]),
        groups={
            name: np.concatenate([part.groups[name] for part in parts]) for name in parts[0].groups
        },
        positive=np.concatenate([part.positive for part in parts]),
        right=np.concatenate([part.right for part in parts]),
        breaks=np.concatenate([part.breaks for part in parts]),
    )


def _week(pool: Rows, rows: int, generator: Generator) -> Rows:
    weekend = rows * 2 // 7
    return joined(
        [
            _moved(pool, rows - weekend, 0.0, generator),
            _moved(pool, weekend, _WEEKEND, generator),
        ]
    )


def _day(pool: Rows, rows: int, number: int, generator: Generator) -> Rows:
    return _moved(pool, rows, _WEEKEND if number % 7 >= 5 else 0.0, generator)


def _moved(pool: Rows, rows: int, size: float, generator: Generator) -> Rows:
    """Draws rows of which a share is moved to the most frequent product, or from it if negative."""
    product = pool.cells["product"]
    mix = np.bincount(product) / len(product)
    most = int(np.argmax(mix))
    others = np.arange(len(mix)) != most
    mix[others] *= (1 - mix[most] - size) / (1 - mix[most])
    mix[most] += size
    return _of_mix(pool, rows, mix, generator)


def _of_mix(pool: Rows, rows: int, mix: Floats, generator: Generator) -> Rows:
    """Draws rows of a mix of products, in random order."""
    product = pool.cells["product"]
    order = np.argsort(product, kind="stable")
    starts = np.searchsorted(product[order], np.arange(len(mix) + 1))
    present = np.diff(starts) > 0
    shares = np.where(present, mix, 0.0)
    drawn = generator.choice(len(mix), rows, p=shares / shares.sum())
    places = starts[drawn] + generator.integers(np.diff(starts)[drawn])
    return pool.take(order[places])


def requests_of_groups(
    pool: Rows, rows: int, generator: Generator, *, size: int, alike: float
) -> Year:
    """Draws requests whose rows are of one group, and whose decisions are alike.

    Args:
        pool: of the rows.
        rows: of a window.
        generator: draws.
        size: rows of a request.
        alike: the correlation of two decisions of a request.
    """
    share = float(pool.positive.mean())
    concentration = 1 / alike - 1

    def drawn() -> Window:
        requests = rows // size
        numbers = np.repeat(np.arange(requests), size)
        taken = pool.draw(rows, generator)
        chances = generator.beta(share * concentration, (1 - share) * concentration, requests)
        groups = {
            facet: (generator.random(requests) < group.mean())[numbers]
            for facet, group in pool.groups.items()
        }
        positive = generator.random(rows) < chances[numbers]
        return clustered(replace(taken, groups=groups, positive=positive), numbers)

    return Year(pool.draw(REFERENCE_ROWS, generator), (drawn() for _ in range(WEEKS)))
