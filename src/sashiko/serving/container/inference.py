"""The handler: the two functions that SageMaker's Hugging Face toolkit calls.

This file and its siblings are in the artifact's `code/` folder. Everything that scores calls these
functions: the endpoint, the local server, `sashiko predict` and the Evaluate step.

The toolkit (sagemaker-huggingface-inference-toolkit 2.6.0, `handler_service.handle`) answers every
exception with 400, and the model server reports a worker as healthy even if its model did not load.
An endpoint's alarm on 5XX would miss both. So on an endpoint only a bad request raises an
exception; every other fault, including a model that did not load, is answered with 500.
"""

import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from backend import CannotServeError, Machine, open_backend
from bundle import Bundle, read_bundle
from linear import is_linear
from payload import BadRequestError, as_texts, format_response, parse_request
from scorer import LinearScorer, Scorer

__all__ = ["BadRequestError", "CannotServeError", "model_fn", "transform_fn"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Model:
    """A loaded artifact, and its threshold.

    That is the least probability at which the second of two labels is given, or the most probable
    one of more.
    """

    bundle: Bundle
    scorer: "Scorer | LinearScorer"
    threshold: float


Loader = Callable[[], Model]


def model_fn(model_dir: str, context: Any = None) -> Loader:
    """Loads an unpacked artifact.

    The threshold comes from `SASHIKO_THRESHOLD`, the number of threads from `OMP_NUM_THREADS`
    (default: every core). `SASHIKO_ON_CPU=1` is for the pipeline's jobs, which have no accelerator:
    the trained model in an accelerator's artifact then scores on the CPU.

    Args:
        model_dir: the artifact's folder.
        context: the model server's, with this worker's GPU; None elsewhere.

    Returns:
        A function that returns the model. On an endpoint the model may not be loaded yet: each
        request tries again, as the cause may pass (a previous worker that still holds its cores).

    Raises:
        ValueError: if one of the two numbers is invalid, or there is no threshold: a model must be
            served at the threshold that it was judged at.
        CannotServeError: if this machine does not fit the artifact.
    """
    gpu = int((context.system_properties.get("gpu_id") if context else None) or 0)
    loader = cache(partial(_load, Path(model_dir), gpu))
    try:
        loader()
    except Exception:
        if context is None:
            raise
        _logger.exception("the model was not loaded")
    return loader


def transform_fn(
    model: Loader,
    body: str | bytes,
    content_type: str | None,
    accept: str | None,
    context: Any = None,
) -> str:
    """Answers one request: see `payload.parse_request` and `payload.format_response`.

    Args:
        model: the result of `model_fn`.
        body: the request's body.
        content_type: its `Content-Type` header.
        accept: its `Accept` header.
        context: the model server's, which takes the status of a fault; None elsewhere.

    Raises:
        BadRequestError: if content type, shape or size are not allowed, or if an input is empty,
            too long, or not a row of the template's columns, or if the ids do not name each input
            once. The toolkit answers it with 400.
    """
    try:
        return _respond(model(), body, content_type, accept)
    except BadRequestError:
        raise
    except Exception as error:
        if context is None:
            raise
        _logger.exception("the request failed")
        context.set_response_status(500, "Internal Server Error")
        # CannotServeError is about the machine, and its message contains nothing of the request.
        is_public = isinstance(error, CannotServeError)
        return json.dumps({"error": str(error) if is_public else "internal error: see the log"})


def _load(folder: Path, gpu: int) -> Model:
    if "SASHIKO_THRESHOLD" not in os.environ:
        raise ValueError("SASHIKO_THRESHOLD is not set: give the threshold of decision.json")
    threshold, bundle = float(os.environ["SASHIKO_THRESHOLD"]), read_bundle(folder)
    if not bundle.number and not 0 <= threshold <= 1:
        raise ValueError(f"SASHIKO_THRESHOLD={threshold}: expected a probability")
    backend = open_backend(
        folder,
        bundle,
        Machine(threads=int(os.environ.get("OMP_NUM_THREADS", "0")), gpu=gpu),
        on_cpu=os.environ.get("SASHIKO_ON_CPU") == "1",
    )
    scorer = LinearScorer if is_linear(folder) else Scorer
    return Model(bundle, scorer(folder, bundle, backend), threshold)


def _respond(model: Model, body: str | bytes, content_type: str | None, accept: str | None) -> str:
    request = parse_request(body, content_type)
    texts = as_texts(request.inputs, template=model.bundle.template, missing=model.bundle.missing)
    answers = [_answer(model, scores) for scores in model.scorer.scores(texts).tolist()]
    return format_response(answers, accept, ids=request.ids)


def _answer(model: Model, scores: Sequence[float]) -> "dict[str, object]":
    """Decides between two classes by the threshold, and for the first likeliest one of more.

    A likeliest one below the threshold is not given: the label is null. A number has an interval in
    place of a decision.
    """
    labels, number = model.bundle.labels, model.bundle.number
    if number is not None:
        value = number.mean + number.scale * scores[0]
        return {"value": value, "interval": [value - number.half_width, value + number.half_width]}
    if len(labels) == 2:
        return {"label": labels[int(scores[1] >= model.threshold)], "score": scores[1]}
    highest = max(scores)
    likeliest = labels[scores.index(highest)] if highest >= model.threshold else None
    return {"label": likeliest, "scores": dict(zip(labels, scores, strict=True))}
