"""A candidate's answers on the test rows, before they are judged; latency and cost."""

import datetime as dt
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from sashiko.account.prices import Price, Prices, Speed
from sashiko.evaluation.metrics.arrays import ModelScores
from sashiko.evaluation.record import InjectionFigures
from sashiko.pipeline.use_cost import prediction_costs
from sashiko.settings.environment import Settings
from sashiko_packs.selection.geography import STAYS, Travel
from sashiko_packs.selection.record import Answers, Cost, Latency

_WARM_UP = 10  # requests
_ROUNDS = 5
_ROUND = 40  # requests
_MEASURED_TARGET = "cpu"  # this machine's processor runs no accelerator's model at its speed


@dataclass(frozen=True, kw_only=True)
class CandidateScores:
    """A candidate with its decisions on the test rows."""

    name: str
    kind: Literal["linear", "recipe", "version", "bedrock"]
    what: str  # the model, in words
    # Scores of the test rows and the threshold; without scores decisions as 0 and 1, at 0.5. None
    # of a model that was not asked.
    model: ModelScores | None
    has_scores: bool
    injection: InjectionFigures | None
    latency: Latency | None
    cost: Cost
    licence: str | None = None  # of others' weights; None: nobody's weights
    sha256: str | None = None  # of the artifact
    run: str | None = None  # that made the model
    travel: Travel = STAYS
    answers: Answers | None = None


def time_requests(predict: Callable[[str], object], texts: Sequence[str]) -> Latency:
    """Times single predictions in this process, after a warm-up.

    The mean is that of the fastest of several rounds, as other work on the machine slows some.

    Args:
        predict: scores one text.
        texts: are taken in turn.
    """
    seconds = []
    for number in range(_WARM_UP + _ROUNDS * _ROUND):
        start = time.perf_counter()
        predict(texts[number % len(texts)])
        seconds.append(time.perf_counter() - start)
    timed = np.array(seconds[_WARM_UP:])
    return Latency(
        p50=float(np.quantile(timed, 0.5)),
        p99=float(np.quantile(timed, 0.99)),
        mean=float(timed.reshape(_ROUNDS, _ROUND).mean(axis=1).min()),
        requests=len(timed),
        how=f"one text at a time in this process, without HTTP, on {_machine()}",
    )


def instance_cost(
    prices: Prices, settings: Settings, *, target: str, latency: Latency, load: float
) -> Cost:
    """Returns the cost of a million predictions on an endpoint of our own.

    The speed of an instance is taken to be that of this machine, one request after the other, if
    the model is compiled for a CPU. For another target it is the price file's.

    Args:
        prices: of the environment's region.
        settings: the environment, whose endpoint it would be.
        target: what the model is compiled for.
        latency: that was measured here.
        load: predictions per second, all month.
    """
    kind = settings.serving.instance_type(target)
    price = prices.instances.get(kind)
    if price is None:
        return Cost(usd=None, basis=f"unknown: {prices.no_price_of(kind)}")
    speed = prices.speeds.get(kind)
    if target == _MEASURED_TARGET:
        speed = Speed(
            per_second=1 / latency.mean,
            what=latency.how,
            source="measured",
            read=dt.datetime.now(dt.UTC).date(),
        )
    if speed is None:
        return Cost(
            usd=None,
            basis=f"unknown: this machine is no {kind}, and how fast that is is not known: give "
            f"`speeds.{kind}` in a file of your own, as --prices FILE",
        )
    (cost,) = prediction_costs(
        prices.model_copy(update={"speeds": {kind: speed}}),
        instance_types={target: kind},
        load=load,
        least=settings.serving.min_instances,
    )
    where = "measured here" if target == _MEASURED_TARGET else "assumed, not measured"
    return Cost(
        usd=cost.per_million,
        basis=f"{cost.instances} x {kind} at {load:g} predictions a second. Speed, {where}: "
        f"{speed.per_second:,.0f} a second each ({speed.what}; {speed.source}, {speed.read}). "
        f"Price: {priced(price)} an hour",
    )


def priced(price: Price) -> str:
    """Formats a price with its source and day."""
    weak = ", not AWS's own page" if price.weak else ""
    return f"${price.usd:g} ({price.source}, read {price.read}{weak})"


def _machine() -> str:
    """Names the processor and the number of its cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores, {_processor()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
