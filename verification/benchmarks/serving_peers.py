"""One text a request, by clients at once: ours, the Hugging Face pipeline and plain ONNX Runtime.

    python -m verification.benchmarks.serving_peers --plot docs/images/serving.svg

All score the model of one run, taken from the cache where nothing has changed. Each is served by a
process of its own behind our server, which scores one request at a time. `ours` is the artifact
with its handler, `ours, int8` what a second run compiles the same model to, with gates of its own;
the peers do no more than score: `Hugging Face` is the pipeline
"text-classification" on Train's model, `ONNX Runtime` the artifact's tokenizer and graph,
with the runtime's own defaults but for the threads. They take turns, and of some
rounds each one's fastest counts: what else the machine does can only make a round slower.

What we add to the model is measured apart, for a single client: the server notes how long the
runtime takes for the graph of each request. What a request takes beside that is client's,
server's, handler's and tokenizer's; its median is printed.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from sashiko.report.svg import DARK, LIGHT, MUTED
from sashiko.serving.artifact import JSON
from sashiko.serving.inspection import unpack
from sashiko.serving.server import HOST
from verification.benchmarks.runs import AS_INT8, HOME, machine, run
from verification.benchmarks.serving import one_text_each
from verification.benchmarks.serving_contenders import (
    HUGGING_FACE,
    ONNX_RUNTIME,
    OURS,
    OURS_INT8,
    WATCHED,
)
from verification.benchmarks.serving_turns import RoundsByClients, ask_in_turns, picture, table

_REQUESTS = 320  # a round
_ALONE = 400  # requests of a single client
_COLOURS = {OURS: DARK, OURS_INT8: "#5a96cc", ONNX_RUNTIME: MUTED, HUGGING_FACE: LIGHT}


def main() -> None:
    """Prints a Markdown table and our own part on stdout; `--plot` writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--recipe", default="complaints")
    parser.add_argument("--home", type=Path, default=HOME, help="the benchmarks' state")
    parser.add_argument("--threads", type=int, default=2, help="of each model")
    parser.add_argument("--plot", type=Path, help="write the picture here, as SVG")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    result = run(options.recipe, overrides=[], home=options.home)
    rounded = run(options.recipe, overrides=list(AS_INT8), home=options.home)
    texts = pq.read_table(result.output("Prepare", "test") / "data.parquet")["text"].to_pylist()
    with tempfile.TemporaryDirectory(prefix="sashiko-benchmark-") as name:
        folders = _unpacked(
            result.output("Compile", "artifact") / "model.tar.gz",
            rounded.output("Compile", "artifact") / "model.tar.gz",
            result.output("Train", "model"),
            Path(name),
        )
        rounds, added = measure(folders, texts)
    print(f"`{options.recipe}` on {machine()}, {options.threads} threads.\n")
    print("\n".join(table(rounds, by=OURS)))
    print(f"\nBeside the graph, one request takes us {added * 1e3:.2f} ms (median of {_ALONE}).")
    if options.plot:
        options.plot.write_text(f"{picture(rounds, colours=_COLOURS, name='serving')}\n")


def measure(folders: Mapping[str, Path], texts: Sequence[str]) -> tuple[RoundsByClients, float]:
    """Asks all of them.

    Args:
        folders: name -> where its model lies.
        texts: to ask about, again and again.

    Returns:
        Clients at once -> name -> its fastest round; and the median of seconds that we add.
    """
    bodies = one_text_each(texts, count=_REQUESTS)
    with ExitStack() as stack:
        ports = {
            name: stack.enter_context(_running_server(name, folder))
            for name, folder in folders.items()
        }
        _agree({name: port for name, port in ports.items() if name != OURS_INT8}, bodies)
        rounds = ask_in_turns(ports, bodies)
    with _running_server(WATCHED, folders[OURS]) as port:
        return rounds, _added(port, texts)


def _unpacked(artifact: Path, rounded: Path, trained: Path, folder: Path) -> dict[str, Path]:
    folders = {"artifact": artifact, "rounded": rounded, "trained": trained}
    for name, archive in folders.items():
        (folder / name).mkdir()
        unpack(archive, folder / name)
        if archive != trained:
            (folder / name / "model.tar.gz").symlink_to(archive.resolve())
    return {
        OURS: folder / "artifact",
        OURS_INT8: folder / "rounded",
        ONNX_RUNTIME: folder / "artifact",
        HUGGING_FACE: folder / "trained",
    }


@contextmanager
def _running_server(name: str, folder: Path) -> Iterator[int]:
    """Runs a server in a process of its own, and gives its port once the model is loaded."""
    command = [
        sys.executable,
        "-m",
        "verification.benchmarks.serving_contenders",
        name,
        str(folder),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            for line in server.stderr or ():
                if f"{HOST}:" in line:
                    break
            else:
                sys.exit(f"error: {name} did not start")
            yield int(line.split(f"{HOST}:")[1].split()[0])
        finally:
            server.terminate()


def _ask(connection: http.client.HTTPConnection, body: bytes) -> float:
    connection.request("POST", "/invocations", body, {"Content-Type": JSON})
    answer = connection.getresponse()
    body_text = answer.read()
    if answer.status != http.client.OK:
        sys.exit(f"error: the server said {answer.status}: {body_text!r}")
    return float(json.loads(body_text)[0]["score"])


def _agree(ports: Mapping[str, int], bodies: Sequence[bytes]) -> None:
    """Asserts that all have the same scores: otherwise the work would differ."""
    scores = []
    for port in ports.values():
        connection = http.client.HTTPConnection(HOST, port)
        scores.append([_ask(connection, body) for body in bodies[:50]])
        connection.close()
    spread = np.ptp(np.array(scores), axis=0).max()
    if spread > 1e-3:
        sys.exit(f"error: the scores differ by up to {spread:.4f}")


def _added(port: int, texts: Sequence[str]) -> float:
    """Returns the median seconds that a request over HTTP takes beside its graph."""
    connection = http.client.HTTPConnection(HOST, port)
    differences = []
    for number in range(_ALONE + 20):
        body = json.dumps({"inputs": [texts[number % len(texts)]]}).encode()
        start = time.perf_counter()
        graph = _ask(connection, body)
        differences.append(time.perf_counter() - start - graph)
    connection.close()
    return statistics.median(differences[20:])


if __name__ == "__main__":
    main()
