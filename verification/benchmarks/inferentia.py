"""What a million predictions cost on each compile target, by load: docs/inferentia.md.

    python -m verification.benchmarks.inferentia

Works with the code and the price file of `sashiko env cost`, for one instance at least, all month
long. `make docs` writes the tables into the page, and the picture beside it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from sashiko.account.prices import HOURS_A_MONTH, Prices, read_prices
from sashiko.pipeline.use_cost import PredictionCost, prediction_costs
from sashiko.report.svg import DARK, INK, LIGHT, MUTED, axes_of, new_figure, styled, to_svg
from sashiko.settings.environment import load_settings
from verification.benchmarks.bench import options, table

_LOADS = (0.1, 1, 10, 50, 100, 200, 300, 500, 1000, 3000)
_MOST = 5000
_DRAWN = [_MOST ** (step / 800) for step in range(801)]  # from 1
_NAMES = {"cpu": "CPU", "gpu": "GPU", "inf2": "Inferentia 2"}
# Apart by lightness and dash, so that they stay apart in grey.
_LINES = {
    "cpu": {"color": LIGHT, "linewidth": 2.4},
    "gpu": {"color": MUTED, "linewidth": 1.6, "linestyle": (0, (5, 2))},
    "inf2": {"color": DARK, "linewidth": 2.4},
}


@dataclass(frozen=True)
class Span:
    """Loads of which one target is the cheapest: more than `above` a second, up to `most`."""

    target: str
    above: int
    most: int


def tables() -> str:
    """Writes the page's computed tables as Markdown."""
    prices, kinds = _prices_and_kinds()
    without = {target: kind for target, kind in kinds.items() if target != "inf2"}
    cheapest = (
        (", ".join(_NAMES[target] for target in among), _describe(_spans(prices, among)))
        for among in (kinds, without)
    )
    what = ("target", "instance", "$ an hour", "$ a month", "read", "predictions a second")
    parts = (
        table(("predictions a second", *_NAMES.values()), _costs(prices, kinds)),
        table(("where you may choose", "cheapest, by predictions a second"), cheapest),
        table((*what, "of which model", "source"), _instances(prices, kinds)),
    )
    return "\n".join("\n".join(part) + "\n" for part in parts)


def picture() -> Markup:
    """Draws the cost of a million predictions against the load, a line for each target."""
    prices, kinds = _prices_and_kinds()
    ends = [span.most for span in _spans(prices, kinds)[:-1]]
    with styled():
        figure = new_figure(width=720, height=380)
        figure.set_facecolor("white")
        axes = axes_of(figure)
        for target, kind in kinds.items():
            costs = [_costs_at(prices, {target: kind}, load)[0].per_million for load in _DRAWN]
            name = f"{_NAMES[target]}, {kind.removeprefix('ml.')}"
            axes.plot(_DRAWN, costs, label=name, **_LINES[target])
        for end in ends:
            axes.axvline(end, color=INK, linewidth=1, linestyle=(0, (1, 2)))
            axes.annotate(f"{end:,} a second", (end, 0.97), xycoords=("data", "axes fraction"),
                          xytext=(-4, 0), textcoords="offset points", ha="right",
                          va="top")  # fmt: skip
        axes.set(
            xscale="log", yscale="log", xlim=(_DRAWN[0], _DRAWN[-1]),
            xlabel="predictions a second, all month long", ylabel="US dollars a million",
        )  # fmt: skip
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        axes.yaxis.set_major_formatter(lambda value, _: f"${value:,g}")
        axes.grid(True)
        axes.legend(loc="lower left")
        values = _describe(_spans(prices, kinds))
        return to_svg(figure, name="cost", alt=f"Cost of a million predictions by load. {values}.")


def _spans(prices: Prices, kinds: dict[str, str]) -> list[Span]:
    """Says which target costs least, from 0 to the greatest load of the picture, in a row."""
    result: list[Span] = []
    for load in range(1, _MOST + 1):
        best = min(_costs_at(prices, kinds, load), key=lambda cost: cost.per_million).target
        if result and result[-1].target == best:
            result[-1] = Span(best, result[-1].above, load)
        else:
            result.append(Span(best, load - 1, load))
    return result


def _prices_and_kinds() -> tuple[Prices, dict[str, str]]:
    settings = load_settings("local")
    kinds = settings.serving.known_instance_types()
    # The page is about an encoder; other targets serve none.
    return read_prices(settings), {target: kinds[target] for target in _NAMES}


def _costs_at(prices: Prices, kinds: dict[str, str], load: float) -> Sequence[PredictionCost]:
    return prediction_costs(prices, instance_types=kinds, load=load, least=1)


def _costs(prices: Prices, kinds: dict[str, str]) -> Iterator[tuple[str, ...]]:
    for load in _LOADS:
        costs = _costs_at(prices, kinds, load)
        least = min(cost.per_million for cost in costs)
        cells = [f"{_usd(cost.per_million)}, {cost.instances}" for cost in costs]
        yield (
            f"{load:,g}",
            *(
                f"**{cell}**" if cost.per_million == least else cell
                for cell, cost in zip(cells, costs, strict=True)
            ),
        )
    floors = (_usd(cost.floor) for cost in _costs_at(prices, kinds, 1))
    yield "one instance, at its full speed", *floors


def _describe(spans: Sequence[Span]) -> str:
    if len(spans) == 1:
        return f"{_NAMES[spans[0].target]} up to {spans[0].most:,}, the highest load computed"
    first, *between, last = spans
    parts = [f"{_NAMES[first.target]} up to {first.most:,}"]
    if between:
        parts.append(f"then either up to {last.above:,}, as instances fill")
    return "; ".join([*parts, f"{_NAMES[last.target]} from {last.above + 1:,} on"])


def _instances(prices: Prices, kinds: dict[str, str]) -> Iterator[tuple[str, ...]]:
    for target, kind in kinds.items():
        price, speed = prices.instances[kind], prices.speeds[kind]
        month, read = f"{price.usd * HOURS_A_MONTH:,.0f}", f"{price.read}: {price.source}"
        of = (f"{speed.per_second:,g}", speed.what, speed.source)
        yield _NAMES[target], f"`{kind}`", f"{price.usd:g}", month, read, *of


def _usd(amount: float) -> str:
    return f"${amount:,.2f}" if amount >= 1 else f"${amount:.3f}"


if __name__ == "__main__":
    options(__doc__)
    print(tables())
