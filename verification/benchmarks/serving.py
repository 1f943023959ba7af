"""How fast a CPU artifact answers, through the handler that the endpoint runs.

    python -m verification.benchmarks.serving

It takes the artifact of a run, from the cache where nothing has changed. First the handler alone,
by texts a request; then the local server, which scores one request at a time as the endpoint's
worker does, asked by several clients at once over loopback. Of some rounds the fastest counts: what
else the machine does can only make a round slower.
"""

import http.client
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from subprocess import PIPE, Popen

from markupsafe import Markup

from sashiko.report.svg import axes_of, new_figure, styled, to_svg
from sashiko.serving.artifact import JSON, open_artifact
from sashiko.serving.server import HOST
from verification.benchmarks.bench import HOME, machine, options, run, show, table

_ROUNDS = 3
_TEXTS = {1: 100, 32: 10}  # texts a request -> requests a round
_CLIENTS = (1, 8, 32)
_SERVER = (
    "import sys; from pathlib import Path; from sashiko.serving.server import serve_artifact; "
    "serve_artifact(Path(sys.argv[1]), threshold=0.5, port=0)"
)


@dataclass(frozen=True)
class Round:
    """Requests in a row: predictions a second, and the seconds of each request."""

    per_second: float
    seconds: tuple[float, ...]

    @property
    def milliseconds(self) -> tuple[float, float]:
        """Those of half of the requests, and of 99 in 100."""
        cuts = quantiles(self.seconds, n=100)
        return cuts[49] * 1e3, cuts[98] * 1e3


Rounds = Mapping[int, Mapping[str, Round]]  # clients at once -> name -> its fastest round


def main() -> None:
    """Prints two Markdown tables on stdout."""
    chosen = options(__doc__, recipe="complaints", home=HOME, threads=2)
    os.environ["OMP_NUM_THREADS"] = str(chosen.threads)  # of ONNX Runtime
    result = run(chosen.recipe, home=chosen.home)
    print(f"`{chosen.recipe}` on {machine()}, {chosen.threads} threads.\n")
    heads = ("predictions a second", "p50, ms", "p99, ms")
    with open_artifact(result.artifact, threshold=0.5) as artifact:

        def ask(body: bytes) -> None:
            artifact.respond(body, content_type=JSON, accept=JSON)

        show(table(("texts a request", *heads), _by_texts(ask, result.texts)))
    print()
    with running_server(result.artifact) as (port, _):
        rounds = ask_in_turns({"": port}, bodies_of(result.texts, count=160))
        rows = ((clients, *_figures(by_name[""])) for clients, by_name in rounds.items())
        show(table(("requests at once", *heads), rows))


def _by_texts(ask: Callable[[bytes], None], texts: Sequence[str]) -> Iterator[tuple[object, ...]]:
    for size, requests in _TEXTS.items():
        bodies = bodies_of(texts, size=size, count=requests)
        rounds = [_ask_all(ask, bodies, texts=size) for _ in range(_ROUNDS)]
        yield size, *_figures(max(rounds, key=lambda item: item.per_second))


def _figures(item: Round) -> tuple[str, str, str]:
    p50, p99 = item.milliseconds
    return f"{item.per_second:.0f}", f"{p50:.1f}", f"{p99:.1f}"


def bodies_of(texts: Sequence[str], *, count: int, size: int = 1) -> list[bytes]:
    """Returns bodies of so many requests, of one text each or of several."""
    return [
        json.dumps({"inputs": [texts[(number * size + i) % len(texts)] for i in range(size)]})
        .encode()
        for number in range(count)
    ]  # fmt: skip


def _ask_all(ask: Callable[[bytes], object], bodies: Sequence[bytes], *, texts: int) -> Round:
    seconds = []
    for body in bodies:
        start = time.perf_counter()
        ask(body)
        seconds.append(time.perf_counter() - start)
    return Round(per_second=len(bodies) * texts / sum(seconds), seconds=tuple(seconds))


@contextmanager
def asking(port: int) -> Iterator[Callable[[bytes], bytes]]:
    """Opens a connection to a server on loopback; gives what asks it and returns the answer."""
    connection = http.client.HTTPConnection(HOST, port)

    def ask(body: bytes) -> bytes:
        connection.request("POST", "/invocations", body, {"Content-Type": JSON})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(f"the server said {answer.status}: {content!r}")
        return content

    try:
        yield ask
    finally:
        connection.close()


def _ask_at_once(port: int, bodies: Sequence[bytes], *, clients: int) -> Round:
    """Lets each client ask its share of the requests, one after the other."""
    rounds: list[Round] = []

    def client(share: Sequence[bytes]) -> None:
        with asking(port) as ask:
            rounds.append(_ask_all(ask, share, texts=1))

    threads = [threading.Thread(target=client, args=(bodies[i::clients],)) for i in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = tuple(second for item in rounds for second in item.seconds)
    if len(seconds) != len(bodies):
        sys.exit("error: a client failed")
    return Round(per_second=len(bodies) / (time.perf_counter() - start), seconds=seconds)


def ask_in_turns(ports: Mapping[str, int], bodies: Sequence[bytes]) -> Rounds:
    """Asks each server, name -> its port on loopback, by one client, then by several at once."""
    fastest: dict[int, dict[str, Round]] = {}
    for clients in _CLIENTS:
        rounds: dict[str, list[Round]] = {name: [] for name in ports}
        for number in range(_ROUNDS + 1):
            for name, port in ports.items():
                print(f"{clients} at once, round {number}: {name}", file=sys.stderr)
                result = _ask_at_once(port, bodies, clients=clients)
                if number:  # the first opens sessions and warms up
                    rounds[name].append(result)
        fastest[clients] = {
            name: max(each, key=lambda item: item.per_second) for name, each in rounds.items()
        }
    return fastest


@contextmanager
def running_server(archive: Path) -> Iterator[tuple[int, int]]:
    """Runs a server in a process of its own; gives its port once it listens, and process id."""
    with Popen([sys.executable, "-c", _SERVER, str(archive)], stderr=PIPE, text=True) as server:
        try:
            for line in server.stderr or ():
                if f"{HOST}:" in line:
                    break
            else:
                sys.exit(f"error: the server of {archive} did not start")
            yield int(line.split(f"{HOST}:")[1].split()[0]), server.pid
        finally:
            server.terminate()


def turns_table(by_clients: Rounds, *, by: str) -> Iterable[str]:
    """Returns a table's lines; its last column is p50 over that of the server `by`."""

    def rows() -> Iterator[tuple[object, ...]]:
        for clients, rounds in by_clients.items():
            base, _ = rounds[by].milliseconds
            for name, item in rounds.items():
                p50, p99 = item.milliseconds
                rate, ratio = f"{item.per_second:.0f}", f"{p50 / base:.2f}"
                yield clients, name, f"{p50:.1f}", f"{p99:.1f}", rate, ratio

    heads = ("requests at once", "", "p50, ms", "p99, ms", "predictions a second", f"p50 by {by}")
    return table(heads, rows())


def turns_picture(by_clients: Rounds, *, colours: Mapping[str, str], name: str) -> Markup:
    """Draws predictions a second as bars, by requests at once; the picture's ids have the name."""
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


if __name__ == "__main__":
    main()
