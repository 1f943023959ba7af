"""What `serving_peers` asks, each behind our server in a process of its own."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sashiko.serving.artifact import Artifact, open_artifact
from sashiko.serving.server import listen, serve

OURS = "ours"
OURS_INT8 = "ours, int8"
WATCHED = "ours, and how long its graph takes"
ONNX_RUNTIME = "ONNX Runtime"
HUGGING_FACE = "Hugging Face"


class PlainOnnx:
    """The tokenizer and the graph of one artifact, and nothing around them."""

    def __init__(self, folder: Path) -> None:
        """Opens the graph, with the runtime's own defaults but for the threads.

        Args:
            folder: the unpacked artifact.
        """
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
        serving_settings = json.loads((folder / "serving.json").read_text())
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        (graph,) = {bucket["graph"] for bucket in serving_settings["buckets"]}
        self._session = onnxruntime.InferenceSession(
            str(folder / graph), options, providers=["CPUExecutionProvider"]
        )

    def score(self, text: str) -> float:
        """Returns the probability of the positive label."""
        ids = np.array([self._tokenizer.encode(text).ids], dtype=np.int64)
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        return float(self._session.run(["score"], inputs)[0][0])


def hugging_face(folder: Path) -> Callable[[str], float]:
    """Opens the pipeline on a trained model; returns the score of the positive label of a text."""
    import torch
    from transformers import pipeline

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    classify = pipeline("text-classification", model=str(folder), device="cpu", top_k=None)
    positive = classify.model.config.id2label[1]

    def score(text: str) -> float:
        return next(item["score"] for item in classify([text])[0] if item["label"] == positive)

    return score


class Peer:
    """A scorer behind our server, with the least that a request needs."""

    def __init__(self, score: Callable[[str], float]) -> None:
        """Takes what scores a text."""
        self._score = score

    def respond(self, body: bytes, *, content_type: str | None, accept: str | None) -> str:
        """Answers a request with texts."""
        del content_type, accept
        return json.dumps([{"score": self._score(text)} for text in json.loads(body)["inputs"]])


class WatchedArtifact:
    """Our artifact's handler; answers with the seconds that the runtime took for its graph."""

    def __init__(self, artifact: Artifact, seconds: list[float]) -> None:
        """Takes the artifact, and where each of its sessions' runs notes its seconds."""
        self._artifact, self._taken = artifact, seconds

    def respond(self, body: bytes, *, content_type: str | None, accept: str | None) -> str:
        """Answers a request of one text with seconds in place of its score."""
        self._taken.clear()
        self._artifact.respond(body, content_type=content_type, accept=accept)
        return json.dumps([{"score": sum(self._taken)}])


def watch_sessions() -> list[float]:
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


def main() -> None:
    """Serves one of them on a free port until it is stopped; its threads are OMP_NUM_THREADS."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    with listen(0) as listener:
        if name in (OURS, OURS_INT8, WATCHED):
            seconds = watch_sessions() if name == WATCHED else []
            with open_artifact(folder / "model.tar.gz", threshold=0.5) as artifact:
                serve(WatchedArtifact(artifact, seconds) if name == WATCHED else artifact, listener)
        else:
            score = hugging_face(folder) if name == HUGGING_FACE else PlainOnnx(folder).score
            serve(Peer(score), listener)


if __name__ == "__main__":
    main()
