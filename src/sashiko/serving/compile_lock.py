"""Reads the compile lock: how an artifact was compiled, and what may serve it."""

from pathlib import Path

from sashiko.base.files import read_json
from sashiko.base.yaml_models import Excerpt, validate
from sashiko.serving.container.answers import Answered

LOCK_FILE = "compile-lock.json"


class CausalLock(Excerpt):
    """What a causal LM was merged of; a difference is the largest one of a probability."""

    base: dict[str, str]  # file name -> hex SHA-256 of the base model
    adapter_sha256: str  # of the LoRA adapter
    merge_difference: float  # merged against apart, in float32
    merged_sha256: str | None = None  # of the weights in float32; None in older locks
    # Of the merged weights in float32 and in the type that is served; None where that is float32.
    cast_difference: float | None = None
    answered: Answered | None = None  # how often it answers, by Train; None in older locks
    answers: tuple[int, ...]  # token ids of the answers, in the order of the classes
    chat_template_sha256: str  # of the chat template around the text


class CompileLock(Excerpt):
    """The content of `compile-lock.json`, which `serving/container/compile_model.py` writes."""

    target: str  # the compile target
    image: str  # that serves it: its name with tag or digest, without registry
    neuron_sdk: str | None  # of that image, if it has one
    compiler: str | None  # the version of its neuronx-cc, if it has one
    # Of one worker, which holds one copy of the model; None if the target does not count cores.
    cores: int | None
    dtype: str  # of most computations
    batch_sizes: tuple[int, ...]  # rows of the compiled shapes, ascending
    sequence_lengths: tuple[int, ...]  # tokens of each row of the compiled shapes, ascending
    tolerance: float  # the largest allowed difference of a probability from the eager model's
    largest_difference: float | None  # as Compile measured it; None for an accelerator: it has none
    weights_sha256: str  # of the model's `model.safetensors`, in the type that is served
    artifact: dict[str, str]  # name -> hex SHA-256 of each file in the artifact
    artifact_sha256: str  # of `model.tar.gz` itself
    causal: CausalLock | None = None  # None for an encoder

    def facts(self) -> dict[str, str]:
        """Returns the values that a registry shows, short enough for tags and metadata."""
        facts = {
            "compile.target": self.target,
            "compile.image": self.image,
            "compile.neuron_sdk": self.neuron_sdk,
            "compile.compiler": self.compiler and f"neuronx-cc {self.compiler}",
            "compile.cores": self.cores and str(self.cores),
            "compile.dtype": self.dtype,
            "compile.batch_sizes": " ".join(map(str, self.batch_sizes)),
            "compile.sequence_lengths": " ".join(map(str, self.sequence_lengths)),
            "compile.weights_sha256": self.weights_sha256,
        }
        if causal := self.causal:
            cast = causal.cast_difference
            facts |= {
                "compile.adapter_sha256": causal.adapter_sha256,
                "compile.merged_sha256": causal.merged_sha256,
                "compile.cast_difference": None if cast is None else f"{cast:.3g}",
                "compile.answers": " ".join(map(str, causal.answers)),
            }
        return {key: value for key, value in facts.items() if value}


def read_lock(folder: Path) -> CompileLock:
    """Reads the compile lock in a folder.

    Raises:
        InputError: if it is missing or damaged.
    """
    path = folder / LOCK_FILE
    return validate(CompileLock, read_json(path), source=str(path))
