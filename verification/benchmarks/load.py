"""The local server at twice its capacity: the requests that it rejects, and its memory.

    python -m verification.benchmarks.load

First some clients ask one request after the other, which tells what the server can serve; then
requests are sent at twice that rate whatever becomes of them, and `/ping` is called ten times a
second. `make test-faults` asserts on the same load with a tiny model.
"""

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle
from statistics import quantiles

import psutil

from sashiko.serving.artifact import JSON
from sashiko.serving.server import HOST
from verification.benchmarks.bench import HOME, machine, options, run, show, table
from verification.benchmarks.serving import bodies_of, running_server

_CLIENTS = 8
_PING_SECONDS = 0.1
_CONNECTIONS = 200  # of the server's 256
_KEPT_SECONDS = 2
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Load:
    """What came of a load."""

    statuses: Counter[int] = field(default_factory=Counter)  # HTTP status -> answers
    seconds: list[float] = field(default_factory=list)  # of each request that was served
    pings: list[tuple[int, float]] = field(default_factory=list)  # of each, status and seconds
    megabytes: list[float] = field(default_factory=list)  # of the server's memory, each second


class _Connections:
    """Keep-alive connections, made as they are needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[float, _Streams]] = []
        self._free = asyncio.Semaphore(_CONNECTIONS)

    async def ask(self, request: bytes) -> int:
        """Sends a request and reads its answer; returns the status."""
        async with self._free:
            reader, writer = self._reuse() or await asyncio.open_connection(HOST, self._port)
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = head.split("content-length: ")[1].split("\r\n")[0]
            await reader.readexactly(int(length))
            self._idle.append((time.monotonic(), (reader, writer)))
            return int(head.split()[1])

    def _reuse(self) -> _Streams | None:
        """Takes the connection that was used last; the server ends who asks nothing for 5 s."""
        while self._idle:
            since, streams = self._idle.pop()
            if time.monotonic() < since + _KEPT_SECONDS:
                return streams
            streams[1].close()
        return None

    def close(self) -> None:
        for _, (_, writer) in self._idle:
            writer.close()


async def capacity(port: int, bodies: Sequence[bytes], *, seconds: float) -> float:
    """Returns how many requests a second are served to clients that wait for each answer."""
    connections, requests = _Connections(port), cycle(map(_post, bodies))
    end = time.monotonic() + seconds

    async def client() -> int:
        count = 0
        while time.monotonic() < end:
            status = await connections.ask(next(requests))
            if status != 200:
                raise RuntimeError(f"the server said {status} to {_CLIENTS} clients")
            count += 1
        return count

    counts = await asyncio.gather(*(client() for _ in range(_CLIENTS)))
    connections.close()
    return sum(counts) / seconds


async def offer(
    port: int, process: int, bodies: Sequence[bytes], *, rate: float, seconds: float
) -> Load:
    """Sends requests at a rate a second, whether or not those before are answered.

    The memory of the server's process is measured meanwhile.
    """
    load, connections, requests = Load(), _Connections(port), cycle(map(_post, bodies))
    start = time.monotonic()

    async def one(request: bytes) -> None:
        sent = time.monotonic()
        status = await connections.ask(request)
        load.statuses[status] += 1
        if status == 200:
            load.seconds.append(time.monotonic() - sent)

    async def watch() -> None:
        own = _Connections(port)
        ping = f"GET /ping HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
        while (now := time.monotonic()) < start + seconds:
            load.pings.append((await own.ask(ping), time.monotonic() - now))
            if now - start >= len(load.megabytes):
                load.megabytes.append(psutil.Process(process).memory_info().rss / 1e6)
            await asyncio.sleep(_PING_SECONDS)
        own.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(watch())
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))
            group.create_task(one(next(requests)))
    connections.close()
    return load


def _post(body: bytes) -> bytes:
    head = f"POST /invocations HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {JSON}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def main() -> None:
    """Prints a Markdown table on stdout."""
    chosen = options(__doc__, recipe="complaints", home=HOME, threads=2, seconds=120.0)
    os.environ["OMP_NUM_THREADS"] = str(chosen.threads)  # of ONNX Runtime
    result = run(chosen.recipe, home=chosen.home)
    bodies = bodies_of(result.texts, count=len(result.texts))
    with running_server(result.artifact) as (port, process):
        most = asyncio.run(capacity(port, bodies, seconds=10))
        print(f"{most:.0f} requests a second can be served", file=sys.stderr)
        load = asyncio.run(offer(port, process, bodies, rate=2 * most, seconds=chosen.seconds))
    half, statuses = len(load.megabytes) // 2, load.statuses
    rows = {
        "can be served, a second": f"{most:.0f}",
        "offered, a second": f"{statuses.total() / chosen.seconds:.0f}",
        "served, a second": f"{statuses[200] / chosen.seconds:.0f}",
        "shed with 503, a second": f"{statuses[503] / chosen.seconds:.0f}",
        "other answers": f"{statuses.total() - statuses[200] - statuses[503]}",
        "p50 and p99 of the served, ms": _percentiles(load.seconds),
        "p50 and p99 of a ping, ms": _percentiles([taken for _, taken in load.pings]),
        "memory, most of the first half, MB": f"{max(load.megabytes[:half]):.0f}",
        "memory, most of the second half, MB": f"{max(load.megabytes[half:]):.0f}",
    }
    print(f"`{chosen.recipe}` on {machine()}, {chosen.threads} threads.\n")
    show(table(("", ""), rows.items()))


def _percentiles(seconds: Sequence[float]) -> str:
    cuts = quantiles(seconds, n=100)
    return f"{cuts[49] * 1e3:.1f}, {cuts[98] * 1e3:.1f}"


if __name__ == "__main__":
    main()
