"""How fast a CPU artifact answers: requests through the handler that the endpoint runs, no HTTP.

    python -m benchmarks.serving

It takes the artifact of a run, from the cache where nothing has changed. Of many rounds the fastest
counts for the speed: what else the machine does can only make a round slower. Latency is the median
and the 99th percentile.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.runs import run
from sashiko.artifact import JSON, open_artifact
from sashiko.repository import HOME

_ROUNDS = {1: 300, 32: 30}  # texts a request -> requests


def main() -> None:
    """Prints a line for each size of request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="complaints")
    parser.add_argument("--home", type=Path, default=HOME, help="the local state")
    parser.add_argument("--threads", type=int, default=2, help="of ONNX Runtime")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    done = run(options.recipe, overrides=[], home=options.home)
    texts = pq.read_table(done.output("Prepare", "test") / "data.parquet")["text"].to_pylist()
    archive = done.output("Compile", "artifact") / "model.tar.gz"
    with open_artifact(archive, threshold=0.5) as artifact:
        print("| texts a request | predictions a second | p50, ms | p99, ms |\n|---|---|---|---|")
        for batch, rounds in _ROUNDS.items():
            seconds = []
            for round_ in range(rounds):
                chosen = [texts[(round_ * batch + i) % len(texts)] for i in range(batch)]
                body = json.dumps({"inputs": chosen}).encode()
                start = time.perf_counter()
                artifact.respond(body, content_type=JSON, accept=JSON)
                seconds.append(time.perf_counter() - start)
            p99 = statistics.quantiles(seconds, n=100)[98]
            print(
                f"| {batch} | {batch / min(seconds):.0f} | {statistics.median(seconds) * 1e3:.1f} "
                f"| {p99 * 1e3:.1f} |"
            )


if __name__ == "__main__":
    main()
