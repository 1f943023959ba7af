"""An int8 artifact beside the float32 one of the same trained model: quality, bias, size, latency.

    python -m verification.benchmarks.quantization --plot docs/images/int8.svg

Each seed is a real run of either kind, with every gate on the artifact that is served; what Compile
does not change comes from the cache. The first table is of the test split, the second says how far
the two kinds' answers to it are apart, the third times both servers in turns, with the artifacts of
the first seed and one text a request. Choose no setting by the test split.
"""

import argparse
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sashiko.report.svg import DARK, LIGHT
from sashiko.settings.recipe import load_recipe
from verification.benchmarks.bias_over_seeds import describe
from verification.benchmarks.runs import AS_INT8, HOME, Run, machine, run
from verification.benchmarks.serving import one_text_each, running_server
from verification.benchmarks.serving_turns import ask_in_turns, picture, table

_FLOAT32, _INT8 = "float32", "int8"
_OVERRIDES: Mapping[str, Sequence[str]] = {
    _FLOAT32: ("compile.quantization=none",),
    _INT8: AS_INT8,
}
_REQUESTS = 320  # a round

Runs = Mapping[str, Run]


def main() -> None:
    """Prints three Markdown tables on stdout; `--plot` writes a picture of the third."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--recipe", default="complaints")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="of the training")
    parser.add_argument("--home", type=Path, default=HOME, help="the benchmarks' state")
    parser.add_argument("--threads", type=int, default=2, help="of ONNX Runtime")
    parser.add_argument("--plot", type=Path, help="write the picture here, as SVG")
    options = parser.parse_args()
    gate = load_recipe(Path("recipes") / f"{options.recipe}.yaml").bias.gates[0]
    results = {
        seed: {
            kind: run(
                options.recipe,
                overrides=[*overrides, f"train.seed={seed}"],
                home=options.home,
            )
            for kind, overrides in _OVERRIDES.items()
        }
        for seed in options.seeds
    }
    print(f"`{options.recipe}` on {machine()}, {options.threads} threads.\n")
    print(f"| seed | artifact | threshold | {gate.metric} [95 %] | AUC [95 %] | accuracy "
          "| lead over majority [95 %] | linear AUC | status |\n" + "|---" * 9 + "|")  # fmt: skip
    for seed, runs in results.items():
        for kind, result in runs.items():
            print(f"| {seed} | {kind} | {' | '.join(describe(result, gate).split('|'))} |")
    print()
    print("\n".join(_differences(results)))
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    archives = {kind: _archive(result) for kind, result in results[options.seeds[0]].items()}
    bodies = one_text_each(_texts(results[options.seeds[0]][_INT8]), count=_REQUESTS)
    with ExitStack() as stack:
        ports = {
            kind: stack.enter_context(running_server(archive))[0]
            for kind, archive in archives.items()
        }
        timings = ask_in_turns(ports, bodies)
    print()
    print("\n".join(table(timings, by=_FLOAT32)))
    if options.plot:
        drawn = picture(timings, colours={_FLOAT32: LIGHT, _INT8: DARK}, name="int8")
        options.plot.write_text(f"{drawn}\n")


def _differences(results: Mapping[int, Runs]) -> Iterator[str]:
    """Yields a table of how far the two kinds' scores and labels of the test split are apart."""
    yield "| seed | rows | probability: mean, median, largest difference | other label | MB |"
    yield "|---|---|---|---|---|"
    for seed, runs in results.items():
        one, two = (_test_predictions(runs[kind]) for kind in _OVERRIDES)
        if one["key"] != two["key"]:
            raise ValueError("the two runs scored other rows")
        difference = np.abs(one["score"].to_numpy() - two["score"].to_numpy())
        other = np.mean(one["predicted"].to_numpy() != two["predicted"].to_numpy())
        sizes = " and ".join(
            f"{_archive(runs[kind]).stat().st_size / 1e6:.0f}" for kind in _OVERRIDES
        )
        yield (
            f"| {seed} | {len(one):,} "
            f"| {difference.mean():.4f}, {np.median(difference):.4f}, {difference.max():.4f} "
            f"| {other:.2%} | {sizes} |"
        )
    floats = [_test_predictions(runs[_FLOAT32])["score"].to_numpy() for runs in results.values()]
    if seeds := [np.abs(a - b).mean() for a, b in itertools.combinations(floats, 2)]:
        yield f"\nThe float32 models of two seeds are at least {min(seeds):.4f} apart in the mean."


def _test_predictions(result: Run) -> pa.Table:
    file = result.output("Evaluate", "predictions") / "predictions.parquet"
    return pq.read_table(file, filters=pc.field("split") == "test")


def _archive(result: Run) -> Path:
    return result.output("Compile", "artifact") / "model.tar.gz"


def _texts(result: Run) -> Sequence[str]:
    texts: list[str] = pq.read_table(result.output("Prepare", "test") / "data.parquet")[
        "text"
    ].to_pylist()
    return texts


if __name__ == "__main__":
    main()
