"""One text a request, by clients at once: ours, the Hugging Face pipeline and plain ONNX Runtime.

    python -m verification.benchmarks.serving_peers --plot docs/images/serving.svg

Each scores the model of one run behind our server in a process of its own (`serving_contenders`).
They take turns, and of some rounds each one's fastest counts: what else the machine does can only
make a round slower. What we add to the model is measured apart, for a single client: what a request
takes beside the time that the runtime takes for its graph.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from sashiko.report.svg import DARK, LIGHT, MUTED
from sashiko.serving.inspection import unpack
from verification.benchmarks.bench import AS_INT8, HOME, machine, options, run, save, show
from verification.benchmarks.serving import (
    ask_in_turns,
    asking,
    bodies_of,
    running_server,
    turns_picture,
    turns_table,
)
from verification.benchmarks.serving_contenders import (
    HUGGING_FACE,
    ONNX_RUNTIME,
    OURS,
    OURS_INT8,
    WATCHED,
)

_REQUESTS = 320  # a round
_ALONE = 400  # requests of a single client
_COLOURS = {OURS: DARK, OURS_INT8: "#5a96cc", ONNX_RUNTIME: MUTED, HUGGING_FACE: LIGHT}


def main() -> None:
    """Prints a Markdown table and our own part on stdout; `--plot` writes the picture."""
    chosen = options(__doc__, recipe="complaints", home=HOME, threads=2, plot=Path)
    os.environ["OMP_NUM_THREADS"] = str(chosen.threads)  # of each model
    result = run(chosen.recipe, home=chosen.home)
    rounded = run(chosen.recipe, *AS_INT8, home=chosen.home)
    bodies = bodies_of(result.texts, count=_REQUESTS)
    trained = result.output("Train", "model")
    with tempfile.TemporaryDirectory(prefix="sashiko-benchmark-") as name, ExitStack() as stack:
        folders: dict[str, Path] = {}
        for contender, archive in (
            (OURS, result.artifact), (OURS_INT8, rounded.artifact), (HUGGING_FACE, trained),
        ):  # fmt: skip
            folder = folders[contender] = Path(name) / str(len(folders))
            folder.mkdir()
            unpack(archive, folder)
            if contender != HUGGING_FACE:
                (folder / "model.tar.gz").symlink_to(archive.resolve())
        folders[ONNX_RUNTIME] = folders[OURS]

        def serve(contender: str, folder: Path) -> int:
            command = ("-m", "verification.benchmarks.serving_contenders", contender)
            return stack.enter_context(running_server(folder, command))[0]

        ports = {contender: serve(contender, folders[contender]) for contender in _COLOURS}
        _agree([port for contender, port in ports.items() if contender != OURS_INT8], bodies)
        rounds = ask_in_turns(ports, bodies)
        added = _added(serve(WATCHED, folders[OURS]), bodies)
    print(f"`{chosen.recipe}` on {machine()}, {chosen.threads} threads.\n")
    show(turns_table(rounds, by=OURS))
    print(f"\nBeside the graph, one request takes us {added * 1e3:.2f} ms (median of {_ALONE}).")
    if chosen.plot:
        save(chosen.plot, turns_picture(rounds, colours=_COLOURS, name="serving"))


def _score(ask: Callable[[bytes], bytes], body: bytes) -> float:
    return float(json.loads(ask(body))[0]["score"])


def _agree(ports: Sequence[int], bodies: Sequence[bytes]) -> None:
    """Asserts that all have the same scores: otherwise the work would differ."""
    scores = []
    for port in ports:
        with asking(port) as ask:
            scores.append([_score(ask, body) for body in bodies[:50]])
    spread = np.ptp(np.array(scores), axis=0).max()
    if spread > 1e-3:
        sys.exit(f"error: the scores differ by up to {spread:.4f}")


def _added(port: int, bodies: Sequence[bytes]) -> float:
    """Returns the median seconds that a request over HTTP takes beside its graph."""
    differences = []
    with asking(port) as ask:
        for number in range(_ALONE + 20):
            start = time.perf_counter()
            graph = _score(ask, bodies[number % len(bodies)])
            differences.append(time.perf_counter() - start - graph)
    return statistics.median(differences[20:])


if __name__ == "__main__":
    main()
