"""The handler: the four functions that SageMaker's Hugging Face toolkit calls.

The file and its siblings travel in the artifact's `code/` folder. Every way to a score goes through
these functions: the endpoint, the local server, `sashiko predict` and the Evaluate step.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend import CannotServeError, open_backend
from bundle import Bundle, read_bundle
from payload import BadRequestError, Inputs, Prediction, as_texts, format_response, parse_request
from scorer import Scorer

__all__ = [
    "BadRequestError",
    "CannotServeError",
    "input_fn",
    "model_fn",
    "output_fn",
    "predict_fn",
]


@dataclass(frozen=True)
class Model:
    """A loaded artifact, and the probability at or above which the positive label is given."""

    bundle: Bundle
    scorer: Scorer
    threshold: float


def model_fn(model_dir: str, context: Any = None) -> Model:
    """Loads an unpacked artifact.

    The threshold comes from `SASHIKO_THRESHOLD`, the number of threads from `OMP_NUM_THREADS`
    (default: every core). With `SASHIKO_ON_CPU=1` an artifact for an accelerator is scored on the
    CPU, by the model in it: that is for the pipeline's jobs, which have no accelerator.

    Args:
        model_dir: the artifact's folder.
        context: of the model server, which knows this worker's GPU; None elsewhere.

    Raises:
        ValueError: if one of the two numbers is not a sensible one, or there is no threshold: a
            model must not be served at another one than it was judged at.
        CannotServeError: if this machine does not fit the artifact.
    """
    if "SASHIKO_THRESHOLD" not in os.environ:
        raise ValueError("SASHIKO_THRESHOLD is not set: give the threshold of decision.json")
    threshold = float(os.environ["SASHIKO_THRESHOLD"])
    if not 0 <= threshold <= 1:
        raise ValueError(f"SASHIKO_THRESHOLD={threshold}: expected a probability")
    folder = Path(model_dir)
    bundle = read_bundle(folder)
    backend = open_backend(
        folder,
        bundle,
        threads=int(os.environ.get("OMP_NUM_THREADS", "0")),
        on_cpu=os.environ.get("SASHIKO_ON_CPU") == "1",
        gpu=int((context.system_properties.get("gpu_id") if context else None) or 0),
    )
    return Model(bundle, Scorer(folder, bundle, backend), threshold)


def input_fn(body: str | bytes, content_type: str | None) -> Inputs:
    """Reads and checks a request: see `payload.parse_request`."""
    return parse_request(body, content_type)


def predict_fn(inputs: Inputs, model: Model) -> list[Prediction]:
    """Scores a request's inputs.

    Raises:
        BadRequestError: if an input is empty, too long, or not a row of the template's columns.
    """
    bundle = model.bundle
    texts = as_texts(inputs, template=bundle.template, missing=bundle.missing)
    negative, positive = bundle.labels
    return [
        Prediction(label=positive if score >= model.threshold else negative, score=score)
        for score in model.scorer.scores(texts)
    ]


def output_fn(predictions: Sequence[Prediction], accept: str | None) -> str:
    """Writes the response: see `payload.format_response`."""
    return format_response(predictions, accept)
