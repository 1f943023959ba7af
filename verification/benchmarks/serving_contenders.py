"""What `serving_peers` asks, each behind our server in a process of its own.

    python -m verification.benchmarks.serving_contenders NAME FOLDER

Serves the model of a folder on a free port until it is stopped; its threads are OMP_NUM_THREADS.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sashiko.serving.artifact import JSON, open_artifact
from sashiko.serving.server import listen, serve

OURS = "ours"
OURS_INT8 = "ours, int8"
WATCHED = "ours, and how long its graph takes"
ONNX_RUNTIME = "ONNX Runtime"
HUGGING_FACE = "Hugging Face"
Score = Callable[[str], float]


def main() -> None:
    """Serves the contender."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    with listen(0) as listener:
        if name == HUGGING_FACE:
            serve(_Scorer(_hugging_face(folder)), listener)
        elif name == ONNX_RUNTIME:
            serve(_Scorer(_plain_onnx(folder)), listener)
        else:
            seconds = _watch_sessions() if name == WATCHED else None
            with open_artifact(folder / "model.tar.gz", threshold=0.5) as artifact:
                if seconds is None:
                    serve(artifact, listener)
                    return

                def score(text: str) -> float:
                    """Answers with the seconds of the graph in place of the score."""
                    seconds.clear()
                    body = json.dumps({"inputs": [text]}).encode()
                    artifact.respond(body, content_type=JSON, accept=JSON)
                    return sum(seconds)

                serve(_Scorer(score), listener)


class _Scorer:
    """What scores a text behind our server, with the least that a request needs."""

    def __init__(self, score: Score) -> None:
        self._score = score

    def respond(self, body: bytes, *, content_type: str | None, accept: str | None) -> str:
        """Answers a request with texts."""
        del content_type, accept
        return json.dumps([{"score": self._score(text)} for text in json.loads(body)["inputs"]])


def _plain_onnx(folder: Path) -> Score:
    """Opens an artifact's tokenizer and graph with the runtime's defaults but for the threads."""
    import onnxruntime
    from tokenizers import Tokenizer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    settings = json.loads((folder / "serving.json").read_text())
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    (graph,) = {bucket["graph"] for bucket in settings["buckets"]}
    session = onnxruntime.InferenceSession(
        str(folder / graph), options, providers=["CPUExecutionProvider"]
    )

    def score(text: str) -> float:
        ids = np.array([tokenizer.encode(text).ids], dtype=np.int64)
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        return float(session.run(["score"], inputs)[0][0])

    return score


def _hugging_face(folder: Path) -> Score:
    """Opens the pipeline on a trained model."""
    import torch
    from transformers import pipeline

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    classify = pipeline("text-classification", model=str(folder), device="cpu", top_k=None)
    positive = classify.model.config.id2label[1]

    def score(text: str) -> float:
        return next(item["score"] for item in classify([text])[0] if item["label"] == positive)

    return score


def _watch_sessions() -> list[float]:
    """Has every session that is opened from now on note what a run takes, in seconds."""
    import onnxruntime

    seconds: list[float] = []

    class Session(onnxruntime.InferenceSession):  # type: ignore[misc]  # it is Any to mypy
        def run(self, *arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            try:
                return super().run(*arguments, **options)
            finally:
                seconds.append(time.perf_counter() - start)

    onnxruntime.InferenceSession = Session
    return seconds


if __name__ == "__main__":
    main()
