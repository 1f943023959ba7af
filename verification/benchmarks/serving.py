"""How fast a CPU artifact answers, through the handler that the endpoint runs.

    python -m verification.benchmarks.serving

It takes the artifact of a run, from the cache where nothing has changed. First the handler alone,
by texts a request; then the local server, which scores one request at a time as the endpoint's
worker does, asked by several clients at once over loopback. Of some rounds the fastest counts: what
else the machine does can only make a round slower.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from sashiko.serving.artifact import JSON, open_artifact
from sashiko.serving.server import HOST
from verification.benchmarks.runs import HOME, machine, run

_ROUNDS = 3
_TEXTS = {1: 100, 32: 10}  # texts a request -> requests a round
_CLIENTS = (1, 8, 32)
_REQUESTS = 160  # a round, of one text each
_SERVER = (
    "import sys; from pathlib import Path; from sashiko.serving.server import serve_artifact; "
    "serve_artifact(Path(sys.argv[1]), threshold=0.5, port=0)"
)


@dataclass(frozen=True)
class Round:
    """Requests in a row.

    Attributes:
        per_second: predictions a second.
        seconds: of each request.
    """

    per_second: float
    seconds: tuple[float, ...]


def main() -> None:
    """Prints two Markdown tables on stdout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="complaints")
    parser.add_argument("--home", type=Path, default=HOME, help="the benchmarks' state")
    parser.add_argument("--threads", type=int, default=2, help="of ONNX Runtime")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    result = run(options.recipe, overrides=[], home=options.home)
    texts = pq.read_table(result.output("Prepare", "test") / "data.parquet")["text"].to_pylist()
    archive = result.output("Compile", "artifact") / "model.tar.gz"
    print(f"`{options.recipe}` on {machine()}, {options.threads} threads.\n")
    _table("texts a request", by_texts(archive, texts))
    print()
    _table("requests at once", by_clients(archive, texts))


def by_texts(archive: Path, texts: Sequence[str]) -> Iterator[tuple[int, Round]]:
    """Yields texts a request, and the fastest round of the handler, called in this process."""
    with open_artifact(archive, threshold=0.5) as artifact:

        def ask(body: bytes) -> None:
            artifact.respond(body, content_type=JSON, accept=JSON)

        for size, requests in _TEXTS.items():
            bodies = list(_bodies(texts, size=size, count=requests))
            rounds = [_ask_all(ask, bodies, texts=size) for _ in range(_ROUNDS)]
            yield size, max(rounds, key=lambda item: item.per_second)


def by_clients(archive: Path, texts: Sequence[str]) -> Iterator[tuple[int, Round]]:
    """Yields how many clients ask at once, and the fastest round of the local server."""
    bodies = one_text_each(texts, count=_REQUESTS)
    with running_server(archive) as (port, _):
        for clients in _CLIENTS:
            rounds = [ask_at_once(port, bodies, clients=clients) for _ in range(_ROUNDS)]
            yield clients, max(rounds, key=lambda item: item.per_second)


def _bodies(texts: Sequence[str], *, size: int, count: int) -> Iterator[bytes]:
    for number in range(count):
        chosen = [texts[(number * size + i) % len(texts)] for i in range(size)]
        yield json.dumps({"inputs": chosen}).encode()


def _ask_all(ask: Callable[[bytes], None], bodies: Sequence[bytes], *, texts: int) -> Round:
    seconds = []
    for body in bodies:
        start = time.perf_counter()
        ask(body)
        seconds.append(time.perf_counter() - start)
    return Round(per_second=len(bodies) * texts / sum(seconds), seconds=tuple(seconds))


def one_text_each(texts: Sequence[str], *, count: int) -> list[bytes]:
    """Returns bodies of requests with one text each."""
    return list(_bodies(texts, size=1, count=count))


def ask_at_once(port: int, bodies: Sequence[bytes], *, clients: int) -> Round:
    """Lets each client ask its share of the requests, one after the other."""
    rounds: list[Round] = []

    def client(share: Sequence[bytes]) -> None:
        connection = http.client.HTTPConnection(HOST, port)

        def ask(body: bytes) -> None:
            connection.request("POST", "/invocations", body, {"Content-Type": JSON})
            answer = connection.getresponse()
            body_text = answer.read()
            if answer.status != http.client.OK:
                raise RuntimeError(f"the server said {answer.status}: {body_text!r}")

        rounds.append(_ask_all(ask, share, texts=1))
        connection.close()

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


@contextmanager
def running_server(archive: Path) -> Iterator[tuple[int, int]]:
    """Runs the local server in a process of its own, and gives its port and process id."""
    command = [sys.executable, "-c", _SERVER, str(archive)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            ready = server.stderr.readline() if server.stderr else ""
            yield int(ready.split(f"{HOST}:")[1].split()[0]), server.pid
        finally:
            server.terminate()


def _table(what: str, rows: Iterator[tuple[int, Round]]) -> None:
    print(f"| {what} | predictions a second | p50, ms | p99, ms |\n|---|---|---|---|")
    for size, best in rows:
        p50, p99 = (statistics.quantiles(best.seconds, n=100)[at] * 1e3 for at in (49, 98))
        print(f"| {size} | {best.per_second:.0f} | {p50:.1f} | {p99:.1f} |", flush=True)


if __name__ == "__main__":
    main()
