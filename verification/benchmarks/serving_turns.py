"""Servers that take turns, with their table and picture: shared by what times serving."""

import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence

from sashiko.report.svg import axes_of, new_figure, styled, to_svg
from verification.benchmarks.serving import Round, ask_at_once

_ROUNDS = 3
_CLIENTS = (1, 8, 32)

RoundsByClients = Mapping[int, Mapping[str, Round]]


def ask_in_turns(ports: Mapping[str, int], bodies: Sequence[bytes]) -> RoundsByClients:
    """Asks each server by one client, then by several at once.

    Args:
        ports: name -> where it listens, on loopback.
        bodies: the requests of a round.

    Returns:
        Clients at once -> name -> its fastest round.
    """
    fastest: dict[int, dict[str, Round]] = {}
    for clients in _CLIENTS:
        rounds: dict[str, list[Round]] = {name: [] for name in ports}
        for number in range(_ROUNDS + 1):
            for name, port in ports.items():
                print(f"{clients} at once, round {number}: {name}", file=sys.stderr)
                result = ask_at_once(port, bodies, clients=clients)
                if number:  # the first opens sessions and warms up
                    rounds[name].append(result)
        fastest[clients] = {
            name: max(each, key=lambda item: item.per_second) for name, each in rounds.items()
        }
    return fastest


def table(by_clients: RoundsByClients, *, by: str) -> Iterator[str]:
    """Yields the lines of a Markdown table; its last column is p50 over that of the server `by`."""
    yield f"| requests at once | | p50, ms | p99, ms | predictions a second | p50 by {by} |"
    yield "|---|---|---|---|---|---|"
    for clients, rounds in by_clients.items():
        base, _ = _milliseconds(rounds[by])
        for name, item in rounds.items():
            p50, p99 = _milliseconds(item)
            yield (
                f"| {clients} | {name} | {p50:.1f} | {p99:.1f} | {item.per_second:.0f} "
                f"| {p50 / base:.2f} |"
            )


def picture(by_clients: RoundsByClients, *, colours: Mapping[str, str], name: str) -> str:
    """Draws predictions a second as bars, by requests at once.

    Args:
        by_clients: see `ask_in_turns`.
        colours: server -> the colour of its bars, in their order.
        name: unique on a page; ids inside the picture start with it.
    """
    with styled():
        figure = new_figure(width=720, height=320)
        figure.set_facecolor("white")
        axes = axes_of(figure)
        width = 0.81 / len(colours)
        for index, (server, colour) in enumerate(colours.items()):
            heights = [rounds[server].per_second for rounds in by_clients.values()]
            middle = (len(colours) - 1) / 2
            places = [position + (index - middle) * width for position in range(len(by_clients))]
            bars = axes.bar(places, heights, width=width - 0.02, color=colour, label=server)
            axes.bar_label(bars, [f"{height:.0f}" for height in heights], padding=2)
        axes.set_xticks(range(len(by_clients)), [f"{clients} at once" for clients in by_clients])
        axes.set_ylabel("predictions a second")
        axes.margins(y=0.3)  # the legend stands above the bars
        axes.grid(True, axis="y")
        axes.legend(loc="upper center", ncols=len(colours))
        values = "; ".join(
            f"{clients} at once: "
            + ", ".join(f"{server} {item.per_second:.0f}" for server, item in rounds.items())
            for clients, rounds in by_clients.items()
        )
        return to_svg(figure, name=name, alt=f"Predictions a second by requests {values}.")


def _milliseconds(item: Round) -> tuple[float, float]:
    p50, p99 = (statistics.quantiles(item.seconds, n=100)[at] * 1e3 for at in (49, 98))
    return p50, p99
