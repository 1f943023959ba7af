"""How fast a CPU artifact answers, beside its graph alone and Hugging Face's pipeline.

    python -m verification.benchmarks.serving --plot docs/images/int8.svg

It takes the artifacts of two runs, in float32 and in int8, from the cache where nothing has
changed. First one text a request, asked of all in turns: the handler that the endpoint runs, the
graph within it, the local server, and transformers' pipeline with the trained model. Then the local
server, which scores one request at a time as the endpoint's worker does, asked by several clients
at once over loopback. Of some rounds the fastest counts: what else the machine does can only make a
round slower.
"""

import http.client
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import quantiles
from subprocess import PIPE, Popen
from typing import TypeVar

from markupsafe import Markup

from sashiko.report.svg import DARK, LIGHT, axes_of, new_figure, styled, to_svg
from sashiko.serving.artifact import JSON, open_artifact
from sashiko.serving.inspection import unpack
from sashiko.serving.server import HOST
from verification.benchmarks.bench import HOME, Run, machine, options, run, save, show, table

_T = TypeVar("_T")
_HUGGING_FACE = "Hugging Face"
_ROUNDS = 7
_TEXTS = 100  # a round
_OVERRIDES = {"float32": (), "int8": ("compile.quantization=int8", "compile.batch_sizes=[1]")}
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
    """Prints two Markdown tables on stdout; `--plot` writes a picture of the second."""
    chosen = options(__doc__, recipe="complaints", home=HOME, threads=2, plot=Path)
    os.environ["OMP_NUM_THREADS"] = str(chosen.threads)  # of ONNX Runtime and torch
    runs = {
        name: run(chosen.recipe, *overrides, home=chosen.home)
        for name, overrides in _OVERRIDES.items()
    }
    print(f"`{chosen.recipe}` on {machine()}, {chosen.threads} threads.\n")
    rounds = _in_turns(runs, threads=chosen.threads)
    base, _ = rounds[_HUGGING_FACE].milliseconds
    heads = ("predictions a second", "p50, ms", "p99, ms")
    rows: Iterator[tuple[object, ...]] = (
        (name, *_figures(item), f"{base / item.milliseconds[0]:.1f}")
        for name, item in rounds.items()
    )
    show(table(("one text a request", *heads, f"{_HUGGING_FACE}'s p50 by it"), rows))
    print()
    texts = runs["float32"].texts
    with ExitStack() as stack:
        ports = {
            name: stack.enter_context(running_server(result.artifact))[0]
            for name, result in runs.items()
        }
        by_clients = _ask_in_turns(ports, bodies_of(texts, count=160))
    show(_turns_table(by_clients))
    if chosen.plot:
        save(chosen.plot, _turns_picture(by_clients))


def _in_turns(runs: Mapping[str, Run], *, threads: int) -> Mapping[str, Round]:
    """Asks all the same texts, one round after the other: name -> its fastest round."""
    import torch
    from transformers import pipeline

    torch.set_num_threads(threads)
    result = runs["float32"]
    texts = result.texts[:_TEXTS]
    rounds: dict[str, list[Round]] = {}
    with ExitStack() as stack:
        trained = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        unpack(result.output("Train", "model"), trained)
        theirs = pipeline("text-classification", str(trained))
        asks: dict[str, Callable[[Sequence[bytes]], Round]] = {
            _HUGGING_FACE: partial(_ask_all, lambda body: theirs(json.loads(body)["inputs"]))
        }
        graphs: dict[str, list[float]] = {}
        for name, each in runs.items():
            artifact = stack.enter_context(open_artifact(each.artifact, threshold=0.5))
            backend = artifact._model().scorer._backend
            seconds = graphs[f"handler, {name}"] = []
            backend.run = _timed(backend.run, seconds)
            respond = partial(artifact.respond, content_type=JSON, accept=JSON)
            asks[f"handler, {name}"] = partial(_ask_all, respond)
            port, _ = stack.enter_context(running_server(each.artifact))
            asks[f"server, {name}"] = partial(_ask_at_once, port, clients=1)
        for number in range(_ROUNDS + 1):
            for name, ask in asks.items():
                print(f"round {number}: {name}", file=sys.stderr)
                graphs.get(name, []).clear()
                item = ask(bodies_of(texts, count=_TEXTS))
                if number:  # the first opens sessions and warms up
                    rounds.setdefault(name, []).append(item)
                    if name in graphs:
                        graph = tuple(graphs[name])
                        its = Round(per_second=len(graph) / sum(graph), seconds=graph)
                        rounds.setdefault(f"graph within {name}", []).append(its)
    return {name: max(each, key=lambda item: item.per_second) for name, each in rounds.items()}


def _ask_all(ask: Callable[[bytes], object], bodies: Sequence[bytes]) -> Round:
    seconds: list[float] = []
    timed = _timed(ask, seconds)
    for body in bodies:
        timed(body)
    return Round(per_second=len(bodies) / sum(seconds), seconds=tuple(seconds))


def _timed(function: Callable[..., _T], seconds: list[float]) -> Callable[..., _T]:
    def timed(*arguments: object) -> _T:
        start = time.perf_counter()
        result = function(*arguments)
        seconds.append(time.perf_counter() - start)
        return result

    return timed


def _figures(item: Round) -> tuple[str, str, str]:
    p50, p99 = item.milliseconds
    return f"{item.per_second:.0f}", f"{p50:.1f}", f"{p99:.1f}"


def bodies_of(texts: Sequence[str], *, count: int) -> list[bytes]:
    """Returns bodies of so many requests, of one text each."""
    return [
        json.dumps({"inputs": [texts[number % len(texts)]]}).encode() for number in range(count)
    ]


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
            rounds.append(_ask_all(ask, share))

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


def _ask_in_turns(ports: Mapping[str, int], bodies: Sequence[bytes]) -> Rounds:
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


def _turns_table(by_clients: Rounds) -> Iterable[str]:

    def rows() -> Iterator[tuple[object, ...]]:
        for clients, rounds in by_clients.items():
            base, _ = rounds["float32"].milliseconds
            for name, item in rounds.items():
                p50, p99 = item.milliseconds
                rate, ratio = f"{item.per_second:.0f}", f"{p50 / base:.2f}"
                yield clients, name, f"{p50:.1f}", f"{p99:.1f}", rate, ratio

    heads = (
        "requests at once",
        "",
        "p50, ms",
        "p99, ms",
        "predictions a second",
        "p50 by float32's",
    )
    return table(heads, rows())


def _turns_picture(by_clients: Rounds) -> Markup:
    """Draws predictions a second as bars, by requests at once."""
    colours = {"float32": LIGHT, "int8": DARK}
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
        return to_svg(figure, name="int8", alt=f"Predictions a second by requests {values}.")


if __name__ == "__main__":
    main()
