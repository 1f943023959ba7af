"""Backend of target gpu-vllm: vLLM's server in the same container, by its API `/classify`.

Not verified on hardware. The API is documented in "Classification Usages" of vLLM's documentation:
prompts may be token ids, and each answer has the classes' probabilities.
"""

import json
import math
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from backend import CannotServeError, Ids, Machine, Scores
from bundle import Bucket, Bundle

# SageMaker closes an invocation after 60 s.
_TIMEOUT_SECONDS = 55


def open_backend(folder: Path, bundle: Bundle, machine: Machine) -> "VllmBackend":  # noqa: ARG001 - the same arguments for each target
    """Opens the backend: see `backend.open_backend`."""
    try:
        import vllm  # noqa: F401 - whether it is there
    except ImportError as error:
        raise CannotServeError(
            "the artifact is compiled for gpu-vllm, and vLLM is not installed here: serve it in "
            "the image of its compile lock, or compile for cpu (compile.target)"
        ) from error
    return VllmBackend(bundle.runtime["url"], classes=len(bundle.labels))


class VllmBackend:
    """Scores rows with vLLM's server, which batches them itself."""

    def __init__(self, url: str, *, classes: int) -> None:
        """Calls nothing yet, as the server loads this file before it answers.

        Args:
            url: of the API.
            classes: the number of probabilities of a row.
        """
        self._url, self._classes = url, classes
        # Without the proxies of the environment: the server is in this container.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def run(self, bucket: Bucket, ids: Ids, mask: Ids) -> Scores:
        """Scores one bucket: see `backend.Backend`. Padding is not sent.

        Raises:
            RuntimeError: if the server fails, or a row of its answer is not the probabilities.
        """
        lengths = mask.sum(axis=1)
        scores = np.zeros((bucket.batch, self._classes), dtype=np.float32)
        filled = np.flatnonzero(lengths)  # the others only fill the batch
        scores[filled] = self._classify([ids[row, : lengths[row]].tolist() for row in filled])
        return scores

    def _classify(self, rows: Sequence[Sequence[int]]) -> "list[Sequence[float]]":
        answer = self._post({"input": rows, "use_activation": True})
        items = sorted(answer["data"], key=lambda item: int(item["index"]))
        if [item["index"] for item in items] != list(range(len(rows))):
            raise RuntimeError(f"vLLM answered {len(items)} of {len(rows)} rows")
        for item in items:
            self._check(item["probs"])
        return [item["probs"] for item in items]

    def _post(self, body: Any) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the artifact's own address
            self._url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
        )
        try:
            with self._opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            # Its text may quote the request, which is personal data.
            raise RuntimeError(f"vLLM answered {error.code} to {self._url}") from None
        except OSError as error:
            raise RuntimeError(f"vLLM does not answer at {self._url}: {error}") from error

    def _check(self, probabilities: Sequence[float]) -> None:
        count = len(probabilities)
        if count != self._classes or not math.isclose(sum(probabilities), 1, abs_tol=1e-4):
            raise RuntimeError(
                f"vLLM answered {count} numbers that are not the probabilities of "
                f"{self._classes} labels: it serves another model, or without softmax"
            )
