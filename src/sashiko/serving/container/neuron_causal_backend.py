"""Backend of target inf2-causal: a decoder that optimum-neuron compiled, on one NeuronCore.

Not verified on hardware. Written against optimum-neuron 0.4.1
(optimum/neuron/models/inference/backend/modules/decoder/modeling_decoder.py).
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from backend import CannotServeError, Ids, Machine, Scores
from bundle import Bucket, Bundle
from neuron_machine import Neuron, prepare

RELEASE_GRAPH = "model.pt"  # optimum-neuron's name of the graph
GRAPH = "model.neuron"  # that of the artifact


def open_backend(folder: Path, bundle: Bundle, machine: Machine) -> "NeuronCausalBackend":  # noqa: ARG001 - the same arguments for each target
    """Loads the decoder of an artifact: see `backend.open_backend`."""
    (bucket,) = bundle.buckets
    neuron = Neuron(**bundle.runtime)
    return NeuronCausalBackend(folder / bucket.graph, neuron, classes=len(bundle.labels))


class NeuronCausalBackend:
    """Runs the decoder of one artifact on its prompts, and generates nothing."""

    def __init__(self, folder: Path, neuron: Neuron, *, classes: int) -> None:
        """Loads graph and weights now: a start-up may take minutes, an invocation 60 seconds.

        Args:
            folder: of the compiled decoder.
            neuron: the requirements of its graph.
            classes: the number of answers, the first tokens of the decoder's vocabulary.

        Raises:
            CannotServeError: if packages, cores or devices are not what the graph needs, or the
                runtime refuses it.
        """
        prepare(neuron)
        self._classes = classes
        from optimum.neuron import NeuronModelForCausalLM

        try:
            with _as_saved(folder) as saved:
                self._decoder: Any = NeuronModelForCausalLM.from_pretrained(
                    str(saved), local_files_only=True, trust_remote_code=False
                )
        except (RuntimeError, ValueError) as error:
            raise CannotServeError(
                f"the Neuron runtime did not load {folder.name}: {error}; if it names a NEFF "
                "version, the driver of the host is older than the image: set InferenceAmiVersion"
            ) from error

    def run(self, bucket: Bucket, ids: Ids, mask: Ids) -> Scores:
        """Scores one full bucket: see `backend.Backend`.

        Raises:
            ValueError: if a shape is not the compiled one.
        """
        shape = (bucket.batch, bucket.length)
        if ids.shape != shape or mask.shape != shape:
            raise ValueError(f"the decoder takes {shape}, not {ids.shape} and {mask.shape}")
        # The graph reads the token with the largest position. Padding has 1, as optimum-neuron
        # gives it; a prompt has more tokens.
        positions = np.where(mask == 1, np.arange(bucket.length), 1)
        with torch.no_grad():
            logits = self._decoder.forward(
                input_ids=torch.from_numpy(ids),
                attention_mask=torch.from_numpy(mask),
                position_ids=torch.from_numpy(positions),
                seq_ids=torch.arange(bucket.batch),
            ).logits
        if tuple(logits.shape[:2]) != (bucket.batch, 1):
            raise ValueError(f"the decoder returned {tuple(logits.shape)}, not a token per text")
        answers = logits[:, 0, : self._classes].float()
        scores: Scores = torch.softmax(answers, dim=-1).numpy()
        return scores


@contextmanager
def _as_saved(folder: Path) -> Iterator[Path]:
    """Links the decoder's files by the names that optimum-neuron saves them by."""
    with tempfile.TemporaryDirectory(prefix="decoder-") as name:
        for path in folder.iterdir():
            link = RELEASE_GRAPH if path.name == GRAPH else path.name
            (Path(name) / link).symlink_to(path.resolve())
        yield Path(name)
