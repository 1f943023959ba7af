"""What serves a causal LM faster on a CPU: ONNX Runtime, or transformers in float32 or bfloat16.

    python -m verification.benchmarks.causal_serving --recipe complaints-llm

All score the same rows of random tokens in each compiled shape, in turns, so that a busy machine
slows all. A ratio is a time over ONNX Runtime's: above 1, ONNX Runtime is faster. The adapter is
untrained: its values change no time. A figure is the fastest of the rounds.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from sashiko.contract.load import load_contract
from sashiko.data.sources import fetch_weights
from sashiko.pipeline.project import contract_file
from sashiko.serving.container.adapter import merge
from sashiko.serving.targets import CONTAINER
from sashiko.settings.recipe import load_recipe
from sashiko.training.causal import keep_answers
from sashiko.training.trainee import load_trainee
from verification.benchmarks.runs import machine

_ROUNDS = 5


def main() -> None:
    """Prints a Markdown table on stdout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="complaints-llm", help="a recipe's name")
    parser.add_argument("--weights", type=Path, help="the base model's folder; fetched if absent")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    recipe = load_recipe(Path("recipes") / f"{arguments.recipe}.yaml")
    label = load_contract(contract_file(recipe)).label
    torch.set_num_threads(arguments.threads)
    sys.path.append(str(CONTAINER))  # its files import each other as siblings
    with tempfile.TemporaryDirectory(prefix="sashiko-benchmark-") as name:
        scratch = Path(name)
        base = arguments.weights or scratch / "base"
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
        print(f"`{recipe.name}` on {machine()}, {arguments.threads} threads\n")
        _compare(scratch, recipe.compile.model_dump(mode="json"), threads=arguments.threads)


def _compare(scratch: Path, settings: dict, *, threads: int) -> None:  # type: ignore[type-arg]
    import cast
    import classifier
    import export_onnx
    from eager_backend import EagerBackend
    from onnx_backend import OnnxBackend

    model = classifier.load_classifier(scratch / "merged")
    artifact = scratch / "artifact"
    artifact.mkdir()
    started = time.monotonic()
    buckets = export_onnx.export(model, artifact, settings).buckets
    print(f"exported in {time.monotonic() - started:.0f} s", file=sys.stderr)
    vocabulary = model.config.vocab_size
    del model
    backends = {
        "ONNX Runtime": OnnxBackend(artifact, threads=threads),
        "transformers": EagerBackend(scratch / "merged", device="cpu"),
        "bfloat16": EagerBackend(
            cast.cast_model(scratch / "merged", scratch / "cast", dtype="bfloat16"), device="cpu"
        ),
    }
    print(
        "| rows | tokens | ONNX Runtime, ms | transformers, ms | in bfloat16, ms | ratio "
        "| ratio of bfloat16 | largest difference | of bfloat16 |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    generator = np.random.default_rng(0)
    for bucket in buckets:
        ids = generator.integers(0, vocabulary, size=(bucket.batch, bucket.length))
        mask = np.ones_like(ids)
        fastest = dict.fromkeys(backends, float("inf"))
        scores = {}
        for number in range(_ROUNDS + 1):
            for name, backend in backends.items():
                started = time.perf_counter()
                scores[name] = backend.run(bucket, ids, mask)
                if number:  # the first opens sessions and warms up
                    elapsed = 1000 * (time.perf_counter() - started)
                    fastest[name] = min(fastest[name], elapsed)
        onnx, eager, cast_ = fastest.values()
        first, *others = scores.values()
        differences = [f"{np.abs(first - other).max():.1e}" for other in others]
        print(
            f"| {bucket.batch} | {bucket.length} | {onnx:.1f} | {eager:.1f} | {cast_:.1f} "
            f"| {eager / onnx:.2f} | {cast_ / onnx:.2f} | {' | '.join(differences)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
