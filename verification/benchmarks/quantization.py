"""An int8 artifact beside the float32 one of the same trained model: quality, bias, size.

    python -m verification.benchmarks.quantization

Each seed is a real run of either kind, with every gate on the artifact that is served; what Compile
does not change comes from the cache. The first table is of the test split, the second says how far
the two kinds' answers to it are apart. Choose no setting by the test split.
`verification.benchmarks.serving` times both.
"""

import itertools
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from verification.benchmarks import bench
from verification.benchmarks.bias_over_seeds import of_test_split, test_heads

_FLOAT32, _INT8 = "float32", "int8"
_OVERRIDES = {
    _FLOAT32: ("compile.quantization=none",),
    _INT8: ("compile.quantization=int8", "compile.batch_sizes=[1]"),
}


def main() -> None:
    """Prints two Markdown tables on stdout."""
    chosen = bench.options(__doc__, recipe="complaints", seeds=[0, 1, 2], home=bench.HOME)
    gate = bench.recipe_of(chosen.recipe).bias.gates[0]
    results = {
        seed: {
            kind: bench.run(chosen.recipe, *overrides, f"train.seed={seed}", home=chosen.home)
            for kind, overrides in _OVERRIDES.items()
        }
        for seed in chosen.seeds
    }
    print(f"`{chosen.recipe}` on {bench.machine()}.\n")
    rows = (
        (seed, kind, *of_test_split(result, gate))
        for seed, runs in results.items()
        for kind, result in runs.items()
    )
    bench.show(bench.table(("seed", "artifact", *test_heads(gate)), rows))
    print()
    apart = "probability: mean, median, largest difference"
    bench.show(bench.table(("seed", "rows", apart, "other label", "MB"), _differences(results)))
    floats = [_test_rows(runs[_FLOAT32])["score"].to_numpy() for runs in results.values()]
    if seeds := [np.abs(a - b).mean() for a, b in itertools.combinations(floats, 2)]:
        print(f"\nThe float32 models of two seeds are at least {min(seeds):.4f} apart in the mean.")


def _differences(results: Mapping[int, Mapping[str, bench.Run]]) -> Iterator[tuple[object, ...]]:
    """Yields how far the two kinds' scores and labels of the test split are apart."""
    for seed, runs in results.items():
        one, two = (_test_rows(runs[kind]) for kind in _OVERRIDES)
        if one["key"] != two["key"]:
            raise ValueError("the two runs scored other rows")
        apart = np.abs(one["score"].to_numpy() - two["score"].to_numpy())
        other = np.mean(one["predicted"].to_numpy() != two["predicted"].to_numpy())
        sizes = (f"{runs[kind].artifact.stat().st_size / 1e6:.0f}" for kind in _OVERRIDES)
        differences = f"{apart.mean():.4f}, {np.median(apart):.4f}, {apart.max():.4f}"
        yield seed, f"{len(one):,}", differences, f"{other:.2%}", " and ".join(sizes)


def _test_rows(result: bench.Run) -> pa.Table:
    file = result.output("Evaluate", "predictions") / "predictions.parquet"
    return pq.read_table(file, filters=pc.field("split") == "test")


if __name__ == "__main__":
    main()
