"""Reads the compile lock: how an artifact was compiled, and what may serve it."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from sashiko.base.files import read_json
from sashiko.base.yaml_models import validate
from sashiko.serving.container.answers import Answered

LOCK_FILE = "compile-lock.json"


class CausalLock(BaseModel):
    """What a causal LM was merged of.

    Attributes:
        base: file name -> hex SHA-256 of the base model.
        adapter_sha256: of the LoRA adapter.
        merge_difference: the largest one of a probability, merged against apart, in float32.
        merged_sha256: of the merged weights in float32; None in older locks.
        cast_difference: the largest one of a probability between them and the weights in the type
            that is served; None where that is float32.
        answered: how often the model answers, as Train measured it; None in older locks.
        answers: token ids of the negative and the positive answer.
        chat_template_sha256: of the chat template around the text.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    base: dict[str, str]
    adapter_sha256: str
    merge_difference: float
    merged_sha256: str | None = None
    cast_difference: float | None = None
    answered: Answered | None = None
    answers: tuple[int, int]
    chat_template_sha256: str


class CompileLock(BaseModel):
    """The content of `compile-lock.json`, which `serving/container/lock.py` writes.

    Attributes:
        target: the compile target.
        image: the image that serves it: its name with tag or digest, without registry.
        neuron_sdk: the Neuron SDK of that image, if it has one.
        compiler: the version of its neuronx-cc, if it has one.
        cores: accelerator cores of one worker, which holds one copy of the model; None if the
            target does not count cores.
        dtype: the type of most computations.
        batch_sizes: rows of the compiled shapes, ascending.
        sequence_lengths: tokens of each row of the compiled shapes, ascending.
        tolerance: the largest allowed difference of a probability from the eager model's.
        largest_difference: what Compile measured; None for an accelerator, as Compile has none.
        weights_sha256: of the model's `model.safetensors`, in the type that is served.
        artifact: name -> hex SHA-256 of each file in the artifact.
        artifact_sha256: of `model.tar.gz` itself.
        causal: of a causal LM, what it was merged of; None for an encoder.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    target: str
    image: str
    neuron_sdk: str | None
    compiler: str | None
    cores: int | None
    dtype: str
    batch_sizes: tuple[int, ...]
    sequence_lengths: tuple[int, ...]
    tolerance: float
    largest_difference: float | None
    weights_sha256: str
    artifact: dict[str, str]
    artifact_sha256: str
    causal: CausalLock | None = None

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
            **(
                {
                    "compile.adapter_sha256": self.causal.adapter_sha256,
                    "compile.merged_sha256": self.causal.merged_sha256,
                    "compile.cast_difference": _number(self.causal.cast_difference),
                    "compile.answers": " ".join(map(str, self.causal.answers)),
                }
                if self.causal
                else {}
            ),
        }
        return {key: value for key, value in facts.items() if value}


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.3g}"


def read_lock(folder: Path) -> CompileLock:
    """Reads the compile lock in a folder.

    Raises:
        InputError: if it is missing or damaged.
    """
    path = folder / LOCK_FILE
    return validate(CompileLock, read_json(path), source=str(path))
