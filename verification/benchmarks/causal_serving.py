"""What serves a causal LM faster on a CPU: ONNX Runtime, or transformers in float32 or bfloat16.

    python -m verification.benchmarks.causal_serving --recipe complaints-llm

All score the same rows of random tokens in each compiled shape, in turns, so that a busy machine
slows all. A ratio is a time over ONNX Runtime's: above 1, ONNX Runtime is faster. The adapter is
untrained: its values change no time. A figure is the fastest of the rounds. The base model is
fetched unless `--weights` has it.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sashiko.contract.load import load_contract
from sashiko.data.sources import fetch_weights
from sashiko.pipeline.project import contract_file
from sashiko.serving.container.adapter import merge
from sashiko.serving.targets import CONTAINER
from sashiko.training.causal import keep_answers
from sashiko.training.trainee import load_trainee
from verification.benchmarks.bench import machine, options, recipe_of, show, table

_ROUNDS = 5


def main() -> None:
    """Prints a Markdown table on stdout."""
    chosen = options(__doc__, recipe="complaints-llm", weights=Path, threads=2)
    recipe = recipe_of(chosen.recipe)
    label = load_contract(contract_file(recipe)).label
    torch.set_num_threads(chosen.threads)
    sys.path.append(str(CONTAINER))  # its files import each other as siblings
    with tempfile.TemporaryDirectory(prefix="sashiko-benchmark-") as name:
        scratch = Path(name)
        base = chosen.weights or scratch / "base"
        fetch_weights(recipe.model, base)
        (scratch / "adapter").mkdir()
        trainee = load_trainee(
            base,
            recipe.hyperparameters,
            labels=(label.negative, label.positive),
            device=torch.device("cpu"),
        )
        keep_answers(trainee.model, trainee.classes)
        trainee.save(scratch / "adapter")
        merge(scratch / "adapter", base, scratch / "merged")
        del trainee
        print(f"`{recipe.name}` on {machine()}, {chosen.threads} threads\n")
        heads = (
            "rows", "tokens", "ONNX Runtime, ms", "transformers, ms", "in bfloat16, ms", "ratio",
            "ratio of bfloat16", "largest difference", "of bfloat16",
        )  # fmt: skip
        settings = recipe.compile.model_dump(mode="json")
        show(table(heads, _rows(scratch, settings, threads=chosen.threads)))


def _rows(scratch: Path, settings: dict[str, Any], *, threads: int) -> Iterator[tuple[object, ...]]:
    import cast
    import classifier
    import export_onnx
    from eager_backend import EagerBackend
    from onnx_backend import OnnxBackend

    model = classifier.load_classifier(scratch / "merged")
    artifact = scratch / "artifact"
    artifact.mkdir()
    buckets = export_onnx.export(model, artifact, settings).buckets
    vocabulary = model.config.vocab_size
    del model
    smaller = cast.cast_model(scratch / "merged", scratch / "cast", dtype="bfloat16")
    backends = (
        OnnxBackend(artifact, threads=threads),
        EagerBackend(scratch / "merged", device="cpu"),
        EagerBackend(smaller, device="cpu"),
    )
    generator = np.random.default_rng(0)
    for bucket in buckets:
        ids = generator.integers(0, vocabulary, size=(bucket.batch, bucket.length))
        mask = np.ones_like(ids)
        fastest, scores = [float("inf")] * len(backends), [np.zeros(0)] * len(backends)
        for number in range(_ROUNDS + 1):
            for index, backend in enumerate(backends):
                started = time.perf_counter()
                scores[index] = backend.run(bucket, ids, mask)
                if number:  # the first opens sessions and warms up
                    elapsed = 1000 * (time.perf_counter() - started)
                    fastest[index] = min(fastest[index], elapsed)
        onnx, *others = fastest
        ratios = (f"{other / onnx:.2f}" for other in others)
        differences = (f"{np.abs(scores[0] - other).max():.1e}" for other in scores[1:])
        times = (f"{one:.1f}" for one in fastest)
        yield bucket.batch, bucket.length, *times, *ratios, *differences


if __name__ == "__main__":
    main()
